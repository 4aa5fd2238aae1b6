"""Many tiny runs in one sweep, its driver killed and started again: what is lost, what is made twice, what a run costs.

First the sweep with tasks that do nothing: what the engine itself takes for a run.

Then the real one, by `glad-ray sweep`. At random moments everything that belongs to it gets SIGKILL at once, Ray's
processes too, as where a machine is lost; the same command goes on. In the end every run has its rows, each once. No
training that was on record was made again; those under way at a kill may be, one a CPU. The driver's resident memory is
read from /proc while runs end, and its growth is the slope of a line through what was read after the first 50 runs.

    python benchmarks/many_runs.py
    python benchmarks/many_runs.py --kills 0
"""

import argparse
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
import simulated
import tiny_runs
import torch
from on_record import finished_files, row_keys, told_twice, trainings
from rich.console import Console
from rich.table import Table

from glad_ray.engine.carry_out import Work
from glad_ray.engine.jobs import Outcome as JobOutcome
from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.machine import device_name
from glad_ray.plan import make_plan
from glad_ray.progress.events import Event, RunFinished
from glad_ray.progress.sweep_reporter import make_view
from glad_ray.results import Training
from glad_ray.spec import Sweep
from glad_ray.storage import Storage

SELECTIONS = ("last", "best-on-test")
_MARK = "MANY_RUNS"
_SETTLED_RUNS = 50
_FEWEST_RUNS = 20
_SAMPLE_SECONDS = 0.1
_LATER_SECONDS = 1.0


class Sample(NamedTuple):
    """A driver at some moment."""

    seconds: float
    """since it was started"""
    finished: int
    """runs on storage that have their results"""
    resident_kib: int


@dataclass(frozen=True)
class Attempt:
    """One driver, from its start until it ended or was killed."""

    seconds: float
    killed: bool
    finished: int
    """runs"""
    samples: tuple[Sample, ...]
    """from the end of its first run to before that of the last of all"""

    @property
    def seconds_per_run(self) -> float | None:
        """While runs ended; None: too few did to tell."""
        if not self._sampled_runs:
            return None
        return (self.samples[-1].seconds - self.samples[0].seconds) / self._sampled_runs

    @property
    def kib_per_run(self) -> float | None:
        """Growth of the driver's memory after the first runs; None: too few to tell."""
        if self._sampled_runs < _SETTLED_RUNS + _FEWEST_RUNS:
            return None
        settled = [each for each in self.samples if each.finished >= self.samples[0].finished + _SETTLED_RUNS]
        _, finished, resident = np.array(settled).T
        return float(np.polyfit(finished, resident, deg=1)[0])

    @property
    def _sampled_runs(self) -> int:
        return self.samples[-1].finished - self.samples[0].finished if self.samples else 0


@dataclass(frozen=True)
class Outcome:
    """What lies on storage in the end, and what was made for it."""

    attempts: tuple[Attempt, ...]
    rows: Counter[tuple[str, str]]
    """by selection and network"""
    files: int
    """of rows"""
    doubled: int
    """rows that are there twice"""
    recorded: int
    """trainings"""
    begun: int
    """trainings, whatever became of them"""
    replaced: int
    """trainings that were on record at a kill, and were made again"""
    told_twice: int
    """lines that tell of a run that it is distilled or finished, after one that told the same"""

    @property
    def again(self) -> int:
        """Trainings that were begun twice."""
        return self.begun - self.recorded

    @property
    def again_at_most(self) -> int:
        """Trainings that can have been under way at the kills, one a CPU."""
        return sum(attempt.killed for attempt in self.attempts) * (os.cpu_count() or 1)

    def faults(self, sweep: Sweep) -> list[str]:
        """What is not as it should be, in words."""
        runs, (evaluation,) = len(sweep.runs), sweep.evaluations
        wanted = {(selection, network.key): runs for selection in SELECTIONS for network in evaluation.networks}
        wrong = {
            f"{self.files} files of rows for {runs} runs": self.files != runs,
            f"not {runs} rows of each kind": self.rows != wanted,
            f"{self.doubled} rows doubled": self.doubled > 0,
            f"{self.replaced} trainings on record made again": self.replaced > 0,
            f"{self.told_twice} runs told to be done twice": self.told_twice > 0,
            f"{self.again} trainings begun twice, at most {self.again_at_most} were under way": not (
                0 <= self.again <= self.again_at_most
            ),
        }
        return [words for words, is_so in wrong.items() if is_so]


