"""What is kept of experts: which epochs, in which precision; and that nothing changes where nothing is asked."""

import math

import numpy as np
import pytest
import torch

from glad_ray.data import load_dataset
from glad_ray.errors import DataError, UserError
from glad_ray.experts import ExpertFiles, parameter_shapes, train_experts, write_trajectory
from glad_ray.networks import build_network, flat_parameters
from glad_ray.spec import MTT, Evaluation, Experts, ExpertSet, Herding, Network, RandomReal, Run, Sweep


def expert_set(**fields):
    return ExpertSet(
        dataset="fashion-mnist-sample",
        resolution=28,
        held_out=390,
        network=Network(width=4),
        experts=Experts(**{"count": 1, "epochs": 3, "batch_size": 50, **fields}),
    )


@pytest.fixture(scope="module")
def few():
    return load_dataset("fashion-mnist-sample", resolution=28, held_out=390)


def train(which, few, storage):
    epochs = []
    train_experts(which, [0], few, storage, device="cpu", on_epoch=lambda expert, epoch: epochs.append(epoch))
    return ExpertFiles(storage, which), epochs


def test_what_is_kept_as_it_is_has_no_part_in_an_identity():
    assert not {"keep_until", "dtype"} & Experts().model_dump(mode="json").keys()
    assert not {"keep_until", "dtype"} & Run(algorithm=MTT()).model_dump(mode="json")["algorithm"]["experts"].keys()


def test_how_experts_are_kept_is_part_of_the_identity_and_how_many_epochs_are_is_not():
    fields = [{}, {"keep_until": 1}, {"keep_until": 2}, {"dtype": "bfloat16"}, {"dtype": "bfloat16", "keep_until": 2}]
    made = [Experts(**each) for each in fields]
    assert len({each.content_id for each in made}) == 2
    assert [Experts.model_validate_json(each.model_dump_json()) for each in made] == made


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Experts(epochs=3, keep_until=3), "keep_until is 3 and the experts have 3 epochs: use less"),
        (lambda: Experts(keep_until=0), "greater than or equal to 1"),
        (lambda: Experts(dtype="float16"), "Unknown Experts.dtype 'float16'"),
        (lambda: MTT(experts=Experts(keep_until=2)), "needs expert epoch 3 (max_start_epoch and expert_epochs) and"),
        (lambda: MTT(experts=Experts(keep_until=2)), "kept until 2: set algorithm.experts.keep_until to 3 or more"),
        (lambda: Run(algorithm=MTT(labels="soft", experts=Experts(keep_until=5))), "which keep_until leaves out"),
        (lambda: Run(algorithm=Herding(features=Experts(keep_until=5))), "which keep_until leaves out"),
        (
            lambda: Sweep(
                name="x",
                runs=[Run(algorithm=RandomReal())],
                evaluations=Evaluation(labels="soft", teacher=Experts(keep_until=5)),
            ),
            "which keep_until leaves out",
        ),
    ],
)
def test_mistakes_are_one_sentence(make, sentence):
    with pytest.raises(UserError) as caught:
        make()
    assert sentence in str(caught.value)


def test_the_label_says_what_is_kept_and_how():
    assert expert_set().label == "1 expert x 3 epochs, ConvNet (width 4) on fashion-mnist-sample"
    kept = expert_set(keep_until=2, dtype="bfloat16").label
    assert kept == "1 expert x 3 epochs (kept until 2, bfloat16), ConvNet (width 4) on fashion-mnist-sample"


def test_the_segments_of_mtt_may_reach_the_last_epoch_that_is_kept():
    assert MTT(experts=Experts(keep_until=3)).experts.last_epoch == 3


def test_an_expert_is_trained_as_far_as_it_is_kept(few, storage):
    files, epochs = train(expert_set(keep_until=1), few, storage)
    assert epochs == [1]
    start, end = files.segment(0, 0, 1)
    assert not torch.equal(start, end)
    with pytest.raises(DataError, match="has 1 epochs, not 2"):
        ExpertFiles(storage, expert_set(keep_until=2)).segment(0, 0, 1)
    other = expert_set(dtype="bfloat16", keep_until=1)
    kept = storage.expert_path(files.expert_set.stored_id, 0)
    storage.write_bytes(storage.expert_path(other.stored_id, 0), storage.read_bytes(kept))
    with pytest.raises(DataError, match=r"\(dtype float32\), and experts of .*\(dtype bfloat16\) are asked for"):
        ExpertFiles(storage, other).segment(0, 0, 1)


def test_parameters_in_bfloat16_are_read_as_the_nearest_float32_from_half_the_bytes(storage):
    network = build_network(Network(width=4), channels=1, resolution=28, classes=10, rng=None)
    snapshots = np.random.default_rng(0).standard_normal((4, flat_parameters(network).numel()), dtype=np.float32)
    read = {}
    for each in (expert_set(), expert_set(dtype="bfloat16")):
        write_trajectory(storage, each, 0, parameter_shapes(network), [(row, math.nan) for row in snapshots])
        read[each.experts.dtype] = ExpertFiles(storage, each).segment(0, 1, 2)
        size = len(storage.read_bytes(storage.expert_path(each.content_id, 0)))
        assert 0 < size - each.kept_bytes < 6000
    for exact, rounded, row in zip(read["float32"], read["bfloat16"], (1, 3), strict=True):
        assert torch.equal(exact, torch.tensor(snapshots[row]))
        assert rounded.dtype == torch.float32
        assert torch.equal(rounded, exact.bfloat16().float())
        assert not torch.equal(rounded, exact)
