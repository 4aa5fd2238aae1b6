"""Which faults pass and which stay, how often work is tried again, and how shares of a GPU grow."""

import pytest
import ray
import torch

from glad_ray.engine.jobs import WorkClass
from glad_ray.engine.shares import ShareTable
from glad_ray.errors import DataError, RunError, UnavailableError, UserError, unreadable
from glad_ray.progress.faults import RETRIES, Attempts, Fault, pause_seconds
from glad_ray.spec import Bundle, Resources, Share
from tests.engine import tiny

KINDS = [
    (OSError(30, "Read-only file system"), "infrastructure"),
    (OSError(28, "No space left on device"), "infrastructure"),
    (ConnectionResetError(), "infrastructure"),
    (MemoryError(), "infrastructure"),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"), "infrastructure"),
    (ray.exceptions.WorkerCrashedError(), "infrastructure"),
    (ray.exceptions.ObjectLostError("0" * 56, None, ""), "infrastructure"),
    (torch.cuda.OutOfMemoryError("CUDA out of memory."), "GPU memory"),
    (UnavailableError("x"), "infrastructure"),
    (unreadable("x", OSError(5, "Input/output error")), "infrastructure"),
    (unreadable("x", OSError(116, "Stale file handle")), "infrastructure"),
    (unreadable("x", PermissionError(13, "Permission denied")), "own"),
    (FileNotFoundError(2, "No such file"), "own"),
    (UserError("x"), "own"),
    (DataError("x"), "own"),
    (RunError("the loss is not finite"), "own"),
    (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "own"),
    (ZeroDivisionError(), "own"),
]


@pytest.mark.parametrize(("error", "kind"), KINDS, ids=lambda value: type(value).__name__)
def test_whose_fault(error, kind):
    assert Fault.of(error).kind == kind


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize(("error", "kind"), [KINDS[0], KINDS[7], KINDS[8], KINDS[14], KINDS[17]])
def test_whose_fault_from_another_process(error, kind):
    @ray.remote(max_retries=0, num_cpus=0)
    def fails():
        raise error

    with pytest.raises(ray.exceptions.RayTaskError) as caught:
        ray.get(fails.remote())
    fault = Fault.of(caught.value)
    assert (fault.kind, fault.error) == (kind, Fault.of(error).error)


def test_pauses_grow():
    pauses = [pause_seconds(tries) for tries in range(1, RETRIES + 1)]
    assert pauses == [1, 3, 9, 27, 81]


def test_tries_are_counted_anew_after_progress():
    far = [0]
    attempts, lost = Attempts(lambda: far[0]), Fault("lost", "", "infrastructure")

    def again():
        attempts.begun()
        return attempts.passed(lost)

    for _ in range(3):
        far[0] += 1
        assert [again() for _ in range(RETRIES)] == [True] * RETRIES
    assert not again()
    far[0] += 1
    attempts.begun()
    assert not attempts.passed(Fault("nan", "")), "its own fault"


def test_shares_grow_with_what_is_learned():
    dm, mtt, dc = (WorkClass.of_distillation(tiny.RUNS[name]) for name in ("dm", "mtt", "dc"))
    shares = ShareTable(Resources(trial=Share(gpus=0.25), by_name={"mtt": Share(gpus=0.7)}), most_gpus=0.8)
    had = shares.of(dm)
    assert had == Bundle(1, 0.25, 0)
    assert shares.grow(dm, had)
    assert shares.grow(dm, had), "it failed beside the first"
    assert shares.of(dm).gpus == 0.5
    assert shares.grow(dm, shares.of(dm))
    assert shares.of(dm).gpus == 0.8, "beside a generator there is no more"
    assert not shares.grow(dm, shares.of(dm))
    assert shares.of(mtt).gpus == 0.7
    assert shares.of(dc).gpus == 0.25
    evaluation = WorkClass.of_evaluation(tiny.RUNS["dm"], tiny.EVALUATION, tiny.BACKBONE)
    assert not shares.grow(evaluation, shares.of(evaluation)), "it has none"
