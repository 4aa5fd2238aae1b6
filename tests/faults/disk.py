"""A small file system of its own that refuses writes or is full for a while; mounting takes root, or a namespace in
which one is root (unshare -rm).
"""

import contextlib
import subprocess

MIB = 2**20


def mount(*words):
    """Mount or remount."""
    subprocess.run(["mount", *words], check=True)


def fill(path):
    """Write a file until nothing more has room."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        for size in (MIB, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)
