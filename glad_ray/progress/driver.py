"""One driver at a time: the process that writes a storage's runs claims it, and says every few seconds that it lives.

A claim is one file. It ends with its process: at once where that is seen to be gone, on the machine it ran on;
elsewhere after a minute without a sign of life. Clocks of two machines may differ: a claim whose date is older than
that, or lies ahead, is watched for as long as its driver would need to renew it. A driver that was held up for longer,
and finds another in its place, stops.
"""

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import AwareDatetime, ConfigDict, Field

from glad_ray.errors import UserError
from glad_ray.interrupts import interrupt_main_thread
from glad_ray.spec.record import Record
from glad_ray.storage import Storage

RENEW_SECONDS = 10.0
SILENT_SECONDS = 60.0
"""after which a driver that nobody can see is taken for dead"""
# As long as two that claim an object store at the same moment may need from looking to writing.
SETTLE_SECONDS = 1.0


def _now() -> datetime:
    return datetime.now(UTC)


def _machine() -> str:
    """Where process numbers mean the same: the host since its start, and the container."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
        # A killed process keeps its number until its parent asks after it, and not every container's first does.
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except ProcessLookupError:
        return False
    except OSError:
        return True


class Driver(Record):
    """Who drives, as the claim says it."""

    # Another version's claim is one too.
    model_config = ConfigDict(extra="ignore")

    token: str = Field(default_factory=lambda: uuid.uuid4().hex)
    host: str = Field(default_factory=socket.gethostname)
    machine: str = Field(default_factory=_machine)
    process: int = Field(default_factory=os.getpid)
    since: AwareDatetime = Field(default_factory=_now)
    renewed: AwareDatetime = Field(default_factory=_now)
    """its last sign of life"""
    driven_seconds: float = 0.0
    """from `since` to `renewed`, whatever was done to the machine's clock meanwhile"""

    @property
    def gone(self) -> bool:
        """Whether it ran on this machine and does no more."""
        return self.machine == _machine() and not _runs(self.process)

    @property
    def signs_lately(self) -> bool:
        """Whether its last sign of life is at most a minute old, by this machine's clock, and does not lie ahead."""
        return -RENEW_SECONDS < (_now() - self.renewed).total_seconds() < SILENT_SECONDS


class Seen(NamedTuple):
    """A driver, as its claim shows it."""

    driver: Driver
    alive: bool
    """whether the claim holds"""
    began: float | None
    """when it began, in seconds by the storage's clock (see `Storage.modified`); None: not known"""


def read_driver(storage: Storage) -> Driver | None:
    """Who claims a storage, alive or not; None: nobody, or nobody knows, as the claim is damaged."""
    try:
        return Driver.model_validate_json(storage.read_bytes(Storage.DRIVER))
    except (UserError, ValueError):
        return None


def look_at_driver(storage: Storage, tell: Callable[[str], None] = lambda sentence: None) -> Seen | None:
    """Who claims a storage, and whether that driver lives; None: as `read_driver`.

    Takes 15 seconds where the date of the claim does not tell, and tells so.
    """
    modified, driver = storage.modified(Storage.DRIVER), read_driver(storage)
    if driver is None:
        return None
    alive = not driver.gone
    if alive and not driver.signs_lately:
        tell(
            f"Process {driver.process} on {driver.host} claims {storage}, and the date of its last sign of life does "
            f"not tell whether it still runs: watching for the next one for {1.5 * RENEW_SECONDS:g} seconds."
        )
        time.sleep(1.5 * RENEW_SECONDS)
        before, modified, now = driver, storage.modified(Storage.DRIVER), read_driver(storage)
        if now is None:
            return None
        driver, alive = now, now != before
    return Seen(driver, alive, None if modified is None else modified - driver.driven_seconds)


@contextlib.contextmanager
def driving(storage: Storage, tell: Callable[[str], None] = lambda sentence: None) -> Iterator[None]:
    """Claim a storage for this process, which may take a while that is told (`look_at_driver`); raises `UserError` if
    another drives it, at the start or later.
    """
    beat = _Heartbeat(storage, _claim(storage, tell))
    beat.start()
    try:
        yield
    except KeyboardInterrupt:
        if beat.other is None:
            raise
        raise UserError(
            f"This process was held up, and process {beat.other.process} on {beat.other.host} drives {storage} in its "
            "place: nothing is lost, leave it to that one."
        ) from None
    finally:
        beat.end()


def _claim(storage: Storage, tell: Callable[[str], None]) -> Driver:
    with _alone(storage) as settled:
        before = look_at_driver(storage, tell)
        if before is not None and before.alive:
            raise _refusal(storage, before.driver)
        mine = Driver()
        _write(storage, mine)
        if not settled:
            time.sleep(SETTLE_SECONDS)
        now = read_driver(storage)
    if now is not None and now.token != mine.token:
        raise _refusal(storage, now)
    return mine


def _refusal(storage: Storage, driver: Driver) -> UserError:
    return UserError(
        f"{storage} is driven by process {driver.process} on {driver.host} since {driver.since:%Y-%m-%d %H:%M:%S} UTC: "
        "let it end, or name another storage."
    )


def _write(storage: Storage, driver: Driver) -> None:
    storage.write_bytes(Storage.DRIVER, driver.model_dump_json(indent=1).encode())


@contextlib.contextmanager
def _alone(storage: Storage) -> Iterator[bool]:
    """Keep other processes from claiming meanwhile; False: nothing does, on an object store or a system without
    locks.
    """
    folder = storage.local_path("")
    if folder is None:
        yield False
        return
    with contextlib.ExitStack() as stack:
        locked = False
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            locked = True
        yield locked


class _Heartbeat(threading.Thread):
    """Renews a claim until it ends; interrupts the main thread if another driver has taken the place."""

    def __init__(self, storage: Storage, mine: Driver) -> None:
        super().__init__(name="driver's heartbeat", daemon=True)
        self.storage, self.mine = storage, mine
        self.other: Driver | None = None
        self._ended = threading.Event()
        self._began = time.monotonic()

    def run(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            # A storage that cannot be reached for a while is tried again.
            with contextlib.suppress(OSError):
                self._renew()
            if self.other is not None:
                interrupt_main_thread()
                return

    def end(self) -> None:
        """Give the claim back."""
        self._ended.set()
        self.join()
        with contextlib.suppress(OSError):
            if (now := read_driver(self.storage)) is not None and now.token == self.mine.token:
                self.storage.delete(Storage.DRIVER)

    def _renew(self) -> None:
        now = read_driver(self.storage)
        if now is not None and now.token != self.mine.token:
            self.other = now
            return
        _write(
            self.storage,
            self.mine.model_copy(update={"renewed": _now(), "driven_seconds": time.monotonic() - self._began}),
        )
