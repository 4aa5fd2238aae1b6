"""Experts trained as one ensemble are those trained one by one; only what is missing is trained."""

import numpy as np
import pytest
import torch

from glad_ray.data import load_dataset
from glad_ray.errors import DataError, RunError
from glad_ray.experts import (
    ExpertFiles,
    missing_experts,
    missing_groups,
    parameter_shapes,
    train_experts,
    write_trajectory,
)
from glad_ray.networks import Ensemble, build_network, flat_parameters, flat_parameters_of_each
from glad_ray.spec import DSA, NCFM, Experts, ExpertSet, Flatness, Mixing, Network
from glad_ray.training import Extras, train_epoch_together
from tests.golden_numbers import golden

NORMS = ("instancenorm", "batchnorm", "layernorm", "groupnorm", "none")
NETWORKS = {
    **{f"convnet {norm}": Network(width=4, norm=norm) for norm in NORMS},
    "alexnet": Network(name="alexnet", width=8),
    "vgg11": Network(name="vgg11", width=4),
    "resnet18": Network(name="resnet18", width=4),
    "resnet18 batchnorm": Network(name="resnet18", width=4, norm="batchnorm"),
}
NUMBERS = (0, 1, 2)


FLAT = Flatness(rho=0.2, alpha=0.5)
TRAINED = [
    *((network, None) for network in NETWORKS),
    ("convnet instancenorm", FLAT),
    *(pytest.param(network, FLAT, marks=pytest.mark.full) for network in NETWORKS if network != "convnet instancenorm"),
]


@pytest.mark.parametrize(("network", "flat"), TRAINED)
def test_an_ensemble_is_trained_as_each_of_its_networks_is(network, flat):
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(20, 1, 32, 32, generator=rng, dtype=torch.float64)
    labels = torch.randint(10, (20,), generator=rng)

    def networks():
        rngs = (torch.Generator().manual_seed(number) for number in NUMBERS)
        return [
            build_network(NETWORKS[network], channels=1, resolution=32, classes=10, rng=rng).double() for rng in rngs
        ]

    def trained(network, *rngs):
        optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.5, weight_decay=1e-3)
        # The last of three batches is smaller; every expert augments by an operation of its own.
        get = images.__getitem__
        losses = train_epoch_together(
            network, optimiser, get, labels, batch_size=8, augmentation=DSA, rngs=rngs, extras=Extras(flat=flat)
        )
        return flat_parameters_of_each(network, len(rngs)), losses

    rngs = [torch.Generator().manual_seed(10 + number) for number in NUMBERS]
    together, losses = trained(Ensemble(networks()), *rngs)
    for number, (each, own) in enumerate(zip(networks(), together, strict=True)):
        start = flat_parameters(each)
        rng = torch.Generator().manual_seed(10 + number)
        (alone,), (loss,) = trained(each, rng)
        torch.testing.assert_close(own, alone, rtol=0, atol=1e-10)
        assert abs(losses[number] - loss) < 1e-10
        assert not torch.allclose(own, start, atol=1e-4)
        assert torch.equal(rng.get_state(), rngs[number].get_state())


def expert_set(**fields):
    given = {"network": Network(width=4), "experts": Experts(count=5, epochs=2, batch_size=64, momentum=0.5)}
    return ExpertSet(dataset="fashion-mnist-sample", resolution=28, held_out=385, **given | fields)


@pytest.fixture(scope="module")
def few():
    return load_dataset("fashion-mnist-sample", resolution=28, held_out=385)


def test_files_of_experts_trained_together_are_those_of_each_alone(few, tmp_path, storage):
    which, other, epochs = expert_set(), type(storage).open(tmp_path / "other"), []

    def told(*at):
        epochs.append(at)

    train_experts(which, [1, 3], few, storage, device="cpu", on_epoch=told)
    assert sorted(epochs) == [(1, 1), (1, 2), (3, 1), (3, 2)]
    assert missing_experts(storage, which) == [0, 2, 4]
    for index in (1, 3):
        train_experts(which, [index], few, other, device="cpu", on_epoch=lambda *at: None)
        for epoch in range(3):
            together, alone = (ExpertFiles(each, which).segment(index, 0, epoch)[1] for each in (storage, other))
            torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    start, _ = ExpertFiles(storage, which).segment(1, 0, 0)
    assert not torch.equal(start, ExpertFiles(storage, which).segment(3, 0, 0)[0])


def test_only_missing_experts_are_grouped_and_networks_with_dropout_never(storage):
    which = expert_set()
    storage.write_bytes(storage.expert_path(which.content_id, 1), b"there")
    assert missing_groups(storage, which, 1) == [[0], [2], [3], [4]]
    assert missing_groups(storage, which, 3) == [[0, 2, 3], [4]]
    assert missing_groups(storage, expert_set(network=Network(name="vit", width=8)), 3) == [[0], [1], [2], [3], [4]]


