"""Ray's own processes that a cluster of one machine is started without, and what is imported before its first task."""

import contextlib
import sys

import pytest
from glad_ray.engine.cluster.few_processes import few_processes
from ray._private.node import Node

from tests.telling import told_by

LEFT_OUT = ("start_monitor", "start_log_monitor", "start_api_server")
STARTED = """
import ray
from glad_ray.engine.cluster.connection import connected
from glad_ray.engine.cluster.first_process import check_first_process
from tests.recorded import Recorded
from tests.telling import tell
with connected("local"):
    check_first_process(Recorded())
    tell(sorted(ray._private.worker._global_node.all_processes))
"""
IMPORTED = """
import sys
import glad_ray.engine.on_ray.run
from tests.telling import tell
tell(sorted({"pandas", "ray.data", "ray.tune"} & sys.modules.keys()))
"""


def test_ray_starts_them_again_afterwards():
    found = {name: getattr(Node, name) for name in LEFT_OUT}
    with contextlib.suppress(KeyboardInterrupt), few_processes():
        assert all(getattr(Node, name) is not method for name, method in found.items())
        raise KeyboardInterrupt
    assert {name: getattr(Node, name) for name in LEFT_OUT} == found


def test_a_version_of_ray_that_has_no_such_method_gets_none(monkeypatch):
    monkeypatch.delattr(Node, "start_monitor")
    with few_processes():
        assert not hasattr(Node, "start_monitor")
    assert not hasattr(Node, "start_monitor")


@pytest.mark.cluster
@pytest.mark.full
def test_a_cluster_of_one_machine_has_none_of_them():
    """The session that tests share is started in another way."""
    (started,) = told_by([sys.executable, "-c", STARTED])
    assert started == ["gcs_server", "raylet"]


@pytest.mark.full
def test_the_first_tasks_do_not_wait_for_tune_to_be_imported():
    """Nor for what it imports: a second of its own."""
    (imported,) = told_by([sys.executable, "-c", IMPORTED])
    assert imported == []
