"""Output that outlives its terminal, for a sweep on a cluster goes on when whoever watches it goes away, and that takes
every text, for a terminal may know ASCII alone.
"""

import contextlib
import errno
import os
import sys
from typing import Any, TextIO

_NOBODY_READS = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ECONNRESET)
"""a pipe or a terminal that was closed at its other end"""


class Lasting:
    """A stream that drops what is written once it cannot be written any more, and writes characters that its encoding
    does not have as escapes; otherwise the stream that it is made of.
    """

    failed: OSError | None = None
    """why something that somebody would have read was dropped; None: nothing was"""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # A reader that is slow is waited for.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.set_blocking(stream.fileno(), True)

    def write(self, text: str) -> int:
        """Write it, if somebody is there to read."""
        try:
            return self._write(text)
        except (OSError, ValueError) as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        """Flush what was written, if somebody is there to read."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._drop(error)

    def _write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            return len(text)

    def _drop(self, error: OSError | ValueError) -> None:
        if isinstance(error, ValueError):
            # A user's code has closed it.
            self._stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
            return
        if error.errno not in _NOBODY_READS:
            self.failed = self.failed or error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def open_closed_streams() -> None:
    """Open standard input, output and error to nowhere if this process was started without them: a file that is opened
    next would take their place, and what is printed would be written into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
