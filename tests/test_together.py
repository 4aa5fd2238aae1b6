"""Repeats of one network that are trained together come to what each comes to by itself, and are kept one by one."""

from types import SimpleNamespace

import pytest
import torch

from glad_ray import evaluation, set_evaluation, together
from glad_ray.distillation import Inputs as DistillationInputs
from glad_ray.distillation import build_space, distill
from glad_ray.errors import RunError, StoppedError
from glad_ray.evaluation import train_network, train_networks
from glad_ray.networks import build_network
from glad_ray.results import read_trainings
from glad_ray.run_evaluation import evaluate_network
from glad_ray.set_evaluation import Inputs, TrainingSet, evaluate_set, repeat_groups
from glad_ray.spec import Evaluation, Network
from glad_ray.spec.images.augmentation import DSA
from glad_ray.spec.networks import NETWORK_NAMES
from tests.gpu_rehearsal import runs

CPU = torch.device("cpu")
WIDTHS = {"convnet": 4, "vgg11": 4, "resnet18": 4}
CASES = {
    **{name: (Network(name=name, width=WIDTHS.get(name, 8)), {}) for name in NETWORK_NAMES},
    "convnet batchnorm": (Network(width=4, norm="batchnorm"), {}),
    "resnet18 batchnorm": (Network(name="resnet18", width=4, norm="batchnorm"), {}),
    "step schedule, soft labels": (Network(width=4), {"schedule": "step"}),
    "sequential augmentation": (Network(width=4), {"augmentation": "sequential:flip_color_scale_rotate_cutout"}),
}


