"""Steps on latents are those of PyTorch's optimisers, one class at a time too, and its scheduler's halved rates."""

import pytest
import torch

from glad_ray.checkpoints import DistillationState
from glad_ray.distillation import Inputs, build_space, distill
from glad_ray.errors import UserError
from glad_ray.optimisers.latents import Moments, Plateau, step_latents
from glad_ray.randomness import rng_for
from glad_ray.results import read_losses
from glad_ray.spec import DC, DM, SGD, AdamW, CustomAlgorithm, LearningRates, Network, RandomReal, Run
from glad_ray.synthetic_set import SyntheticSet

SHAPES = {"f": (4, 3, 2), "w": (4, 5)}
RATES = {"f": 0.3, "w": 0.02}


def latents():
    rng = torch.Generator().manual_seed(3)
    return {name: torch.randn(shape, generator=rng, dtype=torch.float64) for name, shape in SHAPES.items()}


def gradients(step):
    """Of two of the four images, now the first, now the last; zeros for the others."""
    rng = torch.Generator().manual_seed(step)
    grads = {name: torch.randn(shape, generator=rng, dtype=torch.float64) for name, shape in SHAPES.items()}
    for grad in grads.values():
        grad[2 * (step % 2) : 2 * (step % 2) + 2] = 0
    return grads


@pytest.mark.parametrize(
    ("optimiser", "theirs"),
    [
        (SGD(), lambda groups: torch.optim.SGD(groups, momentum=0.5)),
        (SGD(momentum=0.9, weight_decay=0.1), lambda groups: torch.optim.SGD(groups, momentum=0.9, weight_decay=0.1)),
        (AdamW(), lambda groups: torch.optim.AdamW(groups, weight_decay=0)),
        (
            AdamW(betas=(0.5, 0.9), weight_decay=0.1),
            lambda groups: torch.optim.AdamW(groups, betas=(0.5, 0.9), weight_decay=0.1),
        ),
    ],
)
def test_steps_are_those_of_pytorch_after_a_stop_too(optimiser, theirs):
    ours, parameters = latents(), {name: value.requires_grad_() for name, value in latents().items()}
    reference = theirs([{"params": [parameters[name]], "lr": rate} for name, rate in RATES.items()])
    moments = Moments.new(optimiser, ours)
    for step in range(6):
        if step == 3:
            moments = Moments.from_tensors(moments.tensors(), torch.device("cpu"))
        step_latents(optimiser, RATES, ours, gradients(step), moments)
        for name, grad in gradients(step).items():
            parameters[name].grad = grad
        reference.step()
    for name, value in ours.items():
        torch.testing.assert_close(value, parameters[name].detach(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("patience", [0, 2, 5])
def test_rates_are_halved_as_by_pytorch(patience):
    rng = torch.Generator().manual_seed(patience)
    losses = (1 + torch.rand(60, generator=rng)).tolist() + [0.9, 0.89995, 0.5] + [0.6] * 20
    parameter = torch.nn.Parameter(torch.zeros(()))
    optimiser = torch.optim.SGD([parameter], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=patience)
    plateau = Plateau(patience)
    for number, loss in enumerate(losses):
        scheduler.step(loss)
        plateau.see(loss)
        assert plateau.factor == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-5), number
        if plateau.factor < 1e-7:  # where PyTorch's least change begins to matter
            break
        assert Plateau(patience, losses[: number + 1]).factor == plateau.factor
    assert plateau.factor < 0.5
    assert Plateau(None, losses).factor == 1


class ClassByClass:
    """Pulls every image towards 1, and expects those of one class at a time."""

    def __init__(self, tools):
        pass

    def match(self, images, labels, step):
        assert labels.tolist() == [step % 10] * 2
        return (images - 1).square().sum(), 2 * (images - 1)


class OneClassAStep(CustomAlgorithm):
    """Its record."""

    name: str = "tests.optimisers.test_latents:ClassByClass"

    def steps(self, images_per_class, classes):
        return self.iterations * classes

    def class_of_step(self, step, classes):
        return step % classes

    def clips(self, step, classes):
        return step % classes == 0


@pytest.mark.parametrize(
    ("optimiser", "rate", "theirs"),
    [
        (SGD(), 0.05, lambda x: torch.optim.SGD([x], lr=0.05, momentum=0.5)),
        (AdamW(weight_decay=0.01, patience=0), 1.5, lambda x: torch.optim.AdamW([x], lr=1.5, weight_decay=0.01)),
    ],
)
def test_one_class_a_step_moves_the_others_by_their_moments(optimiser, rate, theirs, sample, storage):
    rates = LearningRates(pixels=rate, f=1, w=1)
    algorithm = OneClassAStep(iterations=4, optimiser=optimiser, learning_rates=rates)
    run = Run(algorithm=DM(), images_per_class=2, backbone=Network(width=4), init="noise", held_out=10)
    object.__setattr__(run, "algorithm", algorithm)
    assert run.steps == 40
    space = build_space(run, sample, None, torch.device("cpu"))
    inputs = Inputs(run, space, sample, None, torch.device("cpu"))
    distill(inputs, storage, lambda progress: None)
    path = storage.synthetic_set_path(run.run_id)
    made = SyntheticSet.from_bytes(storage.read_bytes(path), path).images

    x = torch.nn.Parameter(space.init(inputs.labels, rng_for(run.run_id, "init"))["pixels"])
    reference = theirs(x)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(reference, factor=0.5, patience=0)
    (mean,), (std,) = sample.mean, sample.std
    losses = []
    for _ in range(4):
        with torch.no_grad():
            x.clamp_(-mean / std, (1 - mean) / std)
        of_iteration = []
        for label in range(10):
            own = x[2 * label : 2 * label + 2]
            loss = (own - 1).square().sum()
            reference.zero_grad()
            loss.backward()
            of_iteration.append(loss.item())
            reference.step()
        if optimiser.patience is not None:
            scheduler.step(sum(of_iteration))
        losses += of_iteration
    torch.testing.assert_close(made, x.detach(), rtol=1e-5, atol=1e-6)
    assert (reference.param_groups[0]["lr"] < rate) == (optimiser.patience is not None)
    assert read_losses(storage, run.run_id).losses == pytest.approx(losses, rel=1e-5)


def test_an_optimiser_is_said_where_it_is_another():
    plain = DM()
    assert "optimiser" not in plain.model_dump_json()
    assert DC(optimiser="adamw").optimiser == AdamW()
    other = Run(algorithm=DM(optimiser=AdamW(patience=3)))
    assert other.run_id != Run(algorithm=plain).run_id
    assert Run.model_validate_json(other.model_dump_json()) == other
    with pytest.raises(UserError, match="sgd"):
        DM(optimiser="adam")


def test_a_baseline_has_no_moments():
    state = DistillationState.new(Run(algorithm=RandomReal()), {"pixels": torch.zeros(10, 1, 2, 2)})
    assert not any("momenta" in name for name in state.moments.tensors())
