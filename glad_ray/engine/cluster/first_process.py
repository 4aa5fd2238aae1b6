"""A bound on the wait for the first process that Ray starts for some work, which by itself it would wait for in silence
and without an end.
"""

import sys
import time
from typing import Any

import ray
from ray.exceptions import RayError

from glad_ray.engine.cluster.start_errors import ray_logs
from glad_ray.errors import UserError
from glad_ray.progress.events import Waiting
from glad_ray.progress.view import View

SAID_AFTER_SECONDS = 15.0
AT_MOST_SECONDS = 300.0
_LOOK_SECONDS = 0.5
_LONGEST = 400
"""characters that are told of what Ray says"""


class FirstProcess:
    """Waits for a process: says so after some seconds, and ends the wait after some minutes, if it has a bound."""

    def __init__(
        self,
        what: str,
        view: View,
        said_after_seconds: float = SAID_AFTER_SECONDS,
        at_most_seconds: float = AT_MOST_SECONDS,
    ) -> None:
        """`what` is waited for, for messages: "the first process of a trial", say."""
        self._what, self._view = what, view
        self._said_after, self._at_most = said_after_seconds, at_most_seconds
        self._began: float | None = None
        self._said = False

    def hold(self) -> None:
        """Take what was waited so far for nothing: something else is in the way, which comes to its end."""
        self._began = None

    def check(self) -> None:
        """To be called again and again while there is none, the first time when it is due; raises `UserError` after the
        bound.
        """
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        waited = now - self._began
        if waited > self._at_most:
            raise UserError(
                f"{self._what[:1].upper()}{self._what[1:]} has not started in {waited:.0f} seconds: {_why()}."
            )
        if waited > self._said_after and not self._said:
            self._said = True
            self._view.show(Waiting(self._what, waited, self._at_most, _why()))


def check_first_process(
    view: View, said_after_seconds: float = SAID_AFTER_SECONDS, at_most_seconds: float = AT_MOST_SECONDS
) -> None:
    """Return once a process of the cluster has answered; raises `UserError` if none does, or Ray says why it cannot."""

    def answer() -> None:
        """What the process does. Not a function of this module, which it would import, with all that this imports."""

    first = FirstProcess("a first process of Ray", view, said_after_seconds, at_most_seconds)
    # It needs no CPU, so it waits for no other work.
    answered: ray.ObjectRef[Any] = ray.remote(answer).options(num_cpus=0, max_retries=0).remote()
    while not ray.wait([answered], timeout=min(_LOOK_SECONDS, at_most_seconds))[0]:
        first.check()
    try:
        ray.get(answered)
    except RayError as error:
        said = " ".join(str(error).split())[:_LONGEST].rstrip(". ")
        raise UserError(f"Ray could not start a process: {said}: {_why()}.") from error


def _why() -> str:
    return (
        f"Ray's logs in {ray_logs()} say why; usual reasons are a Python that is not the same on every machine (here "
        f"{sys.executable}) or has a space in its path there, a runtime environment that does not start it, too little "
        "memory, and a full disk"
    )
