"""What trials share: handles in place of a generator and of expert files, and tasks that are lost."""

import subprocess
import sys
import tempfile

import numpy as np
import pytest
import ray
import torch

from glad_ray.engine.budget import Budget
from glad_ray.engine.cluster.connection import connected
from glad_ray.engine.on_ray.context import sharing
from glad_ray.engine.on_ray.expert_store import ExpertStore, start_expert_store
from glad_ray.engine.on_ray.remote_trajectories import RemoteTrajectories
from glad_ray.engine.on_ray.tasks import RayTasks
from glad_ray.engine.remaining import RemainingWork
from glad_ray.engine.scheduler import Scheduler
from glad_ray.engine.shares import ShareTable
from glad_ray.errors import DataError, UserError
from glad_ray.experts import ExpertFiles
from glad_ray.progress.events import Retried
from glad_ray.progress.faults import RETRIES
from glad_ray.spec import Resources
from tests.engine import tiny
from tests.engine.losing import Losing, lose

pytestmark = pytest.mark.usefixtures("ray_session")


def here():
    return ray.get_runtime_context().get_node_id()


def test_experts_outlive_their_store(in_process):
    storage, _ = in_process
    expert_set = tiny.RUNS["mtt"].expert_set
    files = ExpertFiles(storage, expert_set)
    store = start_expert_store("store", storage, expert_set, here())
    handle = RemoteTrajectories("store", expert_set)
    assert handle.expert_set == files.expert_set

    def assert_all_segments():
        for expert, start in np.ndindex(2, 2):
            for there, here in zip(handle.segment(expert, start, 1), files.segment(expert, start, 1), strict=True):
                assert torch.equal(there, here)

    assert_all_segments()
    handle.expect(1, 0, 1)
    assert_all_segments()
    kept = ray.get(store.segment.remote(0, 0, 1))
    assert kept == ray.get(store.segment.remote(0, 0, 1)), "a snapshot is stored once"
    ray.get(store.forget.remote())
    assert kept != ray.get(store.segment.remote(0, 0, 1))
    handle.expect(0, 0, 1)
    ray.kill(store, no_restart=False)
    assert_all_segments()
    ray.kill(store)


def test_nothing_is_under_way_when_the_queue_of_events_ends(storage):
    """Ray would print of each call that it failed, at the end of a sweep in which nothing did."""
    nothing = RemainingWork((), (), (), (), ())
    with sharing(tiny.plan("dm").sweep, nothing, storage, {}, {}) as (context, _):
        taken = [context.events.take.remote(False) for _ in range(1000)]
    assert ray.get(taken) == [[]] * 1000


class Counting(ExpertStore):
    """A store that remembers what it was asked."""

    def __init__(self, storage, expert_set):
        super().__init__(storage, expert_set)
        self.questions = []

    def segment(self, *of):
        self.questions.append(of)
        return super().segment(*of)

    def asked(self):
        return self.questions


def test_what_is_expected_is_fetched_before_it_is_asked_for(in_process):
    storage, _ = in_process
    expert_set = tiny.RUNS["mtt"].expert_set
    store = ray.remote(Counting).options(name="counting", num_cpus=0).remote(storage, expert_set)
    handle, files = RemoteTrajectories("counting", expert_set), ExpertFiles(storage, expert_set)
    handle.expect(1, 1, 1)
    assert ray.get(store.asked.remote()) == [(1, 1, 1)]
    for question in ((0, 0, 1), (1, 1, 1)):
        assert all(map(torch.equal, handle.segment(*question), files.segment(*question)))
    assert ray.get(store.asked.remote()) == [(1, 1, 1), (0, 0, 1)]
    handle.segment(1, 1, 1)
    assert len(ray.get(store.asked.remote())) == 3, "an answer is taken once"
    ray.kill(store)


def test_what_is_wrong_with_a_file_is_told_to_the_trial(in_process, storage):
    expert_set = tiny.RUNS["mtt"].expert_set
    store = start_expert_store("empty", storage, expert_set, here())
    handle = RemoteTrajectories("empty", expert_set)
    handle.expect(0, 0, 1)
    with pytest.raises(DataError, match=r"expert-0000\.arrow is missing: run again"):
        handle.segment(0, 0, 1)
    ray.kill(store)


class TasksAlone(RayTasks):
    """An executor of tasks."""

    def poll(self, timeout_seconds, on_event):
        return super().poll(timeout_seconds)

    def capacity(self):
        return 0

    def drive(self, turn):
        while turn():
            pass


class OneJob:
    """A policy of one job."""

    def __init__(self, job):
        self.job, self.values, self.faults = job, [], []

    def first(self):
        return [self.job]

    def more(self, room):
        return ()

    def succeeded(self, job, value):
        self.values.append(value)
        return ()

    def failed(self, job, fault, step):
        self.faults.append(fault)
        return ()


@pytest.mark.parametrize("times", [1, pytest.param(RETRIES + 1, marks=pytest.mark.full)])
def test_lost_tasks_are_submitted_again(times, tmp_path, view):
    policy, resources = OneJob(Losing(str(tmp_path), times)), Resources()
    executor = TasksAlone(lose, None)
    Scheduler(executor, policy, ShareTable(resources), Budget(resources), view, pause=lambda tries: 0.1).run()
    assert [event.what for event in view.of(Retried)] == ["it"] * min(times, RETRIES)
    if times <= RETRIES:
        assert policy.values == ["here"]
    else:
        (fault,) = policy.faults
        assert fault.error == f"lost with its process or machine, {RETRIES + 1} times"


def test_a_client_is_no_driver():
    with pytest.raises(UserError, match="on the cluster"), connected("ray://somewhere:10001"):
        pass


def test_a_cluster_that_is_not_there_is_told_at_once():
    address = "127.0.0.1:1"
    words = [sys.executable, "-m", "glad_ray", "sweep", "sweeps/quickstart.py", "--small", "--address", address]
    with tempfile.TemporaryDirectory() as folder:
        ended = subprocess.run([*words, "--storage", folder], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"glad-ray: There is no Ray cluster at {address}: start one")
    assert len(ended.stderr.splitlines()) == 1
