"""Processes of a sweep: found by what the kernel says of them, and killed as a machine would."""

import os
import signal
import threading
import time
from pathlib import Path

import ray

TITLES = {
    "a distilling process": "ray::DistillationTrial",
    "a process that starts to distil": "ray::DistillationTrial.__init__",
    "an evaluating process": "ray::evaluation of",
    "a process that trains experts": "ray::expert ",
    "a generator's replica": "ray::Replica",
    "the store of experts": "ray::ExpertStore",
    "the queue of events": "ray::EventQueue",
}
"""what processes of a sweep are called while they do what they are for"""


def until(happens):
    """Wait for something that must happen; pytest-timeout ends the wait if it does not."""
    while not happens():
        time.sleep(0.02)


def workers(socket=None):
    """Process numbers and titles of the workers of a machine, by its raylet's socket; of the first if none is named."""
    socket = socket or ray.nodes()[0]["RayletSocketName"]
    raylets = [pid for pid, text in processes("cmdline") if "raylet/raylet" in text and socket in text]
    return [(pid, text) for pid, text in processes("cmdline") if text.startswith("ray::") and parent(pid) in raylets]


def working(mark):
    """Workers that have a variable in their environment; Ray's idle agents take a minute to notice that it is gone."""
    titles = dict(processes("cmdline"))
    marked = [titles.get(pid, "") for pid, text in processes("environ") if mark in text.split("\0")]
    return [title for title in marked if title.startswith("ray::") and "Agent" not in title]


def processes(file):
    """Every process, with the content of a file that the kernel has of it."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                yield int(folder.name), (folder / file).read_bytes().decode(errors="replace")
            except OSError:
                continue


def parent(pid):
    """The process that started it, 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


class Killer:
    """Kills one worker of this session with a title, as soon as there is one and then `when` says so."""

    def __init__(self, title, when=lambda: True):
        self.title, self.when, self.killed = title, when, None
        self._thread = threading.Thread(target=self._kill, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._thread.join(timeout=0 if error[0] else 60)

    def _kill(self):
        found = []
        until(lambda: found.extend(each for each in workers() if each[1].startswith(self.title)) or found)
        until(self.when)
        os.kill(found[0][0], signal.SIGKILL)
        self.killed = found[0][1]
