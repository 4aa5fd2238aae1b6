"""A job that takes its process with it: in a module that a process imports in a moment."""

import os
import signal
from typing import NamedTuple

from glad_ray.engine.jobs import Outcome, WorkClass


class Losing(NamedTuple):
    """It is lost as many times as asked; `folder` has a file for each."""

    folder: str
    times: int
    label: str = "it"
    key: tuple[str, ...] = ("it",)
    work_class: WorkClass = WorkClass("expert", "convnet", "it")


def lose(job, context):
    """Carry it out."""
    if len(os.listdir(job.folder)) < job.times:
        open(os.path.join(job.folder, str(os.getpid())), "x").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome("here")
