"""A place on this machine with a network, processes and a /tmp of its own: what runs there meets nobody, and ends with
this process.
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from tests.faults.processes import parent, processes, until

ROOT = Path(__file__).parents[2]
HOME = "/tmp/home"

# Of what /tmp covers, the paths in $KEPT stay in sight. The first process is parent to those that lost theirs: a shell
# asks after them when they have ended, for which `ray job stop` waits.
_FIRST = """
set -eu
ip link set lo up
cd "$1"
for path in $KEPT; do
    case $path in /tmp/*) mkdir -p ".${path#/tmp}"; mount --bind "$path" ".${path#/tmp}";; esac
done
mount -t tmpfs tmpfs /dev/shm
mount --rbind . /tmp
while :; do sleep 3600; done
"""
_NAMESPACES = ("--net", "--mount", "--pid")


class Apart:
    """The place; its /tmp is `folder` for those outside."""

    def __init__(self, folder, process):
        self.folder, self.process = folder, process

    def entering(self, *kinds):
        """The beginning of a command there, in all its namespaces if none is named."""
        return ["nsenter", f"--target={self.process}", *(kinds or _NAMESPACES)]

    def command(self, *words, folder="/tmp", **environment):
        """The words that run others there, in one of its folders, with nothing of this process's environment."""
        path = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        variables = {"PATH": path, "HOME": HOME, "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        given = [f"{name}={value}" for name, value in (variables | environment).items()]
        return [*self.entering(), "env", "-i", f"--chdir={folder}", *given, *map(str, words)]

    def processes(self):
        """Numbers, as they are outside, and command lines of what runs there."""
        return {pid: text for pid, text in processes("cmdline") if text and _network(pid) == _network(self.process)}


@contextlib.contextmanager
def apart(folder):
    """Such a place, for as long as the context."""
    (folder / "home").mkdir(parents=True)
    kept = (ROOT, sys.prefix, sys.base_prefix, Path(sys.executable).resolve().parent.parent)
    words = ["unshare", *_NAMESPACES, "--fork", "--mount-proc", "--kill-child", "sh", "-c", _FIRST, "first", folder]
    started = subprocess.Popen(
        ["setpriv", "--pdeathsig=KILL", *map(str, words)], env=os.environ | {"KEPT": " ".join(map(str, kept))}
    )
    try:
        first = []
        until(lambda: first.extend(_first_of(started.pid)) or first or started.poll() is not None)
        assert first, "a place apart takes root, and the commands unshare, nsenter, setpriv, mount and ip"
        yield Apart(folder, first[0])
    finally:
        started.kill()
        started.wait()


def _first_of(unshare):
    sleeping = [pid for pid, text in processes("cmdline") if text.startswith("sleep")]
    return [parent(pid) for pid in sleeping if parent(parent(pid)) == unshare]


def _network(pid):
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/net")
