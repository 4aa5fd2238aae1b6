"""pytest in a process of its own in which there seem to be GPUs."""

import os
import subprocess
import sys

PLUGIN = "tests.gpu_rehearsal.plugin"


def rehearse(*arguments, root, environment=None):
    """Run pytest with some arguments in a folder; returns the exit code and what it said."""
    command = [sys.executable, "-m", "pytest", "-p", PLUGIN, "-p", "no:cacheprovider", "-q", *map(str, arguments)]
    environment = (environment or os.environ) | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    return ended.returncode, ended.stdout + ended.stderr
