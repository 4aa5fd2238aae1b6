"""How many units of work a GPU is given, from what their first steps took."""

from types import SimpleNamespace

import pytest
import torch

from glad_ray.data import load_dataset
from glad_ray.engine.computing import own_generator
from glad_ray.engine.jobs import DistillationJob, EvaluationJob, ExpertsJob, WorkClass
from glad_ray.engine.measuring import try_job
from glad_ray.engine.shares import Measured, ShareTable
from glad_ray.spec import DM, MTT, LearningRates, Network, Resources, Share
from glad_ray.spec.generators import GIB
from tests.engine import tiny

AUTO = Resources(trial=Share(gpus="auto"), by_name={"mtt": Share(gpus=0.5)})
DM_KIND = WorkClass.of_distillation(tiny.RUNS["dm"])


def measured(took_gib, free_gib=80, gpus=1):
    return Measured(int(took_gib * GIB), free_gib * GIB, 80 * GIB, gpus)


def test_a_whole_gpu_until_it_is_measured():
    shares = ShareTable(AUTO)
    assert AUTO.share_of("trial", "dm").measured
    assert not AUTO.share_of("trial", "mtt").measured
    assert not AUTO.share_of("evaluation", "convnet").measured
    assert shares.of(DM_KIND).gpus == 1
    assert shares.of(WorkClass.of_distillation(tiny.RUNS["mtt"])).gpus == 0.5
    assert ShareTable(AUTO, most_gpus=0.75).of(DM_KIND).gpus == 0.75


@pytest.mark.parametrize(
    ("took_gib", "most_gpus", "at_once"),
    [(20, 1.0, 3), (10, 1.0, 6), (10, 0.5, 3), (79, 1.0, 1), (200, 1.0, 1), (0.001, 1.0, 16)],
)
def test_as_many_as_have_room_with_a_margin(took_gib, most_gpus, at_once):
    shares = ShareTable(AUTO, most_gpus)
    assert shares.pack({DM_KIND: measured(took_gib)}) == {DM_KIND: at_once}
    gpus = shares.of(DM_KIND).gpus
    assert gpus * at_once <= most_gpus
    assert gpus * (at_once + 1) > most_gpus


@pytest.mark.parametrize(
    ("took", "at_once"),
    [
        ((measured(20), measured(0.001)), (3, 16)),
        ((measured(20, free_gib=30), measured(1, free_gib=30)), (1, 16)),
        # 16 processes for each of 8 GPUs would have contexts of 75 GiB.
        ((measured(0.5, gpus=8),), (15,)),
        ((measured(5, gpus=8), measured(0.5, gpus=8)), (7, 8)),
        ((measured(10, free_gib=1),), (1,)),
        ((), ()),
    ],
)
def test_contexts_of_all_processes_and_memory_of_others_have_room_too(took, at_once):
    kinds = [DM_KIND._replace(name=str(number)) for number in range(len(took))]
    assert tuple(ShareTable(AUTO).pack(dict(zip(kinds, took, strict=True))).values()) == at_once


def test_what_was_too_little_in_spite_of_it_is_doubled_once():
    shares = ShareTable(AUTO)
    shares.pack({DM_KIND: measured(10)})
    had = shares.of(DM_KIND)
    assert shares.grow(DM_KIND, had)
    assert shares.grow(DM_KIND, had), "of those that ran out together the second one, too, is tried again"
    assert shares.of(DM_KIND).gpus == 2 * had.gpus


def test_kinds_differ_in_what_takes_memory_alone():
    run = tiny.RUNS["dm"]
    rates = LearningRates(pixels=1.0, f=1.0, w=1.0)
    assert (
        WorkClass.of_distillation(run.replace(seed=7, algorithm=run.algorithm.replace(learning_rates=rates))) == DM_KIND
    )
    assert WorkClass.of_distillation(run.replace(algorithm=run.algorithm.replace(iterations=3))) == DM_KIND
    others = [
        run.replace(algorithm=DM(iterations=40, real_batch_size=16)),
        run.replace(images_per_class=2),
        run.replace(backbone=Network(width=16)),
        run.replace(resolution=64),
        tiny.RUNS["dm f3"],
        run.replace(algorithm=MTT()),
    ]
    assert len({DM_KIND, *map(WorkClass.of_distillation, others)}) == 1 + len(others)


@pytest.mark.parametrize("name", tiny.SOUND)
def test_first_steps_are_made_and_nothing_is_kept(name, storage):
    run, cpu = tiny.RUNS[name], torch.device("cpu")
    evaluation = tiny.EVALUATION
    shared = SimpleNamespace(
        sweep=tiny.plan(name).sweep,
        storage=storage,
        dataset=lambda of: load_dataset(run.dataset, resolution=32, held_out=5),
        generator=lambda run, device: None if run.generator is None else own_generator(run, Resources(), device),
    )
    if run.ipc is not None:
        try_job(DistillationJob(run), shared, cpu)
    try_job(EvaluationJob(run, evaluation, evaluation.networks[0]), shared, cpu)
    if run.expert_set is not None:
        try_job(ExpertsJob(run.expert_set, (0, 1)), shared, cpu)
    assert storage.tree("") == ()
