"""A sweep, or one after another, under faults until the time is up; then in peace until all is done, and looked at."""

import hashlib
import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from rich.table import Table

from benchmarks.on_record import told_twice, trainings
from glad_ray.results import Training, read_failures
from glad_ray.spec import Sweep
from glad_ray.storage import Storage
from tests.chaos.command import Command, environment, words
from tests.chaos.compare import differences, rows
from tests.chaos.faults import FAULTS, World
from tests.chaos.machines import Cluster, address
from tests.chaos.place import DISK
from tests.faults.disk import mount

_TICK_SECONDS = 0.2
_SHORTEST_PAUSE, _LONGEST_PAUSE = 5.0, 25.0
_PATIENCE = 60.0
_ALONE_PAUSE = 12.0
_PEACE_SECONDS = 1800.0
_DISK_SIZE = "64m"


@dataclass
class Account:
    """What happened."""

    faults: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    sweeps: int = 0
    commands: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def table(self) -> Table:
        """The faults by kind, and what was done in spite of them."""
        table = Table("fault", "times")
        for name in FAULTS:
            table.add_row(name, str(self.faults[name]))
        table.add_section()
        table.add_row("faults", str(self.faults.total()))
        table.add_row("sweeps finished, each as the quiet one if nothing is wrong", str(self.sweeps))
        table.add_row("runs finished", str(self.runs))
        table.add_row("commands given", str(self.commands))
        table.add_row("seconds", f"{self.seconds:.0f}")
        table.add_row("wrong", str(len(self.wrong)))
        return table


def quiet_rows(sweep: Sweep, folder: Path) -> list[dict[str, Any]]:
    """The table of the sweep in one process without faults, kept in a folder; computed where it is not there."""
    ids = [*(run.run_id for run in sweep.runs), *(each.content_id for each in sweep.evaluations)]
    storage = folder / f"quiet-{hashlib.sha256(' '.join(ids).encode()).hexdigest()[:12]}"
    kept = storage.with_suffix(".json")
    if not kept.exists():
        quietly = words(str(storage), "--in-process")
        ended = subprocess.run(quietly, env=environment(len(sweep.runs)), capture_output=True, text=True, check=False)
        if ended.returncode:
            said = f"{ended.stdout[-2000:]} {ended.stderr[-2000:]}"
            raise RuntimeError(f"The quiet sweep ended with {ended.returncode}: {said}")
        kept.write_text(json.dumps(rows(Storage.open(storage))))
    table: list[dict[str, Any]] = json.loads(kept.read_text())
    return table


