"""A server in this process, asked over a socket as a browser does, and storages for it to show."""

import contextlib
import http.client
import json
import threading
from typing import NamedTuple

import numpy as np
from safetensors.numpy import save

from glad_ray.plan import make_plan, write_plan
from glad_ray.results import Entry, Failure, write_failure
from glad_ray.serve.server import ready
from tests.report import sample

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self):
        return self.body.decode()


class Client(NamedTuple):
    port: int

    def ask(self, path, method="GET", **headers):
        """The answer to one request, with no header but those of http.client and those given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())


@contextlib.contextmanager
def serving(*storages, **options):
    """A client of a server that shows some storages."""
    with ready(storages, **{"host": "127.0.0.1", "port": 0} | options) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield Client(server.listening.getsockname()[1])
        finally:
            server.server.should_exit = True
            thread.join()


def write_begun_sweep(storage):
    """A sweep of which all but four runs are finished: one distils, one is distilled, one has not begun, and one
    failed, with words in it that a page must not take for its own.
    """
    sweep = sample.small_sweep()
    plan = make_plan(sweep)
    write_plan(plan, storage)
    of = {(run.algorithm.name, run.space): run for run in plan.runs}
    distilling, evaluating, planned, failed = of["dc", "f8"], of["dm", "f4"], of["dm", "f8"], of["dc", "f4"]
    for run in plan.runs:
        if run not in (distilling, evaluating, planned, failed):
            finish(storage, run, sweep)
    write(storage, distilling, "started")
    write(storage, distilling, "checkpoint", step=20, loss=0.5, seconds=3.0)
    write_checkpoint(storage, distilling, np.linspace(1, 0.5, 20))
    write(storage, evaluating, "started")
    storage.write_bytes(storage.distillation_path(evaluating.run_id), b"{}")
    write_failure(
        storage,
        Failure(run_id=failed.run_id, stage="distill", error=HOSTILE, traceback=f"Traceback\n  {HOSTILE}", step=12),
    )
    return plan, {
        "finished": of["dc", "pixel"],
        "distilling": distilling,
        "evaluating": evaluating,
        "planned": planned,
        "failed": failed,
    }


def finish(storage, run, sweep):
    """What a finished run leaves."""
    sample.write_run(storage, run, sweep.evaluations[0], sweep.name)
    storage.write_bytes(storage.distillation_path(run.run_id), b"{}")
    write(storage, run, "distilled", seconds=1.0)


def write(storage, run, name, **fields):
    """An entry of a run."""
    entry = Entry(host="node-7", **fields)
    storage.write_bytes(storage.entry_path(run.run_id, name), entry.model_dump_json().encode())


def write_checkpoint(storage, run, losses):
    """The part of a checkpoint in which its losses are."""
    tensors = {"losses": np.asarray(losses), "loss_seconds": np.arange(len(losses), dtype=float)}
    storage.write_bytes(storage.checkpoint_path(run.run_id, len(losses)), save(tensors))


def write_set(storage, run, step, classes=10, side=8):
    """A kept set with images of one colour a class."""
    labels = np.arange(classes, dtype=np.int64)
    images = np.broadcast_to(labels[:, None, None, None] / classes, (classes, 3, side, side)).astype(np.float32)
    metadata = {"normalisation": json.dumps({"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]})}
    content = save({"images": images.copy(), "labels": labels}, metadata)
    storage.write_bytes(storage.set_path(run.run_id, step), content)
