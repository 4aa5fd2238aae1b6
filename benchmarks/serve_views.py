"""What a view of `glad-ray serve` costs on a storage of thousands of runs: seconds of the server, and bytes.

The storage is that of `scale_storage.py`: all its runs are finished. Each view is asked for over a socket, as by a
browser that takes gzip: for the first time, and three times more, of which the quickest is told. CPU seconds are those
of this process, which may read the storage again meanwhile, as the server does while somebody looks at it.

    python benchmarks/serve_views.py --runs 4000
    python benchmarks/serve_views.py --storage runs/mine
"""

import argparse
import http.client
import tempfile
import threading
import time
from typing import NamedTuple

import scale
import scale_storage
from rich.console import Console
from rich.table import Table

from glad_ray.plan import make_plan
from glad_ray.serve.server import ready
from glad_ray.storage import Storage

VIEWS = {
    "overview": "/1/",
    "runs, the first page": "/1/runs",
    "runs, the last page": "/1/runs?page=99999",
    "runs with words": "/1/runs?words=dc+f4+seed+1",
    "accuracy": "/1/results",
    "accuracy, another selection": "/1/results?selection=best-on-test",
    "losses": "/1/losses",
    "losses, another page": "/1/losses?page=2",
    "failures": "/1/failures",
    "a run": "/1/runs/{run_id}",
}
_AGAIN = 3


class View(NamedTuple):
    """What a view took."""

    seconds: float
    """from asking to the end of the answer"""
    cpu_seconds: float
    sent_bytes: int


def ask(port: int, path: str) -> tuple[View, bytes]:
    """Ask for a view once."""
    began, cpu = time.perf_counter(), time.process_time()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, (path, answer.status)
    return View(time.perf_counter() - began, time.process_time() - cpu, len(body)), body


def measure(storage: Storage, console: Console) -> None:
    """Print what reading a storage and showing it takes."""
    began, cpu = time.perf_counter(), time.process_time()
    with ready([storage], host="127.0.0.1", port=0) as server:
        taken = f"{time.process_time() - cpu:.1f} CPU s, {time.perf_counter() - began:.1f} s"
        console.print(f"from the start until it answers: {taken}")
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            port = server.listening.getsockname()[1]
            (run_id, *_) = (path.rpartition("/")[2] for path in storage.list(Storage.RUNS))
            while b"is being read" in ask_plain(port, "/1/results"):
                time.sleep(0.5)
            taken = f"{time.process_time() - cpu:.1f} CPU s, {time.perf_counter() - began:.1f} s"
            console.print(f"from the start until the tables are there too: {taken}")
            console.print(views_table(port, run_id))
        finally:
            server.server.should_exit = True
            thread.join()


def ask_plain(port: int, path: str) -> bytes:
    """A page as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("GET", path)
    body = connection.getresponse().read()
    connection.close()
    return body


def views_table(port: int, run_id: str) -> Table:
    """A line for every view."""
    table = Table("view", "first s", "first CPU s", "again s", "again CPU s", "kB", "kB by gzip")
    for title, path in VIEWS.items():
        address = path.format(run_id=run_id)
        first, _ = ask(port, address)
        again = min((ask(port, address)[0] for _ in range(_AGAIN)), key=lambda view: view.cpu_seconds)
        table.add_row(
            title,
            f"{first.seconds:.2f}",
            f"{first.cpu_seconds:.2f}",
            f"{again.seconds:.2f}",
            f"{again.cpu_seconds:.2f}",
            f"{len(ask_plain(port, address)) / 1000:.0f}",
            f"{again.sent_bytes / 1000:.0f}",
        )
    return table


def main() -> None:
    """Make a storage, unless one is named, and print what its views take."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--storage", help="of a sweep, in place of one that is made")
    given = parser.parse_args()
    console = Console(width=120)
    if given.storage is not None:
        measure(Storage.open(given.storage, create=False), console)
        return
    with tempfile.TemporaryDirectory() as folder:
        storage = Storage.open(folder)
        scale_storage.fill(make_plan(scale.many(given.runs, experts=False)), storage)
        measure(storage, console)


if __name__ == "__main__":
    main()