def nothing(sweep: Sweep) -> tuple[float, float]:
    """Wall-clock seconds and the driver's CPU seconds that a run takes whose tasks do nothing."""
    plan = make_plan(sweep)
    view = _Clocked(make_view(plan))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(StringIO()):
        work = Work(_nothing, _no_steps, lambda *arguments: None, with_context=False)
        run_on_ray(plan, Storage.open(folder), address=None, view=view, work=work)
    (wall, cpu), *_, (wall_end, cpu_end) = view.times
    return (wall_end - wall) / (len(view.times) - 1), (cpu_end - cpu) / (len(view.times) - 1)


def _nothing(job: Any, events: Any) -> JobOutcome:
    simulated.tell_begun(job, events)
    return JobOutcome()


def _no_steps(job: Any, events: Any) -> Iterator[Any]:
    yield from ()


class _Clocked:
    """A view that also keeps the wall-clock and CPU seconds at the end of each run."""

    def __init__(self, view: Any) -> None:
        self.view, self.times = view, list[tuple[float, float]]()

    def show(self, event: Event) -> None:
        self.view.show(event)
        if isinstance(event, RunFinished):
            self.times.append((time.perf_counter(), time.process_time()))


def run_and_kill(sweep: Sweep, kills: int, seed: int, where: str) -> Outcome:
    """Run the sweep to its end, its driver killed at so many random moments."""
    storage, rng = Storage.open(where), random.Random(seed)
    attempts, on_record, runs = [], set[tuple[str, Training]](), len(sweep.runs)
    with tempfile.TemporaryDirectory(prefix="many-", ignore_cleanup_errors=True) as folder:
        begun, told = Path(folder) / "begun", Path(folder) / "told"
        begun.touch()
        environment = os.environ | {tiny_runs.RUNS: str(runs), tiny_runs.BEGUN: str(begun), "RAY_TMPDIR": folder}
        for moment in (*sorted(rng.sample(range(1, runs), kills)), None):
            with told.open("a") as output:
                driver = _Driver(storage, environment, output)
                attempts.append(driver.watch(runs, moment, rng.uniform(0, _LATER_SECONDS)))
            on_record |= trainings(storage, sweep)
        in_the_end, rows = trainings(storage, sweep), row_keys(storage)
        return Outcome(
            attempts=tuple(attempts),
            rows=Counter((selection, network) for _, selection, network, _ in rows),
            files=finished_files(storage),
            doubled=len(rows) - len(set(rows)),
            recorded=len(in_the_end),
            begun=len(begun.read_text().splitlines()),
            replaced=len(on_record - in_the_end),
            told_twice=told_twice(told.read_text()),
        )


