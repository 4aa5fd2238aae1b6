"""Sweeps of every algorithm, kind of space and baseline on a pretended GPU come to what the CPU comes to, bit for bit:
whole, stopped again and again, on the second of two GPUs.
"""

import pytest
import torch

from glad_ray.data import draws
from glad_ray.progress.events import ExpertEpoch, RunProgressed, TrainingDone
from glad_ray.results import read_losses
from glad_ray.spec import Resources, Sweep
from tests.engine import tiny
from tests.gpu_rehearsal import runs
from tests.gpu_rehearsal.gpu import PretendedGPU
from tests.gpu_rehearsal.sweeps import EVALUATION, assert_comes_to_the_same_on_a_gpu, swept
from tests.recorded import Recorded

pytestmark = pytest.mark.usefixtures("forms_for_gpus")
SWEEP = Sweep(name="all", runs=[*runs.DISTILLED.values(), *runs.BASELINES.values()], evaluations=(EVALUATION,))


@pytest.fixture(scope="module")
def cpu(tmp_path_factory, forms_for_gpus):
    """The storage of the sweep that the CPU ran."""
    return swept(SWEEP, tmp_path_factory.mktemp("cpu"), "cpu")


def test_it_comes_to_what_the_cpu_comes_to(cpu, tmp_path):
    assert_comes_to_the_same_on_a_gpu(SWEEP, cpu, tmp_path)


def test_a_sweep_with_deterministic_kernels(cpu, tmp_path):
    few = [runs.DISTILLED[each] for each in ("dc with loops in f2", "dm", "mtt with soft labels in w+", "exact mtt")]
    sweep = SWEEP.replace(runs=few, resources=Resources(deterministic=True))
    with PretendedGPU():
        storage = swept(sweep, tmp_path, "cuda:0")
    assert not torch.are_deterministic_algorithms_enabled()
    for run in few:
        ours, theirs = (read_losses(each, run.run_id).losses for each in (storage, cpu))
        torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-3, atol=1e-5)


class Interrupted(KeyboardInterrupt):
    """What Ctrl-C raises."""


def test_a_sweep_that_is_stopped_again_and_again_comes_to_the_same(cpu, tmp_path):
    shown = set()

    def interrupt(event):
        match event:
            case RunProgressed(run, progress) if progress.step == 2:
                point = run.run_id
            case ExpertEpoch(expert_set, expert, 1):
                point = expert_set.content_id, expert
            case TrainingDone(run):
                point = run.run_id, "evaluation"
            case _:
                return
        if point not in shown:
            shown.add(point)
            raise Interrupted

    some = [run.replace(checkpoint_every=1) for run in SWEEP.runs if run.distils and run.ipc == 1]
    sweep = SWEEP.replace(runs=some)
    with PretendedGPU():
        while True:
            try:
                storage = swept(sweep, tmp_path, "cuda:0", Recorded(interrupt))
                break
            except Interrupted:
                continue
    assert len(shown) > 2 * len(sweep.runs)
    for run in sweep.runs:
        tiny.assert_same_run(storage, cpu, run.run_id)


def test_real_images_that_are_not_kept_on_the_gpu(cpu, tmp_path, monkeypatch):
    monkeypatch.setattr(draws, "KEPT_ON_GPU_BYTES", 0)
    with PretendedGPU():
        storage = swept(SWEEP.replace(runs=[runs.DISTILLED["dm"]]), tmp_path, "cuda:0")
    tiny.assert_same_run(storage, cpu, runs.DISTILLED["dm"].run_id)


def test_the_second_of_two_gpus_computes_alone(cpu, tmp_path):
    few = [runs.DISTILLED[each] for each in ("dc with loops in f2", "mtt with soft labels in w+", "exact mtt")]
    with PretendedGPU(count=2) as gpus:
        storage = swept(SWEEP.replace(runs=few), tmp_path, "cuda:1")
    for run in few:
        tiny.assert_same_run(storage, cpu, run.run_id)
    assert gpus.memories[1].peak > 0
    assert gpus.memories[0].peak == 0
    assert gpus.contexts == {1}
