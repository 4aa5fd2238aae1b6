"""Units of work that only take time, in place of the real ones, and a journal of when each ran and where.

The driver, Ray and Tune are the real ones; the units import nothing of the package, so that a process for them starts
in about a second. Journal and clock are those of one machine (Linux), whose nodes are all logical.
"""

import json
import os
import time
import zlib
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import ray

if TYPE_CHECKING:
    from glad_ray.engine.fan_out import Work
    from glad_ray.engine.shares import Measured
    from glad_ray.spec import Evaluation, ExpertSet, Run
    from glad_ray.storage import Storage

Lengths = Mapping[str, tuple[float, float]]
"""the shortest and longest seconds of units, by their kind"""

_PATIENCE_SECONDS = 60


class Entry(NamedTuple):
    """What one unit of work was: when it ran, in seconds of the machine's clock, and where."""

    kind: str
    """expert, trial or evaluation"""
    name: str
    """of the algorithm or network, after which its share goes"""
    unit: str
    """which one, beginning with the id of its run or expert set"""
    node: str
    gpus: tuple[str, ...]
    """which ones of the node"""
    process: int
    process_started: float
    begin: float
    end: float | None
    """None: it never ended"""


class Journal(NamedTuple):
    """A file that units of work append to: a line when one begins, a line when it ends."""

    path: Path

    def append(self, *line: Any) -> None:
        """Write a line whole, whoever else does."""
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def lines(self, what: str) -> list[list[Any]]:
        """Those that tell of one thing: `began`, `ended` or `finished`."""
        written = [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []
        return [rest for said, *rest in written if said == what]

    def entries(self) -> list[Entry]:
        """All units of work, in the order in which they began."""
        ends = {tuple(key): end for *key, end in self.lines("ended")}
        began = [Entry(*line, ends.get((line[2], line[5], line[7]))) for line in self.lines("began")]
        return sorted((each._replace(gpus=tuple(each.gpus)) for each in began), key=lambda each: each.begin)

    def finished(self) -> Counter[str]:
        """How often the results of each run were written, by its id."""
        return Counter(run_id for (run_id,) in self.lines("finished"))


class Simulated(NamedTuple):
    """A task that only takes time, called as those of `Work` are; what it need not know is not sent to it."""

    kind: str
    journal: Journal
    lengths: Lengths
    together: int = 1
    """units that have begun before the first of them ends"""
    task: Any = None

    def options(self, **options: Any) -> "Simulated":
        """The same with a share and more, in Ray's words."""
        given = {"max_calls": 0, "max_retries": 0, "scheduling_strategy": "DEFAULT"} | options
        return self._replace(task=ray.remote(**given)(_pass_time))

    def remote(self, of: "Run | ExpertSet", *arguments: Any) -> ray.ObjectRef[Any]:
        """Start it."""
        if self.kind == "trial":
            name, unit = of.algorithm.name, of.run_id
        elif self.kind == "expert":
            name, unit = of.network.name, f"{of.content_id} {arguments[0]}"
        else:
            evaluation, network, _ = arguments
            name, unit = network.name, f"{of.run_id} {evaluation.content_id} {network.key}"
        shortest, longest = self.lengths[self.kind]
        seconds = shortest + (longest - shortest) * zlib.crc32(unit.encode()) / 2**32
        return self.task.remote(self.kind, name, unit, seconds, self.journal, self.together)


def simulated(
    journal: Journal, lengths: Lengths, trials_together: int = 1, measured: "Measured | None" = None
) -> "Work":
    """Units of work that take these times; `trials_together` of the distillations begin before the first one ends.

    `measured`: what every kind of them takes of a GPU, where that is asked for.
    """
    from glad_ray.engine.fan_out import Work

    return Work(
        Simulated("expert", journal, lengths),
        Simulated("trial", journal, lengths, trials_together),
        Simulated("evaluation", journal, lengths),
        partial(_finish, journal),
        measurement=ray.remote(max_calls=0, max_retries=0)(lambda kind, example, shared: measured),
    )


def now() -> float:
    """Seconds of the clock of `Entry`: since the machine was started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _finish(journal: Journal, sweep: str, run: "Run", evaluation: "Evaluation", storage: "Storage") -> None:
    journal.append("finished", run.run_id)


def _pass_time(
    kind: str, name: str, unit: str, seconds: float, journal: Journal, together: int
) -> dict[str, Any] | None:
    begin, gpus = now(), [str(each) for each in ray.get_gpu_ids()]
    node = ray.get_runtime_context().get_node_id()
    journal.append("began", kind, name, unit, node, gpus, os.getpid(), _process_started(), begin)
    while together > 1 and now() < begin + _PATIENCE_SECONDS and _begun(journal, kind) < together:
        time.sleep(0.02)
    time.sleep(seconds)
    journal.append("ended", unit, os.getpid(), begin, now())
    return {"fault": None, "step": 0} if kind == "trial" else None


def _begun(journal: Journal, kind: str) -> int:
    return sum(line[0] == kind for line in journal.lines("began"))


def _process_started() -> float:
    """When this process did, as proc(5) has it."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return ticks / os.sysconf("SC_CLK_TCK")