@pytest.mark.parametrize("case", CASES)
def test_networks_trained_together_come_to_what_each_comes_to_by_itself(case):
    spec, changes = CASES[case]
    images = torch.randn(5, 1, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    labels = torch.arange(5) % 2
    if "soft" in case:
        labels = torch.eye(2, dtype=torch.float64)[labels] * 0.8 + 0.1
    evaluation = Evaluation(epochs=4, batch_size=3, **{"augmentation": DSA} | changes)

    def begun():
        rngs = [torch.Generator().manual_seed(number) for number in range(3)]
        return [build_network(spec, channels=1, resolution=32, classes=2, rng=rng).double() for rng in rngs], rngs

    networks, rngs = begun()
    found = train_networks(networks, images, labels, evaluation, lr=0.05, rngs=rngs)
    networks, others = begun()
    for ours, network, rng, own in zip(found, networks, others, rngs, strict=True):
        before = next(network.parameters()).detach().clone()
        theirs = train_network(network, images, labels, evaluation, lr=0.05, rng=rng)
        # Batch norm's running statistics and counts, too.
        expected = theirs.state_dict()
        assert ours.state_dict().keys() == expected.keys()
        for name, value in ours.state_dict().items():
            difference, size = (value - expected[name]).double().norm(), expected[name].double().norm()
            assert difference <= 1e-11 * size, name
        assert not torch.allclose(next(theirs.parameters()), before, atol=1e-4)
        assert torch.equal(own.get_state(), rng.get_state()), "as many draws"


def test_a_repeat_that_diverges_is_told_with_its_epoch(monkeypatch):
    monkeypatch.setattr(evaluation, "learning_rate_factor", lambda epoch, *_: 1e30 if epoch == 1 else 0.0)
    rngs = [torch.Generator().manual_seed(number) for number in range(2)]
    networks = [build_network(Network(width=4), channels=1, resolution=32, classes=2, rng=rng) for rng in rngs]
    images, labels = torch.randn(2, 1, 32, 32, generator=rngs[0]), torch.arange(2)
    with pytest.raises(RunError, match="the training loss is nan in epoch 2 of the evaluation"):
        train_networks(networks, images, labels, Evaluation(epochs=3, augmentation=""), lr=1.0, rngs=rngs)


@pytest.fixture
def run(sample, storage):
    """A baseline, whose set is on storage."""
    baseline = runs.BASELINES["random"]
    distilled(baseline, sample, storage)
    return baseline


def distilled(run, sample, storage):
    distill(
        DistillationInputs(run, build_space(run, sample, None, CPU), sample, None, CPU), storage, lambda progress: None
    )


@pytest.fixture
def at_once(monkeypatch):
    """All missing repeats are trained together, on the CPU."""
    groups = []

    def grouped(training_set, inputs, repeats):
        groups.append(list(repeats))
        return [list(repeats)]

    monkeypatch.setattr("glad_ray.run_evaluation.repeat_groups", grouped)
    return groups


EVALUATION = Evaluation(networks=(runs.BACKBONE,), repeats=3, epochs=2, test_images=50)


def evaluated(run, sample, storage, told=lambda training: None, evaluation=EVALUATION):
    inputs = Inputs(run.run_id, evaluation, runs.BACKBONE, sample, CPU)
    return evaluate_network(run, inputs, storage, teachers=None, on_training=told)


def accuracies(trainings):
    return {(each.step, each.repeat): (each.accuracy, each.held_out_accuracy) for each in trainings}


def test_trainings_are_kept_and_told_of_by_repeat_and_missing_ones_alone_are_made(
    run, sample, storage, tmp_path, at_once
):
    told = []
    found = evaluated(run, sample, storage, told.append)
    assert [each.repeat for each in told] == [0, 1, 2]
    assert at_once == [[0, 1, 2]]
    assert read_trainings(storage, run.run_id, EVALUATION.content_id, runs.BACKBONE.key) == found
    assert all(each.seconds > 0 for each in found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glad_ray.run_evaluation.repeat_groups", lambda *given: [[each] for each in given[2]])
        other = type(storage).open(tmp_path / "other")
        distilled(run, sample, other)

        def stop(training):
            return training.repeat == 0

        with pytest.raises(StoppedError, match="after 1 trainings"):
            evaluated(run, sample, other, stop)
    assert accuracies(evaluated(run, sample, other)) == accuracies(found)
    assert at_once[1:] == [[1, 2]], "what is there already is not made again"


def test_told_to_stop_repeats_made_at_once_are_all_kept(run, sample, storage, at_once):
    told = []
    evaluated(run, sample, storage, lambda training: told.append(training) or True)
    assert [each.repeat for each in told] == [0, 1, 2], "there is no next one to be left out"


def set_and_inputs(sample, **changes):
    labels = torch.arange(10)
    training_set = TrainingSet(torch.zeros(10, *sample.train_images.shape[1:]), labels, step=0)
    evaluation = Evaluation(networks=(runs.BACKBONE,), augmentation="", test_images=50, **{"epochs": 1} | changes)
    return training_set, Inputs("tests", evaluation, runs.BACKBONE, sample, CPU)


def test_where_memory_is_lacking_repeats_are_made_one_after_another(sample, monkeypatch):
    train, sizes = train_networks, []
    monkeypatch.setattr(together, "_faster", {})

    def scarce(networks, *given, **named):
        sizes.append(len(networks))
        if len(networks) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return train(networks, *given, **named)

    monkeypatch.setattr(set_evaluation, "train_networks", scarce)
    training_set, inputs = set_and_inputs(sample)
    found = evaluate_set(training_set, inputs, [0, 1])
    assert [each.repeat for each in found] == [0, 1]
    assert sizes == [2, 1, 1]
    assert list(together._faster.values()) == [False], "and in this process always"
    monkeypatch.setattr(set_evaluation, "train_networks", lambda *given, **named: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(evaluate_set(training_set, inputs, [0, 1]))


def test_repeats_before_one_that_diverges_are_kept(sample, monkeypatch):
    train, trained = train_networks, []
    monkeypatch.setattr(together, "_faster", {})

    def diverging(networks, *given, **named):
        trained.append(len(networks))
        # The third of all, or of those that are trained alone.
        if len(networks) > 1 or len(trained) == 4:
            raise RunError("The loss is not finite.")
        return train(networks, *given, **named)

    monkeypatch.setattr(set_evaluation, "train_networks", diverging)
    found = evaluate_set(*set_and_inputs(sample), [0, 1, 2, 3])
    assert [next(found).repeat for _ in range(2)] == [0, 1]
    with pytest.raises(RunError):
        next(found)
    assert trained == [4, 1, 1, 1]
    assert not together._faster, "it says nothing of what is faster"


def test_on_a_cpu_repeats_are_trained_one_after_another(sample):
    assert repeat_groups(*set_and_inputs(sample, epochs=1000), range(3)) == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("alone", "joined", "expected"),
    [(1.0, 4.9, True), (1.0, 5.1, False), (None, 0.1, False), (1.0, torch.OutOfMemoryError("CUDA"), False)],
)
def test_what_takes_less_time_is_measured_once(alone, joined, expected, monkeypatch):
    asked = []

    def seconds(begin):
        asked.append(begin)
        if isinstance(begin, Exception):
            raise begin
        return begin

    monkeypatch.setattr(together, "_faster", {})
    monkeypatch.setattr(together, "_epoch_seconds", seconds)
    assert [together.together_is_faster("these", alone, joined, 5) for _ in range(2)] == [expected] * 2
    assert asked == ([alone] if alone is None else [alone, joined])
    with pytest.raises(RuntimeError, match="illegal"):
        together.together_is_faster("others", 1.0, RuntimeError("CUDA error: an illegal memory access"), 5)


def test_all_that_a_training_takes_is_shared_by_its_repeats(sample, monkeypatch):
    clock = iter([0.0, 6.0, 7.0, 9.0])
    monkeypatch.setattr(set_evaluation, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    found = evaluate_set(*set_and_inputs(sample), [0, 1])
    assert [each.seconds for each in found] == [3.0 + 1.0, 3.0 + 2.0]
