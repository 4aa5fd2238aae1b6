"""The command that drives the sweep, given again and again; how it ended is judged."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from glad_ray.data.prepare import CACHE_VARIABLE
from tests.chaos import sweep
from tests.chaos.machines import ENVIRONMENT
from tests.chaos.place import IMAGES

_SWEEP = Path(sweep.__file__)
_OF_RAY = re.compile(r"^(\[\d{4}-\d\d-\d\d |\S*\((raylet|gcs_server|autoscaler)\b|\s+\(\d\) ).*\n?", re.MULTILINE)
_SENTENCE = re.compile(r"\s*glad-ray: [^\n]+\n\s*")


def words(storage: str, *more: str) -> list[str]:
    """The command, as it is typed."""
    return [sys.executable, "-m", "glad_ray", "sweep", str(_SWEEP), "--storage", storage, *more]


def environment(runs: int) -> dict[str, str]:
    """Of the command, for so many runs."""
    return os.environ | ENVIRONMENT | {sweep.RUNS: str(runs), CACHE_VARIABLE: str(IMAGES)}


def judged(code: int, told: str, complaint: str) -> str | None:
    """What was wrong with the way in which a command ended that was not killed, by its exit code and what it wrote to
    standard output and error; None: nothing.
    """
    if "Traceback" in told or "Traceback" in complaint:
        return "a traceback"
    if code < 0:
        return f"signal {-code}"
    if code and not _SENTENCE.fullmatch(complaint):
        return f"not one sentence with exit code {code}: {complaint.strip()[-500:]!r}"
    return None


class Command:
    """The process of the command that was given last, and what each of them said."""

    def __init__(self, outputs: Path, address: str, runs: int) -> None:
        self.outputs, self.address, self.runs = outputs, address, runs
        self.given, self.given_at = 0, 0.0
        self.killed = self.terminated = False

    def give(self, storage: Path) -> None:
        """Once more."""
        self.given, self.given_at = self.given + 1, time.monotonic()
        self.killed = self.terminated = False
        with self._file("out").open("w") as out, self._file("err").open("w") as err:
            self.process = subprocess.Popen(
                words(str(storage), "--address", self.address),
                env=environment(self.runs),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def code(self) -> int | None:
        """Its exit code, None while it runs."""
        return self.process.poll()

    @property
    def told(self) -> str:
        """What it wrote to standard output."""
        return self._file("out").read_text(errors="replace")

    @property
    def complaint(self) -> str:
        """What it wrote to standard error, without the lines of Ray's own log."""
        return _OF_RAY.sub("", self._file("err").read_text(errors="replace"))

    @property
    def wrong(self) -> str | None:
        """What was wrong with the way in which it ended."""
        assert self.code is not None
        # Before the command itself handles it, SIGTERM ends a process without a word.
        unsaid = self.terminated and self.code == -signal.SIGTERM and not self.told
        return None if self.killed or unsaid else judged(self.code, self.told, self.complaint)

    def kill(self) -> None:
        """SIGKILL."""
        self.killed = True
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        """SIGTERM."""
        self.terminated = True
        self.process.send_signal(signal.SIGTERM)

    def ends_within(self, seconds: float) -> bool:
        """Wait for it to end by itself."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _file(self, kind: str) -> Path:
        return self.outputs / f"command-{self.given}.{kind}"
