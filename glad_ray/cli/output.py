"""Output that outlives its terminal, for a sweep on a cluster goes on when whoever watches it goes away, and that takes
every text, for a terminal may know ASCII alone.
"""

import os
from typing import Any, TextIO


class Lasting:
    """A stream that drops what is written once its other end is gone, and escapes what its encoding does not have; in
    all else the stream that it is made of.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write it, if somebody is there to read."""
        try:
            return self._stream.write(text)
        except UnicodeEncodeError as error:
            return self.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))
        except OSError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        """Flush what was written, if somebody is there to read."""
        try:
            self._stream.flush()
        except OSError:
            self._drop()

    def _drop(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