class _Driver:
    """A driver that is watched, and killed with all that it started."""

    def __init__(self, storage: Storage, environment: dict[str, str], output: TextIO) -> None:
        self.storage, self.output, self.mark = storage, output, f"{_MARK}={uuid.uuid4().hex}"
        self.before = finished_files(storage)
        self.started = time.perf_counter()
        name, _, token = self.mark.partition("=")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "glad_ray", "sweep", tiny_runs.__file__, "--storage", storage.uri],
            env=environment | {name: token},
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def watch(self, runs: int, moment: int | None, later_seconds: float) -> Attempt:
        """Until it ends, all `runs` finished; or kill it so much later than `moment` of them are."""
        samples, due = list[Sample](), None
        try:
            while self.process.poll() is None and (due is None or time.perf_counter() < due):
                seconds, finished = time.perf_counter() - self.started, finished_files(self.storage)
                if self.before < finished < runs:
                    samples.append(Sample(seconds, finished, self._resident_kib()))
                if due is None and moment is not None and finished >= moment:
                    due = time.perf_counter() + later_seconds
                time.sleep(_SAMPLE_SECONDS)
        finally:
            self._kill()
        code = self.process.wait()
        if code not in (0, -signal.SIGKILL):
            said = Path(self.output.name).read_text().splitlines()[-20:]
            raise RuntimeError("\n".join([f"The driver ended by itself with exit code {code}:", *said]))
        return Attempt(
            seconds=time.perf_counter() - self.started,
            killed=code != 0,
            finished=finished_files(self.storage) - self.before,
            samples=tuple(samples),
        )

    def _resident_kib(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        return int(found[1]) if found else 0

    def _kill(self) -> None:
        """Everything that has its mark: whoever was being started meets the next look.

        The driver first, which must not see others go.
        """
        self.process.kill()
        while processes := list(_marked(self.mark)):
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.01)


def _marked(variable: str) -> Iterator[int]:
    """Processes that have a variable in their environment."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if variable.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)


def main() -> int:
    """Measure, print what came out, and return 1 if something is missing or made twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--kills", type=int, default=5, help="how often the driver is killed and started again")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--storage", help="a folder without results; one that is deleted if not given")
    given = parser.parse_args()

    sweep = tiny_runs.sweep(given.runs)
    wall, cpu = nothing(sweep)
    with tempfile.TemporaryDirectory() as folder:
        outcome = run_and_kill(sweep, given.kills, given.seed, given.storage or folder)
    console = Console(width=120)
    console.print(f"{given.runs} runs, {device_name(torch.device('cpu'))}, {os.cpu_count()} CPUs")
    console.print(f"a run that does nothing: {1e3 * wall:.0f} ms, {1e3 * cpu:.1f} ms CPU time of the driver")
    console.print(attempts_table(outcome.attempts))
    console.print(rows_table(outcome.rows))
    console.print(f"{outcome.files} files of rows, {outcome.doubled} rows doubled")
    console.print(
        f"{outcome.begun} trainings begun, {outcome.recorded} on record: {outcome.again} made twice, of at most "
        f"{outcome.again_at_most} under way at the kills; {outcome.replaced} that were on record"
    )
    seconds = sum(attempt.seconds for attempt in outcome.attempts)
    console.print(f"{seconds / given.runs:.2f} seconds a run, every start included")
    faults = outcome.faults(sweep)
    for words in faults:
        console.print(f"[red]wrong:[/] {words}")
    return 1 if faults else 0


def attempts_table(attempts: Sequence[Attempt]) -> Table:
    """A line for every driver."""
    table = Table(
        "attempt", "ended", "seconds", "runs finished", "seconds a run", "driver's MiB, first run", "last run",
        f"KiB a run after {_SETTLED_RUNS}",
    )  # fmt: skip
    for number, attempt in enumerate(attempts, 1):
        resident = [f"{attempt.samples[at].resident_kib / 1024:.1f}" if attempt.samples else "" for at in (0, -1)]
        table.add_row(
            str(number),
            "killed" if attempt.killed else "by itself",
            f"{attempt.seconds:.1f}",
            str(attempt.finished),
            "" if attempt.seconds_per_run is None else f"{attempt.seconds_per_run:.2f}",
            *resident,
            "" if attempt.kib_per_run is None else f"{attempt.kib_per_run:.1f}",
        )
    return table


def rows_table(rows: Mapping[tuple[str, str], int]) -> Table:
    """How many rows there are of each kind."""
    table = Table("selection", "network", "rows")
    for (selection, network), number in sorted(rows.items()):
        table.add_row(selection, network, str(number))
    return table


if __name__ == "__main__":
    sys.exit(main())
