"""DATM against the numbers of its released code: whole iterations, initial images and labels, windows, evaluation."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import glad_ray.evaluation
from glad_ray import distillation
from glad_ray.algorithms import build_algorithm
from glad_ray.algorithms.learned_labels import LearnedLabels, initial_logits
from glad_ray.algorithms.mtt import StudentStep, functional_loss, trajectory_gradient
from glad_ray.checkpoints import DistillationState
from glad_ray.evaluation import accuracy, train_network
from glad_ray.generators import PixelSpace
from glad_ray.layer_walk import LayerWalk
from glad_ray.networks import build_network, flat_parameters, load_flat_parameters
from glad_ray.spec import DATM, Evaluation, LearningRates, Network, Run
from glad_ray.starting_images import correctly_classified
from tests.golden_numbers import golden, images, s, s_like, set_parameters

ARRAYS, FACTS = golden("successors/ncfm_datm/datm")
DTYPES = {"f32": torch.float32, "f64": torch.float64}
TOLERANCE = {"f32": 1e-4, "f64": 1e-10}
NETWORK = Network(width=8, depth=3)
MATCHES = [name.removeprefix("match/") for name in FACTS if name.startswith("match/")]


def network(dtype=torch.float32):
    made = build_network(NETWORK, channels=3, resolution=32, classes=10, rng=None)
    assert [list(parameter.shape) for parameter in made.parameters()] == [
        shape for _, shape in FACTS["network"]["params"]
    ]
    set_parameters(made, np.sqrt(2))
    return made.to(dtype)


def close(actual, name, precision):
    expected = torch.as_tensor(ARRAYS[name], dtype=torch.float64)
    actual = torch.as_tensor(actual, dtype=torch.float64)
    assert actual.shape == expected.shape
    assert float((actual - expected).norm() / expected.norm()) < TOLERANCE[precision], name


def norm_proj(values, i=0):
    flat = values.detach().double().flatten()
    return torch.stack([flat.norm(), flat @ torch.from_numpy(s_like((len(flat),), 500 + i))])


class Walk:
    """The recorded expert: theta_0 + e delta s(k, salt) after e epochs, in float32."""

    def __init__(self, facts):
        start = flat_parameters(network())
        steps = torch.arange(facts["timestamps"], dtype=torch.float64)[:, None]
        way = torch.from_numpy(s(np.arange(len(start)), facts["salt"]))
        self.snapshots = (start.double() + steps * facts["delta"] * way).float()

    def segment(self, expert, start_epoch, epochs):
        return self.snapshots[start_epoch], self.snapshots[start_epoch + epochs]

    def expect(self, expert, start_epoch, epochs):
        pass


def settings(case):
    config, facts = FACTS[f"match/{case}"]["config"], FACTS[f"match/{case}"]
    assert config["momentum_img"] == config["momentum_lr"] == 0.5
    return DATM(
        iterations=config["Iteration"] + 1,  # the last one is made too
        synthetic_steps=config["syn_steps"],
        expert_epochs=config["expert_epochs"],
        min_start_epoch=config["min_start_epoch"],
        first_max_start_epoch=None,
        max_start_epoch=config["max_start_epoch"],
        batch_size=config["batch_syn"],
        rest_first=True,
        step_size=config["lr_teacher"],
        step_size_lr=config["lr_lr"],
        label_lr=config["lr_y"],
        label_momentum=config["Momentum_y"],
        threshold=config["threshold"],
        gradient="tesla" if facts["which"] == "DATM_tesla" else "exact",
        learning_rates=LearningRates(pixels=config["lr_img"], f=1, w=1),
    )


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("case", MATCHES)
def test_whole_iterations(case, precision, monkeypatch):
    """Every number of every iteration, by the loop that all runs go through; only draws are the recorded ones."""
    facts, dtype, recorded = FACTS[f"match/{case}"], DTYPES[precision], f"match/{case}/{precision}"
    ipc, draws = facts["ipc"], facts["draws"]
    run = Run(
        algorithm=settings(case),
        dataset="cifar10",
        images_per_class=ipc,
        backbone=NETWORK,
        augmentation="",
        init="real",
    )
    walk = Walk(facts["expert"])
    dataset = SimpleNamespace(train_images=np.zeros((1, 3, 32, 32)), class_names=tuple("0123456789"))
    algorithm = build_algorithm(run, dataset, walk, torch.device("cpu"))
    permutations = iter(draws["perm"])
    monkeypatch.setattr(torch, "randperm", lambda count, generator: torch.tensor(next(permutations)))
    starts, allowed = draws["start_epoch"], run.algorithm.start_epochs(0)
    monkeypatch.setattr(algorithm, "_segment", lambda step: (0, starts[step], run.algorithm.expert_epochs))
    assert set(starts) <= set(allowed)

    x = images(10 * ipc, 3, 32, 32, facts["image_salt"])[facts["image_order"]].to(dtype)
    labeller = network(dtype)
    load_flat_parameters(labeller, walk.snapshots[facts["expert"]["label_timestamp"]])
    learned = LearnedLabels(labeller(x).detach())
    state = DistillationState.new(run, {"pixels": x.clone()})
    state.step_size = torch.tensor(facts["config"]["lr_teacher"], dtype=dtype)
    state.step_size_momentum = torch.zeros((), dtype=dtype)
    algorithm.load_state(learned.state())

    matches, match = [], algorithm.match
    monkeypatch.setattr(algorithm, "match", lambda *given: matches.append(match(*given)) or matches[-1])
    label_grads, step = [], LearnedLabels.step

    def recording_step(labels, grads, **how):
        label_grads.append(grads)
        step(labels, grads, **how)

    monkeypatch.setattr(LearnedLabels, "step", recording_step)
    space = PixelSpace((3, 32, 32), "noise")
    labels = torch.arange(10).repeat_interleave(ipc)
    layers = LayerWalk(run, space, dataset, labels, torch.device("cpu"))
    for j in range(len(starts)):
        close(norm_proj(state.latents["pixels"]), f"{recorded}/img_norm_proj{j}", precision)
        close(algorithm.learned.logits, f"{recorded}/y{j}", precision)
        close(state.step_size, f"{recorded}/lr{j}", precision)
        distillation._step(run.algorithm, state, layers, algorithm, labels, 1.0)
        close(norm_proj(matches[j].image_grads), f"{recorded}/img_grad_norm_proj{j}", precision)
        close(label_grads[j], f"{recorded}/y_grad{j}", precision)
        close(matches[j].step_size_grad, f"{recorded}/lr_grad{j}", precision)
    close(torch.stack([each.loss for each in matches]), f"{recorded}/loss", precision)
    close(norm_proj(state.latents["pixels"]), f"{recorded}/img_norm_proj_end", precision)
    close(algorithm.learned.logits, f"{recorded}/y_end", precision)
    close(state.step_size, f"{recorded}/lr_end", precision)
    if precision == "f64" and f"{recorded}/img_grad0_as_f32" in ARRAYS:
        torch.testing.assert_close(
            matches[0].image_grads.float(), torch.from_numpy(ARRAYS[f"{recorded}/img_grad0_as_f32"]), rtol=1e-6, atol=0
        )
    moved = not torch.equal(state.latents["pixels"], x)
    assert moved == (case != "skip")
    assert bool(state.moments.first["pixels"].any()) == moved == bool(algorithm.learned.momenta.any())


def experts_of_labels(dtype):
    for parameters in ARRAYS["labels/experts_final"]:
        made = network(dtype)
        load_flat_parameters(made, torch.from_numpy(parameters))
        yield made.eval()


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("case", [name for name in FACTS if name.startswith("labels/init")])
def test_initial_images_and_labels(case, precision):
    facts, dtype = FACTS[case], DTYPES[precision]
    pool = images(facts["pool"], 3, 32, 32, facts["salt"]).to(dtype)
    legacy = np.random.RandomState(facts["seed"])
    candidates = [torch.from_numpy(legacy.permutation(np.arange(label, facts["pool"], 10))) for label in range(10)]
    with torch.no_grad():
        chosen = correctly_classified(
            experts_of_labels(dtype), pool.__getitem__, candidates, [facts["ipc"]] * len(candidates)
        )
        assert torch.cat(chosen).tolist() == facts["chosen"]
        chosen = torch.cat(chosen)
        logits = initial_logits([expert(pool[chosen]) for expert in experts_of_labels(dtype)], chosen % 10)
    close(logits, f"{case}/{precision}/logits", precision)

    # The step that followed: two student steps of all images from the first expert's start, which is the formula's, to
    # its next snapshot. The facts do not say which; of all such steps this one alone has the recorded loss.
    start = flat_parameters(network())
    step = StudentStep(torch.arange(len(chosen)), lambda seen: seen)
    outcome = trajectory_gradient(
        functional_loss(network(dtype), logits=True),
        start.to(dtype),
        _after_the_first_epoch(start).to(dtype),
        pool[chosen],
        logits,
        torch.tensor(0.02, dtype=dtype),
        [step, step],
        "exact",
        learn_labels=True,
    )
    close(outcome.loss.view(1), f"{case}/{precision}/loss", precision)


def _after_the_first_epoch(start):
    end = torch.from_numpy(ARRAYS["labels/experts_final"][0]).double()
    return (start.double() * (1 - 0.34) + end * 0.34).float()


@pytest.mark.parametrize(("name", "first", "last", "growth"), [
    ("cur10_max20_end1000", 10, 20, 1000), ("cur20_max40_end2000", 20, 40, 2000)
])  # fmt: skip
def test_windows_grow(name, first, last, growth):
    window = DATM(first_max_start_epoch=first, max_start_epoch=last, growth_iterations=growth, min_start_epoch=3)
    for iteration, upper in FACTS["upper_bound"][name].items():
        assert window.start_epochs(int(iteration)) == range(3, upper)


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("case", [name for name in FACTS if name.startswith("eval/")])
def test_evaluation(case, precision, monkeypatch):
    facts, dtype, recorded = FACTS[case], DTYPES[precision], f"{case}/{precision}"
    x, test = (images(10, 3, 32, 32, facts[salt]).to(dtype) for salt in ("salt", "test_salt"))
    logits, losses = torch.from_numpy((3 * s_like((10, 10), 2600)).astype(np.float32)).to(dtype), []
    train_epoch = glad_ray.evaluation.train_epoch_together

    def recording_epoch(*arguments, **how):
        (loss,) = train_epoch(*arguments, **how)
        losses.append(loss)
        return [loss]

    monkeypatch.setattr(glad_ray.evaluation, "train_epoch_together", recording_epoch)
    tested = train_network(
        network(dtype),
        x,
        logits.softmax(1),
        Evaluation(epochs=facts["passes"], schedule="step", ema_decay=0, batch_size=128, augmentation=""),
        lr=facts["lr"],
        rng=torch.Generator().manual_seed(0),
    )
    parameters = [norm_proj(each, i) for i, each in enumerate(tested.parameters())]
    close(torch.stack(parameters)[:, 0], f"{recorded}/param_norm", precision)
    close(torch.stack(parameters)[:, 1], f"{recorded}/param_proj", precision)
    # Losses are summed up in float32.
    np.testing.assert_allclose(losses, ARRAYS[f"{recorded}/train_loss"], rtol=1e-6)
    with torch.no_grad():
        close(F.cross_entropy(tested(test), torch.arange(10)), f"{recorded}/test_loss", precision)
    assert accuracy(tested, test, torch.arange(10)) == pytest.approx(float(ARRAYS[f"{recorded}/test_acc"]))