class Storm:
    """The cluster, the command and the faults, from one thread."""

    def __init__(self, sweep: Sweep, seed: int, outputs: Path) -> None:
        self.sweep, self.rng = sweep, Random(seed)
        self.account = Account()
        self._began = time.monotonic()
        mount("-t", "tmpfs", "-o", f"size={_DISK_SIZE}", "tmpfs", str(DISK))
        self.cluster = Cluster()
        self.command = Command(outputs, address(), len(sweep.runs))
        self.world = World(self.cluster, DISK, self.command, self.rng, self._say)
        self._on_record: set[tuple[str, Training]] = set()
        self._told = ""
        self._log = (outputs / "lines.txt").open("w", buffering=1)

    def run(self, minutes: float | None, quiet: list[dict[str, Any]]) -> Account:
        """Faults at random for so many minutes, or each alone if None is given."""
        self.cluster.start()
        self._say("begins", f"three machines, {len(self.sweep.runs)} runs a sweep")
        self._begun = time.monotonic()
        self._give()
        faults = self._random(minutes) if minutes is not None else self._alone()
        for _ in faults:
            self._tick(quiet, again=True)
        self._say_mended(self.world.mend(all_of_it=True))
        self._say("peace", "no more faults")
        until = time.monotonic() + _PEACE_SECONDS
        while not self._tick(quiet, again=False):
            if time.monotonic() > until:
                self._wrong(f"not finished {_PEACE_SECONDS:.0f} s after the last fault")
                break
        self.account.commands = self.command.given
        self.account.seconds = time.monotonic() - self._begun
        return self.account

    def _random(self, minutes: float) -> Iterator[None]:
        """Every fault once in some order, as soon as it is possible, and again."""
        left: list[str] = []
        end, due = self._begun + 60 * minutes, self._pause()
        while time.monotonic() < end:
            now = time.monotonic()
            # Some wait for somebody who may not come any more.
            if not left or now > due + _PATIENCE:
                others = [name for name in FAULTS if name not in left]
                left += self.rng.sample(others, len(others))
            if now >= due and self._strike(left):
                due = self._pause()
            yield

    def _alone(self) -> Iterator[None]:
        left = list(FAULTS)
        due = time.monotonic() + _ALONE_PAUSE
        while left:
            if time.monotonic() >= due and not self.world.later and self._strike(left):
                due = time.monotonic() + _ALONE_PAUSE
            yield

    def _pause(self) -> float:
        return time.monotonic() + self.rng.uniform(_SHORTEST_PAUSE, _LONGEST_PAUSE)

    def _strike(self, left: list[str]) -> bool:
        """Do the first fault that is possible now, and take it away from those left; false: none is."""
        self._remember()
        for name in left:
            if whom := FAULTS[name](self.world):
                left.remove(name)
                self.account.faults[name] += 1
                self._say(name, whom)
                return True
        return False

    def _tick(self, quiet: list[dict[str, Any]], *, again: bool) -> bool:
        """Look at the command, and give it again where it has ended; `again`: the sweep too, from nothing, where it is
        finished. Returns whether it is finished and that was not asked for.
        """
        time.sleep(_TICK_SECONDS)
        self._say_mended(self.world.mend())
        while self.world.wrong:
            self._wrong(self.world.wrong.pop())
        if (code := self.command.code) is None:
            return False
        self._ended(code)
        if code:
            self._give()
            return False
        self._check(quiet)
        if again:
            self._give()
        return not again

    def _give(self) -> None:
        self.world.may_end = self.world.storage_in_trouble
        self.command.give(self._folder)
        self._say("command", f"number {self.command.given}")

    def _ended(self, code: int) -> None:
        self._remember()
        self._told += self.command.told
        complaint = self.command.complaint.strip().splitlines()
        self._say("ended", f"exit code {code}{'' if code == 0 or not complaint else ': ' + complaint[-1][:200]}")
        if wrong := self.command.wrong:
            self._wrong(f"command {self.command.given} ended with {wrong}")
        elif code and not self.world.may_end:
            self._wrong(f"command {self.command.given} ended by itself with exit code {code}")

    def _check(self, quiet: list[dict[str, Any]]) -> None:
        """Look at a finished sweep, and begin the next one in a folder of its own."""
        storage = self._storage
        wrong = differences(rows(storage), quiet)
        wrong += [f"failed: {failure.run_id}: {failure.error}" for failure in read_failures(storage)]
        wrong += [line for line in self._told.splitlines() if line.startswith("failed ")]
        if replaced := len(self._on_record - trainings(storage, self.sweep)):
            wrong.append(f"{replaced} trainings on record were made again")
        if twice := told_twice(self._told):
            wrong.append(f"{twice} runs were told to be done twice")
        for each in wrong:
            self._wrong(each)
        self._say("finished", f"sweep {self.account.sweeps + 1}, {'not ' if wrong else ''}as the quiet one")
        self.account.sweeps += 1
        self.account.runs += len(self.sweep.runs)
        self._on_record, self._told = set(), ""
        shutil.rmtree(storage.local_path(""), ignore_errors=True)

    def _remember(self) -> None:
        """What is on record now, which nothing may make again."""
        if self._folder.exists():
            self._on_record |= trainings(self._storage, self.sweep)

    @property
    def _folder(self) -> Path:
        return DISK / f"sweep-{self.account.sweeps + 1}"

    @property
    def _storage(self) -> Storage:
        return Storage.open(self._folder, create=False)

    def _say_mended(self, what: list[str]) -> None:
        for each in what:
            self._say("mended", each)

    def _wrong(self, what: str) -> None:
        self.account.wrong.append(what)
        self._say("WRONG", what)

    def _say(self, what: str, whom: str) -> None:
        line = f"{datetime.now():%H:%M:%S}  {time.monotonic() - self._began:6.0f} s  {what:42}  {whom}"
        print(line, flush=True)
        print(line, file=self._log)
