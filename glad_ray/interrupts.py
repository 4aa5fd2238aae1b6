"""What ends work before its time: SIGINT and SIGTERM, kept back while a step computes and told to a driver as
exceptions; and a bound on its time.

Handlers are left as they were found. A second signal never waits.
"""

import contextlib
import faulthandler
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 10.0
_AFTER_IMPORT_SECONDS = 0.2
EXIT_SECONDS = 0.5
"""for what was raised to reach whoever waits for it"""


class Terminated(KeyboardInterrupt):
    """SIGTERM, as `KeyboardInterrupt` is SIGINT."""


@contextlib.contextmanager
def kept_back() -> Iterator[Callable[[], bool]]:
    """Within, the first signal waits for the end, where it does what it would have done; yields whether one waits.

    A second one does so at once. Signals that are ignored stay so; outside the main thread, which alone gets them,
    this does nothing.
    """
    waiting: list[int] = []

    def received(number: int, frame: FrameType | None) -> None:
        waiting.append(number)
        if len(waiting) > 1:
            restore()
            signal.raise_signal(number)

    with _handled(received) as restore:
        try:
            yield lambda: bool(waiting)
        finally:
            restore()
            if len(waiting) == 1:
                signal.raise_signal(signal.Signals(waiting[0]))


@contextlib.contextmanager
def raised() -> Iterator[Callable[[], int | None]]:
    """Within, SIGINT raises `KeyboardInterrupt` and SIGTERM `Terminated`, once: a second ends the process at once.

    Yields what tells the exit code that a shell expects (130 or 143), None while there was no signal.
    """
    code: int | None = None

    def received(number: int, frame: FrameType | None) -> None:
        nonlocal code
        if code is not None:
            os._exit(code)
        code = 128 + number
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    with _handled(received):
        yield lambda: code


@contextlib.contextmanager
def first_of_all() -> Iterator[None]:
    """Raise an interrupt again where something else was raised while it ended what was under way: a cluster of this
    process gets the signals of its terminal too, and may be gone by then.
    """
    try:
        yield
    except Exception as error:
        interrupt = _interrupt_before(error)
        if interrupt is None:
            raise
        raise interrupt from error


def _interrupt_before(error: BaseException) -> KeyboardInterrupt | None:
    """The interrupt in whose handling an error was raised; None: there is none, or the error tells what it was."""
    before: BaseException | None = error
    while before is not None and not isinstance(before, KeyboardInterrupt):
        before = before.__cause__ if before.__suppress_context__ else before.__context__
    return before


@contextlib.contextmanager
def hangups_ignored() -> Iterator[None]:
    """Within, a terminal that goes away does not end this process; outside the main thread, this does nothing."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGHUP"):
        yield
        return
    found = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, found)


@contextlib.contextmanager
def found_again() -> Iterator[None]:
    """What a library does to the signals that this process handles is undone at the end."""
    found = {number: handler for number in _SIGNALS if callable(handler := signal.getsignal(number))}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in found.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def within(minutes: float | None, setting: str, *, or_exit: bool) -> Iterator[None]:
    """Raise `TimeoutError` where a computation stands that has not ended in time; None: it may take any time.

    `setting` is what bounds it, for the message. With `or_exit` the process ends soon after, for whatever was cut off
    may have left it in any state; one that hangs outside Python writes to standard error where all threads stood.
    """
    if minutes is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ended(number: int, frame: FrameType | None) -> None:
        if _importing(frame):
            # Half a module would stay behind, and fail whatever comes next.
            signal.setitimer(signal.ITIMER_REAL, _AFTER_IMPORT_SECONDS)
            return
        if or_exit:
            exit_soon()
        raise TimeoutError(f"no end within {minutes:g} minutes ({setting})")

    found = signal.signal(signal.SIGALRM, ended)
    signal.setitimer(signal.ITIMER_REAL, 60 * minutes)
    if or_exit:
        faulthandler.dump_traceback_later(60 * minutes + GRACE_SECONDS, exit=True)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, found)
        if or_exit:
            faulthandler.cancel_dump_traceback_later()


def interrupt_main_thread() -> None:
    """Send SIGINT to the main thread, of another one: a signal to the process may reach any thread, and the main one
    would go on waiting in a call.
    """
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def exit_soon() -> None:
    """End this process as soon as what is raised now has reached whoever waits for it."""
    ending = threading.Timer(EXIT_SECONDS, os._exit, (1,))
    ending.daemon = True
    ending.start()


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextlib.contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[Callable[[], None]]:
    """Handle the signals that are not ignored; yields what restores the handlers found before its end."""
    found: dict[int, signal.Handlers | Callable[[int, FrameType | None], object] | int | None] = {}

    def restore() -> None:
        for number in list(found):
            signal.signal(number, found.pop(number))

    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            # None: a handler that is not Python's, which could not be restored.
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                found[number] = signal.signal(number, handler)
    try:
        yield restore
    finally:
        restore()
