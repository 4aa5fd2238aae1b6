"""Units of work that only take time, in place of the real ones, and a journal of when each ran and where.

The driver, Ray and Tune are the real ones; the jobs import no PyTorch, so that a process for them starts in about a
second. Journal and clock are those of one machine (Linux), whose nodes are all logical.
"""

import json
import os
import pickle
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import ray

if TYPE_CHECKING:
    from glad_ray.engine.carry_out import Work
    from glad_ray.engine.jobs import Outcome
    from glad_ray.engine.shares import Measured
    from glad_ray.spec import Evaluation, Run
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
    """What carries out jobs, and only takes time."""

    journal: Journal
    lengths: Lengths
    trials_together: int = 1
    measured: "Measured | None" = None

    def carry_out(self, job: Any, events: Any) -> "Outcome":
        """A job of any kind but a distillation; `events` is the actor that takes events."""
        from glad_ray.engine.jobs import EvaluationJob, ExpertsJob, Outcome

        tell_begun(job, events)
        if isinstance(job, ExpertsJob):
            unit = f"{job.expert_set.content_id} {list(job.indices)}"
            self._pass_time("expert", job.expert_set.network.name, unit)
        elif isinstance(job, EvaluationJob):
            unit = f"{job.run.run_id} {job.evaluation.content_id} {job.network.key}"
            self._pass_time("evaluation", job.network.name, unit)
        else:
            return Outcome(self.measured)
        return Outcome()

    def distil(self, job: Any, events: Any) -> Iterator[Any]:
        """A distillation, which tells nothing of itself."""
        self._pass_time("trial", job.run.algorithm.name, job.run.run_id)
        yield from ()

    def finish(self, sweep: str, run: "Run", evaluation: "Evaluation", storage: "Storage") -> None:
        """In place of the rows of a run."""
        self.journal.append("finished", run.run_id)

    def _pass_time(self, kind: str, name: str, unit: str) -> None:
        shortest, longest = self.lengths[kind]
        seconds = shortest + (longest - shortest) * zlib.crc32(unit.encode()) / 2**32
        begin, gpus = now(), [str(each) for each in ray.get_gpu_ids()]
        node = ray.get_runtime_context().get_node_id()
        self.journal.append("began", kind, name, unit, node, gpus, os.getpid(), _process_started(), begin)
        together = self.trials_together if kind == "trial" else 1
        while together > 1 and now() < begin + _PATIENCE_SECONDS and _begun(self.journal, kind) < together:
            time.sleep(0.02)
        time.sleep(seconds)
        self.journal.append("ended", unit, os.getpid(), begin, now())


def simulated(
    journal: Journal, lengths: Lengths, trials_together: int = 1, measured: "Measured | None" = None
) -> "Work":
    """Jobs that take these times; `trials_together` of the distillations begin before the first one ends.

    `measured`: what every kind of them takes of a GPU, where that is asked for.
    """
    from glad_ray.engine.carry_out import Work

    work = Simulated(journal, lengths, trials_together, measured)
    return Work(work.carry_out, work.distil, work.finish, with_context=False)


def tell_begun(job: Any, events: Any) -> None:
    """Tell the driver that a job has its share; `events` is the actor that takes events."""
    from glad_ray.progress.events import ShareTaken

    events.put.remote(pickle.dumps(ShareTaken(job.key, 0.0)))


def now() -> float:
    """Seconds of the clock of `Entry`: since the machine was started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _begun(journal: Journal, kind: str) -> int:
    return sum(line[0] == kind for line in journal.lines("began"))


def _process_started() -> float:
    """When this process did, as proc(5) has it."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return ticks / os.sysconf("SC_CLK_TCK")
