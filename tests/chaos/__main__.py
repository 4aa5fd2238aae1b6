"""Faults in random sequence, or each alone, under a sweep on three machines: does it come to the table of a quiet one?

    python -m tests.chaos --seed 7 --minutes 20
    python -m tests.chaos --alone

Every process is a real one: a cluster of three raylets on this machine, and `glad-ray sweep --address`, given again
until all is done. All of it has a temporary folder, /dev/shm, process numbers and a network of its own, for which it
takes root or user namespaces. Exit code 1: something was not as in quiet, and it is said what.
"""

import argparse
import fcntl
import os
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.place import DISK, IMAGES, PLACE, TEMPORARY

_INSIDE = "CHAOS_INSIDE"
_SET_FLAGS, _UP, _RUNNING = 0x8914, 0x1, 0x40  # of Linux, <linux/sockios.h> and <net/if.h>


def main() -> int:
    """Parse what is given, and do it in namespaces of its own."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="of the faults, their victims and the pauses between them")
    parser.add_argument("--minutes", type=float, default=20.0, help="of faults, until there is peace")
    parser.add_argument("--alone", action="store_true", help="each fault once, with a quiet time after it")
    parser.add_argument("--runs", type=int, default=24, help="of the sweep, 24 at most")
    parser.add_argument(
        "--quiet",
        type=Path,
        default=Path(tempfile.gettempdir()) / "glad-ray-chaos",
        help="a folder for the table of the quiet sweep, which is computed once, and what commands write",
    )
    given = parser.parse_args()
    if _INSIDE not in os.environ:
        _enter()
    return _inside(given)


def _enter() -> None:
    """Execute the same again in namespaces of its own."""
    PLACE.mkdir(exist_ok=True)
    user = ["--map-root-user"] if os.getuid() else []
    mounts = f"mount -t tmpfs tmpfs {PLACE} && mount -t tmpfs tmpfs /dev/shm && mkdir {DISK} {IMAGES} {TEMPORARY}"
    # A shell is the first process: it waits for those that others leave behind, and nobody's parent has the number 1,
    # which Ray takes for a parent that is dead.
    os.execvpe(
        "unshare",
        ["unshare", *user, "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child",
         "sh", "-c", f'{mounts} || exit 2; "$@"; exit $?', "sh", sys.executable, "-m", "tests.chaos", *sys.argv[1:]],
        os.environ | {_INSIDE: "1", "TMPDIR": str(TEMPORARY)},
    )  # fmt: skip


def _inside(given: argparse.Namespace) -> int:
    from rich.console import Console

    from tests.chaos.storm import Storm, quiet_rows
    from tests.chaos.sweep import sweep

    _loopback_up()
    console = Console(width=120)
    made, outputs = sweep(given.runs), given.quiet / (f"{'alone' if given.alone else 'random'}-{given.seed}")
    outputs.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    quiet = quiet_rows(made, given.quiet)
    console.print(f"The quiet table: {len(quiet)} rows, {time.monotonic() - began:.0f} s")
    account = Storm(made, given.seed, outputs).run(None if given.alone else given.minutes, quiet)
    console.print(account.table())
    for each in account.wrong:
        console.print(f"wrong: {each}", markup=False, soft_wrap=True)
    return 1 if account.wrong else 0


def _loopback_up() -> None:
    """What `ip link set lo up` does, which not every machine has."""
    request = struct.pack("16sh14x", b"lo", _UP | _RUNNING)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, request)


if __name__ == "__main__":
    sys.exit(main())
