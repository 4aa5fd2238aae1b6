"""The memory of a GPU is given back: by whatever ends, in whatever way, and without the garbage collector."""

import gc
from types import SimpleNamespace

import pytest
import torch

from glad_ray import set_evaluation
from glad_ray.engine.in_process import run_in_process
from glad_ray.engine.jobs import DistillationJob, EvaluationJob, ExpertsJob
from glad_ray.engine.measuring import try_job
from glad_ray.engine.on_ray import context
from glad_ray.engine.replica import computing
from glad_ray.engine.replica.calls import decode_key
from glad_ray.experts import train_experts
from glad_ray.plan import make_plan
from glad_ray.progress.events import RunFailed, RunFinished
from glad_ray.run_evaluation import evaluate_network
from glad_ray.set_evaluation import Inputs, TrainingSet, repeat_groups, try_epoch
from glad_ray.spec import DM, Evaluation, Resources, Share, Sweep
from glad_ray.together import LEAST_EPOCHS
from tests.gpu_rehearsal import runs
from tests.gpu_rehearsal.gpu import PretendedGPU

GPU = torch.device("cuda:0")
CONSTANT_BYTES = 3 * 4
"""The mean and the deviation of a dataset's channels stay."""
EVALUATION = Evaluation(networks=(runs.BACKBONE,), repeats=1, epochs=2, test_images=50)


