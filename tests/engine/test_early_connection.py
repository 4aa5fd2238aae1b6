"""Ray is connected to while what computes is imported, and nothing of it is left where a sweep is refused."""

import contextlib
import os
import subprocess
import sys
import threading

import pytest

from glad_ray.engine.cluster import early_connection
from glad_ray.engine.cluster.early_connection import connected_early, first_tasks
from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.errors import UserError
from glad_ray.progress.events import PointReached, RunFinished
from glad_ray.spec import Bundle
from tests.engine import tiny


def test_what_connects_imports_neither_pytorch_nor_tune():
    code = "import sys, glad_ray.engine.cluster.early_connection; print({'torch', 'ray.tune'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "set()\n"


def test_the_first_tasks_are_trainings_of_experts_without_a_gpu(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert first_tasks(tiny.plan("mtt", "dm")) == [Bundle(1, 0, 0)] * 2
    assert first_tasks(tiny.plan("mtt", experts_together=2)) == [Bundle(1, 0, 0)]
    assert first_tasks(tiny.plan("mtt", expert={"cpus": 3})) == [Bundle(3, 0, 0)]
    assert first_tasks(tiny.plan("mtt", expert={"gpus": 0.5})) == []
    assert first_tasks(tiny.plan("dm", evaluations=(tiny.EVALUATION,))) == []


@pytest.mark.parametrize("refused", ["connection", "sweep"])
def test_what_is_refused_leaves_no_connection_and_no_thread(refused, view, monkeypatch):
    told = []

    @contextlib.contextmanager
    def connection(address):
        told.append(address)
        if refused == "connection":
            raise UserError("no cluster")
        try:
            yield
        finally:
            told.append("left")

    monkeypatch.setattr(early_connection, "connected", connection)
    monkeypatch.setattr(early_connection, "check_first_process", lambda view: None)
    with pytest.raises(UserError), connected_early("somewhere", view):
        raise UserError("no such network")
    assert told == ["somewhere", "left"][: 2 if refused == "sweep" else 1]
    assert not any(thread.name == "imports" for thread in threading.enumerate())


@pytest.mark.ray
def test_a_sweep_on_an_early_connection(ray_session, storage, view):
    """The sweep finds the connection, and no task that only imports holds it up."""
    plan = tiny.plan("random")
    with connected_early(None, view, first_tasks(tiny.plan("mtt"))):
        run_on_ray(plan, storage, address=None, view=view)
    assert len(view.of(RunFinished)) == 1
    points = list(dict.fromkeys(event.point for event in view.of(PointReached)))
    assert points == ["Ray connected", "first process", "imports", "checks", "images"]
