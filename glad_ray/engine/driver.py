"""One driver at a time: the process that writes a storage's runs claims it, and says every few seconds that it lives.

A claim is one file. It ends with its process: at once where that is seen to be gone, on the machine it ran on;
elsewhere after a minute without a sign of life. A driver that was held up for longer than that, and finds another in
its place, stops.
"""

import contextlib
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, ConfigDict, Field

from glad_ray.errors import UserError
from glad_ray.spec.record import Record
from glad_ray.storage import Storage

RENEW_SECONDS = 10.0
SILENT_SECONDS = 60.0
"""after which a driver that nobody can see is taken for dead"""
# As long as two that claim an object store at the same moment may need from looking to writing.
_SETTLE_SECONDS = 1.0


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

    @property
    def silent_seconds(self) -> float:
        """Since its last sign of life, by this machine's clock."""
        return (_now() - self.renewed).total_seconds()

    @property
    def gone(self) -> bool:
        """Whether it ran on this machine and does no more."""
        return self.machine == _machine() and not _runs(self.process)

    @property
    def alive(self) -> bool:
        """Whether its claim holds, as far as the claim alone tells."""
        return not self.gone and self.silent_seconds < SILENT_SECONDS


def read_driver(storage: Storage) -> Driver | None:
    """Who claims a storage, alive or not; None: nobody, or nobody knows, as the claim is damaged."""
    try:
        return Driver.model_validate_json(storage.read_bytes(Storage.DRIVER))
    except (UserError, ValueError):
        return None


@contextlib.contextmanager
def driving(storage: Storage) -> Iterator[None]:
    """Claim a storage for this process; raises `UserError` if another drives it, at the start or later."""
    beat = _Heartbeat(storage, _claim(storage))
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


def _claim(storage: Storage) -> Driver:
    mine = Driver()
    with _alone(storage) as settled:
        before = read_driver(storage)
        if before is not None and _holds(storage, before):
            raise _refusal(storage, before)
        _write(storage, mine)
        if not settled:
            time.sleep(_SETTLE_SECONDS)
        now = read_driver(storage)
    if now is not None and now.token != mine.token:
        raise _refusal(storage, now)
    return mine


def _holds(storage: Storage, driver: Driver) -> bool:
    if driver.gone:
        return False
    if driver.alive:
        return True
    # Clocks of two machines may differ: a claim that is renewed is held, however old it looks.
    time.sleep(1.5 * RENEW_SECONDS)
    return read_driver(storage) != driver


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

    def run(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            # A storage that cannot be reached for a while is tried again.
            with contextlib.suppress(OSError):
                self._renew()
            if self.other is not None:
                os.kill(os.getpid(), signal.SIGINT)
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
        _write(self.storage, self.mine.model_copy(update={"renewed": _now()}))
