"""Starting from real images that the experts classify correctly: which those are, and in which spaces."""

import numpy as np
import pytest
import torch

from glad_ray.data import load_dataset, network_inputs
from glad_ray.distillation import Inputs, build_space, distill
from glad_ray.errors import UserError
from glad_ray.experts import ExpertFiles, train_experts
from glad_ray.generators import build_generator
from glad_ray.networks import build_network, load_flat_parameters
from glad_ray.randomness import rng_for
from glad_ray.spec import DATM, DM, MTT, Experts, Network, RandomReal, RandomStyleGAN, Run
from glad_ray.starting_images import correctly_classified, filled_up
from glad_ray.synthetic_set import SyntheticSet
from tests.generators import kinds

CPU = torch.device("cpu")
EXPERTS = Experts(count=2, epochs=2, batch_size=16)
SETTINGS = DATM(
    iterations=1, synthetic_steps=1, expert_epochs=1, max_start_epoch=2, first_max_start_epoch=None, experts=EXPERTS
)
LABELS = torch.arange(10).repeat_interleave(3)


def _run(**fields):
    return Run(algorithm=SETTINGS, resolution=32, images_per_class=3, backbone=Network(width=8), held_out=350, **fields)


@pytest.fixture(scope="module")
def sample():
    """Fifty training images a class."""
    return load_dataset("fashion-mnist-sample", resolution=32, held_out=350)


@pytest.fixture(scope="module")
def trajectories(sample, tmp_path_factory):
    from glad_ray.storage import Storage

    storage, expert_set = Storage.open(tmp_path_factory.mktemp("experts")), _run().expert_set
    train_experts(expert_set, [0, 1], sample, storage, device="cpu", on_epoch=lambda expert, epoch: None)
    return ExpertFiles(storage, expert_set)


def _right(sample, trajectories, expert):
    """Which training images an expert classifies correctly after its last epoch."""
    network = build_network(_run().backbone, channels=1, resolution=32, classes=10, rng=None)
    load_flat_parameters(network, trajectories.segment(expert, 2, 0)[0])
    images = network_inputs(sample.train_images, sample)
    with torch.no_grad():
        return network.eval()(images).argmax(1).numpy() == sample.train_labels


def test_a_run_starts_from_images_that_its_experts_classify_correctly(sample, trajectories, storage):
    run = _run()
    assert run.init == "correct"
    latents = build_space(run, sample, None, CPU, trajectories).init(LABELS, rng_for(run.run_id, "init"))
    images = network_inputs(sample.train_images, sample)
    first, second = (_right(sample, trajectories, expert) for expert in (0, 1))
    rng, expected = rng_for(run.run_id, "init"), []
    for members in sample.class_indices:
        order = members[torch.randperm(len(members), generator=rng).numpy()]
        chosen = [*order[first[order]], *order[second[order] & ~first[order]], *order[~first[order] & ~second[order]]]
        expected += chosen[:3]
    assert torch.equal(latents["pixels"], images[np.array(expected)])

    distill(
        Inputs(run, build_space(run, sample, None, CPU, trajectories), sample, trajectories, CPU),
        storage,
        lambda progress: None,
    )
    path = storage.synthetic_set_path(run.run_id)
    made = SyntheticSet.from_bytes(storage.read_bytes(path), path)
    torch.testing.assert_close(made.soft_labels.sum(1), torch.ones(30))
    assert (made.soft_labels > 0).all()
    numbers = made.latents["pixels"].numel() + made.soft_labels.numel()
    assert run.set_bytes == 4 * numbers


@pytest.mark.full
def test_latents_may_begin_with_such_images(sample, trajectories):
    run = _run(space="f3", generator=kinds.autoencoder(32))
    assert run.init == "correct"
    generator = build_generator(run.generator)
    labels = LABELS.flip(0)
    latents, real = (
        build_space(each, sample, generator, CPU, trajectories).init(labels, rng_for(run.run_id, "init"))
        for each in (run, run.replace(init="real"))
    )
    assert latents["f"].shape == real["f"].shape
    assert not torch.equal(latents["f"], real["f"])


class Naming:
    """An expert that is right about some images, and is asked about few."""

    def __init__(self, right):
        self.right, self.asked = set(right), []

    def __call__(self, index):
        self.asked += index.tolist()
        label = torch.tensor([int(each) % 2 if int(each) in self.right else 2 for each in index])
        return torch.nn.functional.one_hot(label, 3).float()


def test_later_experts_are_asked_for_what_is_missing_and_nothing_is_taken_twice():
    experts = [Naming({0, 3, 4, 5, 7}), Naming({1, 2, 4, 9}), Naming({6})]
    candidates = [torch.tensor([8, 6, 4, 2, 0]), torch.tensor([1, 3, 5, 7, 9])]
    given = iter(experts)
    chosen = correctly_classified(given, lambda index: index, candidates, [3, 3])
    assert [each.tolist() for each in chosen] == [[4, 0, 2], [3, 5, 7]]
    assert next(given) is experts[2]
    assert set(experts[1].asked) == {0, 2, 4, 6, 8}
    fewer = correctly_classified(experts[:1], lambda index: index, candidates, [3, 2])
    assert [each.tolist() for each in fewer] == [[4, 0], [3, 5]]
    assert filled_up(fewer[0], candidates[0], 4).tolist() == [4, 0, 8, 6]
    assert filled_up(fewer[0], candidates[0], 7).tolist() == [4, 0, 8, 6, 2, 4, 0]


def test_the_last_epoch_of_the_experts_counts_for_such_a_start_alone():
    runs = [
        Run(algorithm=MTT(experts=Experts(epochs=epochs)), init=init)
        for epochs in (15, 30)
        for init in ("real", "correct")
    ]
    assert len({run.run_id for run in runs}) == 3
    assert runs[0].run_id == runs[2].run_id
    assert all(run.former_id == run.run_id for run in runs[:2:1] if run.init == "real")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"algorithm": DM()}, "Init correct asks the run's experts about images, and dm has none"),
        ({"algorithm": RandomReal()}, "Baseline random is real images"),
        ({"algorithm": MTT(experts=Experts(norm="batchnorm"))}, "the statistics of batch norm"),
        ({"algorithm": MTT(experts=Experts(keep_until=5))}, "leave keep_until out"),
        (
            {"algorithm": MTT(), "space": "f4", "generator": RandomStyleGAN(image_channels=1)},
            "Init 'correct' is not one",
        ),
    ],
)
def test_where_there_can_be_no_such_start(fields, message):
    with pytest.raises(UserError, match=message):
        Run(init="correct", **fields)