def test_a_loss_that_is_not_finite_names_the_expert(few, storage, monkeypatch):
    which = expert_set()

    def spoilt(*arguments, **named):
        network = build_network(*arguments, **named)
        built.append(network)
        if len(built) == 2:
            next(network.parameters()).data.fill_(np.nan)
        return network

    built = []
    monkeypatch.setattr("glad_ray.experts.train.build_network", spoilt)
    with pytest.raises(RunError, match="the loss of expert 4 is nan in epoch 0"):
        train_experts(which, [2, 4], few, storage, device="cpu", on_epoch=lambda *at: None)
    assert missing_experts(storage, which) == [0, 1, 2, 3, 4]


def train(which, few, storage):
    """Train those that are missing; returns the experts and epochs that were."""
    epochs = []
    for indices in missing_groups(storage, which, 2):
        train_experts(which, indices, few, storage, device="cpu", on_epoch=lambda *at: epochs.append(at))
    return sorted(epochs)


def of(count, epochs, **fields):
    return expert_set(experts=Experts(count=count, epochs=epochs, batch_size=256, **fields))


def test_more_experts_are_trained_beside_those_that_are_there(few, storage, tmp_path):
    at_once = type(storage).open(tmp_path / "at once")
    assert train(of(1, 1), few, storage) == [(0, 1)]
    assert train(of(3, 1), few, storage) == [(1, 1), (2, 1)]
    train(of(3, 1), few, at_once)
    for index in range(3):
        kept, whole = (ExpertFiles(each, of(3, 1)).segment(index, 0, 1)[1] for each in (storage, at_once))
        torch.testing.assert_close(kept, whole, rtol=0, atol=1e-5)
    # Fewer are served by what is there.
    assert missing_experts(storage, of(2, 1)) == []
    assert ExpertFiles(storage, of(2, 1)).segment(1, 0, 1)


@pytest.mark.parametrize("fewer", [of(1, 1), of(1, 3, keep_until=1)], ids=["fewer epochs", "fewer kept"])
def test_more_epochs_serve_those_who_need_fewer(fewer, few, storage):
    more = of(1, 2)
    assert train(fewer, few, storage) == [(0, 1)]
    start, first = (snapshot.clone() for snapshot in ExpertFiles(storage, fewer).segment(0, 0, 1))
    assert missing_experts(storage, more) == [0]
    assert train(more, few, storage) == [(0, 1), (0, 2)]
    assert missing_experts(storage, fewer) == []
    for which in (fewer, more):
        again, second = ExpertFiles(storage, which).segment(0, 0, 1)
        assert torch.equal(again, start)
        assert torch.equal(second, first)


def test_rates_of_ncfms_experts():
    recorded = golden("successors/ncfm_datm/ncfm")[1]["pretrain_lr_60"]
    experts = NCFM().experts
    assert experts.epochs == len(recorded)
    assert [experts.lr_in(epoch) for epoch in range(experts.epochs)] == pytest.approx(recorded, rel=1e-12)
    assert "lr_drops" not in Experts().model_dump_json()
    assert [Experts(lr_drops=(2,)).lr_in(epoch) for epoch in (1, 2, 9)] == pytest.approx([0.01, 0.002, 0.002])


def test_a_rate_that_falls_changes_the_epochs_after_it(few, storage):
    plain, falling = of(1, 2), of(1, 2, lr_drops=(1,), lr_factor=1e-6)
    ends = {}
    for which in (plain, falling):
        train(which, few, storage)
        ends[which] = ExpertFiles(storage, which)
    # Draws follow from the set, so that the two begin apart: each is held against itself.
    moved = {which: [_moved(ends[which], epoch) for epoch in (0, 1)] for which in ends}
    assert moved[plain][1] > 0.1 * moved[plain][0]
    assert moved[falling][1] < 1e-4 * moved[falling][0]


def _moved(files, epoch):
    before, after = files.segment(0, epoch, 1)
    return float((after - before).norm())


def test_experts_whose_images_are_mixed_are_the_same_together_and_alone(few, tmp_path, storage):
    which = of(2, 1, mixing=Mixing(probability=0.5))
    other = type(storage).open(tmp_path / "other")
    train_experts(which, [0, 1], few, storage, device="cpu", on_epoch=lambda *at: None)
    for index in (0, 1):
        train_experts(which, [index], few, other, device="cpu", on_epoch=lambda *at: None)
        together, alone = (ExpertFiles(each, which).segment(index, 0, 1)[1] for each in (storage, other))
        torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    assert which.stored_id != of(2, 1).stored_id


def test_imported_experts_are_never_trained_over(few, storage):
    which = of(1, 1)
    train(which, few, storage)
    snapshots = [(ExpertFiles(storage, which).segment(0, 0, epoch)[1].numpy().copy(), 0.0) for epoch in (0, 1)]
    shapes = parameter_shapes(build_network(which.network, channels=1, resolution=28, classes=10, rng=None))
    write_trajectory(storage, which, 0, shapes, snapshots, source="replay_buffer_0.pt")
    assert missing_experts(storage, of(2, 2)) == [1]
    with pytest.raises(DataError, match="has 1 epochs, not 2"):
        ExpertFiles(storage, of(2, 2)).segment(0, 0, 1)
