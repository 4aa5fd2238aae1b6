"""IDC's whole steps against a slow reference, what its record says, and what it draws."""

import json

import pytest
import torch

from glad_ray.algorithms import build_algorithm
from glad_ray.errors import UserError
from glad_ray.plan.cost import estimate
from glad_ray.spec import DATASETS, DREAM, IDC, Formation, LearningRates, Network, RandomStyleGAN, Run
from glad_ray.spec.images.augmentation import Mixing
from tests.algorithms import idc_reference, references
from tests.golden_numbers import GOLDEN

CPU = torch.device("cpu")
TOLERANCE = 1e-10
ALWAYS = Mixing(probability=1.0)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"distance": "mse"}, marks=pytest.mark.full),
        {"distance": "l1", "vectors": True, "linear": True, "synthetic_batch_size": 1},
        pytest.param({"distance": "l1_mean", "matched": "both"}, marks=pytest.mark.full),
        {"distance": "cos", "linear": True, "matched": "both"},
        pytest.param({"matched": "features"}, marks=pytest.mark.full),
    ],
    ids=str,
)
def test_whole_steps(fields, sample):
    """Two networks, each with two iterations and a training on real images between them."""
    algorithm = IDC(iterations=2, inner_steps=2, real_batch_size=3, network_images=5, network_mixing=ALWAYS, **fields)
    run = Run(algorithm=algorithm, resolution=32, images_per_class=2, formation=1, backbone=Network(width=4))
    ours, labels = build_algorithm(run, sample, None, CPU), torch.arange(10).repeat_interleave(2)
    images = torch.randn(20, 1, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for number in range(4):
        if number % 2 == 0:
            network = references.new_network(run, "network", number // 2)
            velocities = [torch.zeros_like(parameter) for parameter in network.parameters()]
        else:
            idc_reference.train(run, sample, network, velocities, number)
        loss, image_grads = idc_reference.step(run, sample, network, images, labels.tolist(), number)
        match = ours.match(images, labels, number, torch.tensor(0.0))
        for actual, expected in ((match.loss, loss), (match.image_grads, image_grads)):
            assert actual.dtype == torch.float64
            assert float((actual - expected).norm() / expected.norm()) < TOLERANCE
        images = images - image_grads / image_grads.norm()


def test_one_class_after_another_is_all_of_them(sample):
    """With the same network and draws: the loss of a step on one class is its part of that of a step on all."""
    run = Run(
        algorithm=IDC(real_batch_size=4, network_images=4), resolution=32, augmentation="", backbone=Network(width=4)
    )
    images = torch.randn(10, 1, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(10)
    together = build_algorithm(run, sample, None, CPU).match(images, labels, 0, torch.tensor(0.0))
    in_turn = [
        build_algorithm(run, sample, None, CPU).match(images[[label]], labels[[label]], 0, torch.tensor(0.0))
        for label in range(10)
    ]
    assert float(sum(each.loss for each in in_turn)) == pytest.approx(float(together.loss), rel=1e-12)
    torch.testing.assert_close(
        torch.cat([each.image_grads for each in in_turn]), together.image_grads, rtol=1e-10, atol=1e-14
    )


def test_where_a_step_stands():
    places = [IDC(inner_steps=2, classes="in turn").place(step, 3) for step in range(13)]
    assert [place.network for place in places] == [0] * 6 + [1] * 6 + [2]
    assert [place.iteration for place in places] == [step // 3 for step in range(13)]
    assert [step for step, place in enumerate(places) if place.first_of_network] == [0, 6, 12]
    assert [step for step, place in enumerate(places) if place.first_of_iteration] == [0, 3, 6, 9, 12]
    assert IDC(iterations=3, inner_steps=2, classes="in turn").steps(1, 7) == 42
    assert IDC(iterations=3, inner_steps=2).steps(1, 7) == 6


_OURS = {"cifar10": "cifar10", "cifar100": "cifar100", "svhn": "svhn", "mnist": "mnist", "fashion": "fashion-mnist"}
CASES = json.loads((GOLDEN / "successors/hpd_idc_dream_rded/config.json").read_text())["idc"]["per_case"]


@pytest.mark.parametrize("case", [case for case in CASES if case.split("/")[0] in _OURS])
def test_settings_are_those_of_the_code(case):
    theirs, (name, ipc, factor) = CASES[case], case.split("/")
    run = Run(
        algorithm=IDC(),
        dataset=_OURS[name],
        images_per_class=int(ipc.removeprefix("ipc")),
        formation=int(factor.removeprefix("factor")),
    )
    ours, facts = run.algorithm, DATASETS[run.dataset]
    variance = sum(std**2 for std in facts.std) / len(facts.std)
    assert ours.learning_rates.pixels * variance == pytest.approx(theirs["lr_img"], rel=0.005)
    assert ours.distance == theirs["metric"]
    assert (ours.iterations, ours.network_epochs, ours.network_images) == (
        theirs["niter"], theirs["early"], theirs["n_data"]
    )  # fmt: skip
    assert (ours.real_batch_size, ours.network_lr) == (theirs["batch_real"], theirs["lr"])
    assert ours.network_weight_decay == theirs["weight_decay"]
    if theirs["mixup_net"] == "cut":
        assert run.augmentation == f"sequential:{theirs['aug_type']}"
        assert ours.network_mixing.probability == theirs["mix_p"]


def test_what_a_run_implies():
    run = Run(algorithm=IDC(), dataset="cifar10")
    assert (run.formation, run.init) == (Formation(factor=2), "real")
    dream = Run(algorithm=DREAM(), dataset="cifar10")
    assert (dream.init, dream.algorithm.real_batches) == ("clustered", "clustered")
    assert dream.algorithm.real_batch_size == 128
    assert Run.model_validate_json(dream.model_dump_json()).run_id == dream.run_id
    # What a run sets stays; the rest follows from the dataset, also of a changed copy.
    rates = LearningRates(pixels=0.5, f=1, w=1)
    own = run.replace(algorithm=IDC(learning_rates=rates))
    assert (own.algorithm.learning_rates, own.algorithm.distance) == (rates, "mse")
    assert own.replace(dataset="mnist").algorithm.distance == "l1"
    assert run.replace(images_per_class=10).algorithm.learning_rates.pixels == pytest.approx(
        10 * run.algorithm.learning_rates.pixels, rel=0.01
    )
    prior = RandomStyleGAN(image_channels=1)
    assert Run(algorithm=DREAM(), space="w+", generator=prior).init == "sampled"
    with pytest.raises(UserError, match="use formation=1"):
        Run(algorithm=IDC(), dataset="cifar10", whitening="zca")


def test_what_a_step_costs():
    def flops(**fields):
        run = Run(algorithm=IDC(iterations=1, **fields), dataset="cifar10")
        return estimate(run, []).distill_flops

    assert flops(network_images=4000) > flops(network_images=2000)
    assert flops(network_epochs=1) > flops()
    assert flops(real_batches="clustered") > flops()
    # The same images go through networks, whether class by class or together.
    assert flops(classes="in turn") == pytest.approx(flops(), rel=1e-6)
