"""Which GPU a unit of work on Ray computes on, and what an error leaves there."""

import gc
import os
from types import SimpleNamespace

import pytest
import ray
import torch

from glad_ray.engine.jobs import Outcome
from glad_ray.engine.local_executor import LocalExecutor
from glad_ray.engine.on_ray.devices import ALL_SEEN, free_frames, job_device
from glad_ray.errors import GladRayError, UserError
from glad_ray.progress.faults import Fault
from glad_ray.spec import Resources

pytestmark = pytest.mark.unit


@pytest.fixture
def on_ray(monkeypatch):
    """A process of Ray on a machine with so many GPUs, which gave it one of those that it sees."""

    def on(given, seen, *, all_seen="1", gpus=2):
        monkeypatch.setattr(ray, "get_gpu_ids", lambda: [given])
        monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "here"))
        monkeypatch.setattr(ray, "nodes", lambda: [{"NodeID": "here", "Resources": {"GPU": gpus}}])
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setenv(ALL_SEEN, all_seen)
        if seen is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)

    return on


@pytest.mark.parametrize(
    ("given", "seen", "expected"),
    [
        (1, None, "cuda:1"),
        ("6", "4,6", "cuda:1"),
        ("4", "4, 6", "cuda:0"),
        (" 6", "4, 6", "cuda:1"),
        ("GPU-8932f937", "GPU-5c6f6a4e,GPU-8932f937", "cuda:1"),
        ("MIG-GPU-8932f937/1/0", "MIG-GPU-8932f937/1/0", "cuda:0"),
    ],
)
def test_the_position_of_the_one_given_among_those_seen(on_ray, given, seen, expected):
    on_ray(given, seen)
    assert job_device(Resources(), 0.5) == expected


def test_where_ray_hides_gpus_from_processes_that_it_uses_again(on_ray):
    on_ray("1", "1", all_seen="0", gpus=1)
    assert job_device(Resources(), 0.5) == "cuda:0"
    on_ray("1", "1", all_seen="0", gpus=2)
    with pytest.raises(UserError, match=f"several GPUs.*without {ALL_SEEN}=1.* before ray.init"):
        job_device(Resources(), 0.5)


def test_without_a_share_none_is_seen(on_ray):
    on_ray("1", None)
    assert job_device(Resources(), 0) == "cpu"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_what_lies_in_the_frames_of_an_error_is_let_go():
    class Large:
        pass

    def fails():
        kept = Large()
        try:
            raise ValueError(str(kept))
        except ValueError as error:
            raise RuntimeError("later") from error

    def left():
        return [each for each in gc.get_objects() if type(each) is Large]

    with pytest.raises(RuntimeError) as raised:
        fails()
    assert left()
    # As `raise error from error` leaves it.
    raised.value.__cause__.__cause__ = raised.value
    free_frames(raised.value)
    assert not left()


def test_a_gpu_that_failed_ends_the_process_that_has_no_other():
    def fails(job, on_event):
        return Outcome(fault=Fault.of(torch.AcceleratorError("CUDA error: unspecified launch failure")))

    executor = LocalExecutor(fails)
    executor.submit("a job", None, 0)
    with pytest.raises(GladRayError, match=r"The GPU failed \(.*launch failure\).*: run the command again"):
        executor.poll(0, lambda event: False)
