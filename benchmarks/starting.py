"""Seconds from a command to its first result, and the processes that it starts: the quickstart sweep with --small.

Several checkouts are run in turn, each by this Python, in a storage and with a cache of prepared images of its own, the
latter filled before the first that is timed. Processes are counted twice a second: those that compute, which are Ray's
workers by their titles, and how many different ones there were.

    python benchmarks/starting.py
    python benchmarks/starting.py --checkouts . ../before --repeats 3
    python benchmarks/starting.py --address auto   # on a cluster that stands, whose processes are not counted
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from processes import descendants
from rich.console import Console
from rich.table import Table

SWEEP = "sweeps/quickstart.py"
_FIRST = {"trained": "experts", "distilled": "distilled", "finished": "finished"}
"""the words at the beginnings of lines, and what is told by them for the first time"""


class Start(NamedTuple):
    """Of one call, in seconds from the command."""

    first: dict[str, float]
    """when each of `_FIRST` was told for the first time"""
    whole: float
    workers: int
    """processes that computed, one after another or at once"""


def main() -> None:
    """Run all in turn, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkouts", nargs="+", type=Path, default=[Path(__file__).parent.parent])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--address", default="local", help="of a Ray cluster")
    parser.add_argument("--only", nargs="*", default=[], metavar="KEY=VALUE", help="take only these runs")
    given = parser.parse_args()

    starts: dict[Path, list[Start]] = {checkout: [] for checkout in given.checkouts}
    for number in range(given.repeats + 1):
        for checkout, of_it in starts.items():
            start = measure(checkout.resolve(), given.only, given.address)
            if number > 0:
                of_it.append(start)
    print_table(starts)


def measure(checkout: Path, only: Sequence[str], address: str) -> Start:
    """Run the sweep of a checkout once; raises `RuntimeError` if it fails."""
    with tempfile.TemporaryDirectory() as storage:
        words = [sys.executable, "-u", "-m", "glad_ray", "sweep", SWEEP, "--small", "--storage", storage]
        words += ["--address", address]
        words += [word for each in only for word in ("--only", each)]
        began = time.monotonic()
        process = subprocess.Popen(words, cwd=checkout, env=_environment(checkout), stdout=subprocess.PIPE, text=True)
        workers, ended = set[int](), threading.Event()
        counter = threading.Thread(target=_count, args=(process.pid, workers, ended))
        counter.start()
        first: dict[str, float] = {}
        assert process.stdout is not None
        for line in process.stdout:
            if (what := _FIRST.get(line.partition(" ")[0])) is not None:
                first.setdefault(what, time.monotonic() - began)
        code = process.wait()
        whole = time.monotonic() - began
        ended.set()
        counter.join()
    if code:
        raise RuntimeError(f"the sweep of {checkout} ended with {code}")
    return Start(first, whole, len(workers))


def _environment(checkout: Path) -> dict[str, str]:
    """Of a command. Compiled modules are kept: a machine that does not keep them would compile those that one checkout
    has in place and another has not, in every process.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": str(checkout)}


def print_table(starts: dict[Path, list[Start]]) -> None:
    """A line for every checkout: medians."""
    table = Table("checkout", *(f"first {what}, s" for what in _FIRST.values()), "all, s", "processes that compute")
    for checkout, of_it in starts.items():
        seconds = [[start.first[what] for start in of_it if what in start.first] for what in _FIRST.values()]
        table.add_row(
            checkout.resolve().name,
            *(f"{statistics.median(each):.1f}" if each else "" for each in seconds),
            f"{statistics.median(start.whole for start in of_it):.1f}",
            f"{statistics.median(start.workers for start in of_it):g}",
        )
    Console(width=120).print(table)


def _count(process: int, workers: set[int], ended: threading.Event) -> None:
    """Add those of Ray's workers below a process that have a task or an actor by now."""
    while not ended.wait(0.5):
        for each in descendants(process):
            try:
                title = Path(f"/proc/{each}/cmdline").read_text()
            except OSError:
                continue
            if title.startswith("ray::"):
                workers.add(each)


if __name__ == "__main__":
    main()
