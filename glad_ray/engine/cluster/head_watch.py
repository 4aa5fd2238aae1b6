"""The head of a cluster, watched by the driver: once it is gone for good, the driver ends in one sentence.

Ray by itself ends such a process in the middle of a call, after a minute and with a line of its own log.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

from glad_ray.errors import GladRayError
from glad_ray.interrupts import interrupt_main_thread

_LOOK_SECONDS = 5.0
_SILENT_SECONDS = 30.0
"""after which it is taken for gone, before Ray does"""
_GRACE_SECONDS = 5.0
"""for an orderly end"""


@contextlib.contextmanager
def watching_head(
    address: str, silent_seconds: float = _SILENT_SECONDS, *, end: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Raise `GladRayError` in the main thread once the head at host:port has not answered for so long, or at once if
    something else goes wrong meanwhile. Where the main thread waits in a call of Ray that does not come back, the
    process ends with the same sentence, and exit code 1.

    `end` leaves the cluster, and is called last: until then the head of a cluster of this process answers.
    """
    watch = _Watch(address, silent_seconds)
    watch.start()
    try:
        try:
            yield
        except Exception as error:
            if isinstance(error, GladRayError) or watch.answered():
                raise
            raise watch.error from error
        finally:
            end()
    except KeyboardInterrupt:
        if not watch.lost:
            raise
        raise watch.error from None
    finally:
        watch.ended.set()


class _Watch(threading.Thread):
    """Looks at the head until it is told to end, or the head is lost."""

    def __init__(self, address: str, silent_seconds: float) -> None:
        super().__init__(name="head's watch", daemon=True)
        self.address, self.silent_seconds = address, silent_seconds
        self.lost, self.ended = False, threading.Event()
        self._seen = time.monotonic()

    @property
    def error(self) -> GladRayError:
        """What there is to say when it is lost."""
        return GladRayError(
            f"The head of the Ray cluster ({self.address}) has not answered for {time.monotonic() - self._seen:.0f} "
            "seconds: what is finished is kept; the same command goes on from there, on any cluster."
        )

    def answered(self) -> bool:
        """Whether something listens there now."""
        host, _, port = self.address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_LOOK_SECONDS).close()
        except OSError:
            return False
        self._seen = time.monotonic()
        return True

    def run(self) -> None:
        while not self.ended.wait(min(_LOOK_SECONDS, self.silent_seconds / 4)):
            if not self.answered() and time.monotonic() - self._seen > self.silent_seconds:
                self._end()
                return

    def _end(self) -> None:
        self.lost = True
        interrupt_main_thread()
        if not self.ended.wait(_GRACE_SECONDS):
            print(f"glad-ray: {self.error}", file=sys.stderr, flush=True)
            os._exit(1)
