"""The faults: each is done to somebody who is there now, and says to whom; None: nobody is there for it."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

from tests.chaos.command import Command
from tests.chaos.machines import Cluster
from tests.faults.disk import fill, mount
from tests.faults.processes import TITLES, processes

HEAD_SECONDS = 90.0
"""within which a command ends whose head is gone"""
_BUSY_SECONDS = 10.0
_READ_ONLY_SECONDS = 60.0


class World:
    """What faults are done to, and what mends some of them later."""

    def __init__(
        self, cluster: Cluster, disk: Path, command: Command, rng: Random, say: Callable[[str, str], None]
    ) -> None:
        self.cluster, self.disk, self.command, self.rng, self.say = cluster, disk, command, rng, say
        self.later: list[tuple[float, str, Callable[[], None]]] = []
        """when, what, and by what a fault is mended"""
        self.wrong: list[str] = []
        self.may_end = False
        """the command, by itself, for something was done to it or what it cannot go on without"""

    def mend_later(self, seconds: float, what: str, mend: Callable[[], None]) -> None:
        """After so many seconds."""
        self.later.append((time.monotonic() + seconds, what, mend))

    def mend(self, *, all_of_it: bool = False) -> list[str]:
        """What is due, or everything; returns what that was."""
        now = time.monotonic()
        due = [each for each in self.later if all_of_it or each[0] <= now]
        self.later = [each for each in self.later if each not in due]
        for _, _, mend in due:
            mend()
        return [what for _, what, _ in due]

    @property
    def storage_in_trouble(self) -> bool:
        """Whether writes fail now."""
        return any("storage" in what for _, what, _ in self.later)


Fault = Callable[[World], str | None]


def _process(title: str, world: World) -> str | None:
    found = sorted(pid for pid, text in processes("cmdline") if text.startswith(title))
    if not found:
        return None
    pid = world.rng.choice(found)
    where = world.cluster.where(pid)
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return None
    return f"{title} (process {pid}) on {where}"


def _raylet(world: World) -> str | None:
    up = [machine for machine in world.cluster.others if machine.pids]
    if not up:
        return None
    machine = world.rng.choice(up)
    killed, seconds = machine.kill(), world.rng.uniform(5, 20)
    world.mend_later(seconds, f"{machine.name} joins again", machine.start)
    return f"{machine.name}, {killed} processes; it joins again in {seconds:.0f} s"


def _head(world: World) -> str | None:
    command, cluster = world.command, world.cluster
    if command.code is not None:
        return None
    world.may_end = True
    killed, began = cluster.head.kill(), time.monotonic()
    world.say("the head is gone", f"{killed} processes got SIGKILL")
    if command.ends_within(HEAD_SECONDS):
        told = f"the command ended after {time.monotonic() - began:.0f} s with exit code {command.code}"
        if not command.code:
            world.wrong.append(f"{told}, though the head was gone")
    else:
        told = "the command was killed"
        world.wrong.append(f"the command hung for {HEAD_SECONDS:.0f} s without its head")
        command.kill()
    # Machines of the old head never come back to a new one.
    world.later = [each for each in world.later if "joins" not in each[1]]
    cluster.start()
    return f"{told}; all three machines begin anew"


def _driver(number: signal.Signals, world: World) -> str | None:
    if world.command.code is not None:
        return None
    world.may_end = True
    if number == signal.SIGKILL:
        world.command.kill()
    else:
        world.command.terminate()
    return f"command {world.command.given}, {time.monotonic() - world.command.given_at:.0f} s after it was given"


def _read_only(world: World) -> str | None:
    if world.storage_in_trouble:
        return None
    began = time.monotonic()
    while True:
        try:
            mount("-o", "remount,ro", str(world.disk))
            break
        except subprocess.CalledProcessError:
            # A file is being written.
            if time.monotonic() - began > _BUSY_SECONDS:
                return None
            time.sleep(0.05)
    world.may_end = True
    mend = partial(mount, "-o", "remount,rw", str(world.disk))
    world.mend_later(_READ_ONLY_SECONDS, "storage takes writes again", mend)
    return f"the storage, for {_READ_ONLY_SECONDS:.0f} s"


def _full(world: World) -> str | None:
    if world.storage_in_trouble:
        return None
    filler, seconds = world.disk / "filler", world.rng.uniform(15, 40)
    fill(filler)
    world.may_end = True
    world.mend_later(seconds, "storage has room again", partial(_unlink, filler))
    return f"the storage, for {seconds:.0f} s"


def _unlink(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


FAULTS: dict[str, Fault] = {
    **{f"SIGKILL of {who}": partial(_process, title) for who, title in TITLES.items()},
    "SIGKILL of a raylet with its workers": _raylet,
    "SIGKILL of the driver": partial(_driver, signal.SIGKILL),
    "SIGTERM of the driver": partial(_driver, signal.SIGTERM),
    "read-only storage": _read_only,
    "full disk": _full,
    "SIGKILL of the head, its GCS and raylet": _head,
}