@pytest.fixture(scope="module", autouse=True)
def modules_are_not_gone_through():
    """By every collection: they are most of what there is."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def without_garbage_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def assert_nothing_kept(gpu):
    assert gpu.memory.kept(larger_than=CONSTANT_BYTES) == []


@pytest.mark.parametrize("name", runs.DISTILLED)
def test_a_run(name, sample, experts, storage):
    live = []
    with PretendedGPU() as gpu:
        runs.distil(runs.DISTILLED[name], sample, experts, storage, lambda progress: live.append(gpu.memory.live))
        assert_nothing_kept(gpu)
    # A step in which the network is trained leaves more than one that begins with a new network.
    assert max(live[2:]) <= max(live[:2]), "later steps leave no more than earlier ones"


@pytest.mark.parametrize("together", [1, 2])
def test_experts(together, sample, storage):
    expert_set = runs.DISTILLED["mtt"].expert_set
    with PretendedGPU() as gpu:
        train_experts(
            expert_set, list(range(together)), sample, storage, device="cuda:0", on_epoch=lambda expert, epoch: None
        )
        assert_nothing_kept(gpu)


def test_an_evaluation(sample, storage):
    run = runs.BASELINES["random"]
    with PretendedGPU() as gpu:
        runs.distil(run, sample, None, storage)
        evaluate_network(
            run,
            Inputs(run.run_id, EVALUATION, runs.BACKBONE, sample, GPU),
            storage,
            teachers=None,
            on_training=lambda training: None,
        )
        assert_nothing_kept(gpu)


def test_the_fp32_precision_is_the_one_asked_for(sample, experts, storage):
    f3, own = runs.DISTILLED["dc with loops in f2"], runs.GENERATOR.replace(precision="tf32", seed=2)
    asked = {
        ("ieee", "ieee"): [runs.DISTILLED["mtt"], f3, runs.DISTILLED["dm in an autoencoder"]],
        ("tf32", "tf32"): [runs.DISTILLED["dm"].replace(precision="tf32"), f3.replace(generator=own, precision="tf32")],
    }
    for products, of_runs in asked.items():
        for run in of_runs:
            with PretendedGPU() as gpu:
                runs.distil(run, sample, experts, storage)
            assert gpu.fp32_precisions.keys() == {products}, gpu.fp32_precisions
    with PretendedGPU() as gpu:
        runs.distil(f3.replace(generator=own), sample, None, storage)
    assert gpu.fp32_precisions.keys() == asked.keys(), "the generator and the backbone have each their own"
    for evaluation, products in ((EVALUATION, "tf32"), (EVALUATION.replace(precision="float32"), "ieee")):
        with PretendedGPU() as gpu:
            (training,) = evaluate_network(
                f3,
                Inputs(f3.run_id, evaluation, runs.BACKBONE, sample, GPU),
                storage,
                teachers=None,
                on_training=lambda training: None,
            )
        assert gpu.fp32_precisions.keys() == {(products, products)}
        assert training.precision == evaluation.precision


def test_what_is_tried_to_measure_its_memory(sample):
    given = SimpleNamespace(
        sweep=Sweep(name="tried", runs=[], evaluations=(EVALUATION,)),
        dataset=lambda of: sample,
        generator=lambda run, device: None,
    )
    run, mtt = runs.DISTILLED["dm"], runs.DISTILLED["mtt"]
    with PretendedGPU() as gpu:
        evaluation, experts = EvaluationJob(run, EVALUATION, runs.BACKBONE), ExpertsJob(mtt.expert_set, (0,))
        for job in (DistillationJob(run), DistillationJob(mtt), evaluation, experts):
            try_job(job, given, GPU)
            assert_nothing_kept(gpu)


def test_what_repeats_together_take_is_measured_and_given_back(sample, monkeypatch):
    run, train, sizes = runs.DISTILLED["dm"], set_evaluation.train_networks, []

    def counted(networks, *given, **named):
        sizes.append(len(networks))
        return train(networks, *given, **named)

    monkeypatch.setattr(set_evaluation, "train_networks", counted)
    several = EVALUATION.replace(repeats=2, epochs=LEAST_EPOCHS)
    labels = torch.arange(len(sample.class_names))
    with PretendedGPU() as gpu:
        inputs = Inputs(run.run_id, several.decided_for(run), runs.BACKBONE, sample, GPU)
        images = torch.zeros(len(labels), *sample.train_images.shape[1:]).to(GPU)
        training_set = TrainingSet(images, labels.to(GPU), step=0)
        # Which is faster here says nothing.
        assert repeat_groups(training_set, inputs, [0, 1]) in ([[0, 1]], [[0], [1]])
        del images, training_set
        assert_nothing_kept(gpu)
        for faster in (False, True):
            monkeypatch.setattr(set_evaluation, "together_is_faster", lambda *given, faster=faster: faster)
            try_epoch(run, several, runs.BACKBONE, sample, GPU)
            assert_nothing_kept(gpu)
    assert sizes == [1, 2], "shares are measured on what is trained at once"


def share(monkeypatch):
    """The share of a job on a GPU, without Ray."""
    monkeypatch.setattr(context, "job_device", lambda resources, gpus: "cuda:0")
    given = SimpleNamespace(sweep=SimpleNamespace(resources=Resources(trial=Share(gpus=1))))
    return context.RayContext.computing(given, DistillationJob(runs.DISTILLED["dm"]))


def test_a_share_that_ends_gives_its_cache_back(sample, storage, monkeypatch):
    with PretendedGPU() as gpu:
        with share(monkeypatch):
            runs.distil(runs.DISTILLED["dm in w+"], sample, None, storage)
        assert len(gpu.emptied) == 1
        assert gpu.emptied[0] <= 10 * CONSTANT_BYTES


def test_a_share_that_lacks_memory_gives_its_cache_back(sample, storage, monkeypatch):
    with PretendedGPU(limit=4 * 2**20) as gpu:
        with pytest.raises(torch.OutOfMemoryError), share(monkeypatch):
            runs.distil(runs.DISTILLED["dm in w+"], sample, None, storage)
        assert len(gpu.emptied) == 1
        assert gpu.emptied[0] <= 10 * CONSTANT_BYTES


def test_a_run_that_lacks_memory_leaves_it_to_the_others(storage, view):
    fits, too_large = runs.DISTILLED["dm"], runs.PIXELS.replace(algorithm=DM(iterations=2), images_per_class=200)
    sweep = Sweep(name="one-too-large", runs=[too_large, fits], evaluations=(EVALUATION,))
    with PretendedGPU(limit=24 * 2**20) as gpu:
        run_in_process(make_plan(sweep), storage, device="cuda:0", view=view)
        assert_nothing_kept(gpu)
    assert [event.run for event in view.of(RunFailed)] == [too_large]
    assert "out of memory" in view.of(RunFailed)[0].failure.error
    assert [event.run for event in view.of(RunFinished)] == [fits]


@pytest.fixture
def replica(monkeypatch):
    """A replica's generator, on a GPU."""
    monkeypatch.setattr(computing, "job_device", lambda resources, gpus: "cuda:0")
    return lambda: computing.HeldGenerator(runs.GENERATOR, None, Resources(), at_once=1, dtype=None)


def batch(images):
    """A call of a replica with latents of so many images."""
    shapes = runs.GENERATOR.latent_shapes("f1").items()
    rng = torch.Generator().manual_seed(0)
    return {kind: torch.randn(images, *shape, generator=rng).numpy() for kind, shape in shapes}


def test_a_replica_that_lacks_memory_computes_fewer_images_at_a_time(replica):
    key = decode_key("f1", batch(64))
    with PretendedGPU() as gpu:
        held = replica()
        weights = gpu.memory.live
        (whole,) = held.compute(key, [batch(64)])
        assert gpu.memory.live == weights
        gpu.memory.limit = (gpu.memory.peak + weights) // 2
        (parts,) = held.compute(key, [batch(64)])
        assert gpu.emptied
        assert set(gpu.emptied) == {weights}
        assert gpu.memory.live == weights
    torch.testing.assert_close(torch.from_numpy(parts), torch.from_numpy(whole))
