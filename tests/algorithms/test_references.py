"""Whole steps of every algorithm against independent slow references, in float64."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from glad_ray.algorithms import build_algorithm, dc, real_batches
from glad_ray.algorithms.learned_labels import initial_logits
from glad_ray.algorithms.ncfm import SamplingNetwork
from glad_ray.networks import flat_parameters
from glad_ray.randomness import rng_for
from glad_ray.spec import DATM, DC, DM, MTT, NCFM, Experts, Network, Run
from glad_ray.trajectories import expert_logits
from tests.algorithms import ncfm_reference, references

TOLERANCE = 1e-10
DSA = "color_crop_cutout_flip_scale_rotate"
AUGMENTATIONS = (DSA, pytest.param("", marks=pytest.mark.full))
LABELS = torch.arange(10).repeat_interleave(2)


@pytest.fixture(autouse=True)
def _several_passes_over_few_images(monkeypatch):
    """Parts of two real images, so that a class needs more than one."""
    monkeypatch.setattr(real_batches, "CPU_IMAGES", 2)


class Trajectories:
    """Two experts that walk at random, as far as real ones go in an epoch."""

    epochs = 4

    def __init__(self, run):
        self.run, self.expert_set = run, run.expert_set

    def segment(self, expert, start_epoch, epochs):
        theta = flat_parameters(references.new_network(self.run, "expert", expert))
        walk = torch.randn(self.epochs, len(theta), generator=rng_for("walk", "expert", expert), dtype=torch.float64)
        snapshots = [theta + 0.03 * walk[:epoch].sum(0) for epoch in range(self.epochs + 1)]
        return snapshots[start_epoch].float(), snapshots[start_epoch + epochs].float()

    def expect(self, expert, start_epoch, epochs):
        pass


def _run(algorithm, augmentation):
    return Run(
        algorithm=algorithm, resolution=32, images_per_class=2, backbone=Network(width=4), augmentation=augmentation
    )


def _images(sample):
    chosen = [int((torch.from_numpy(sample.train_labels) == label).nonzero()[k]) for label in range(10) for k in (0, 1)]
    noise = torch.randn(20, 1, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.from_numpy(sample.train_images[chosen]).double() / 127.5 - 1 + 0.1 * noise


def _close(actual, expected):
    assert actual.dtype == torch.float64
    assert float((actual - expected).norm() / expected.norm()) < TOLERANCE


def _device():
    return torch.device("cpu")


@pytest.fixture(params=[1, 4, 10])
def together(request, monkeypatch):
    """So many classes go through a network at once, as on a GPU."""
    monkeypatch.setattr(real_batches, "together_is_fast", lambda device: request.param > 1)
    monkeypatch.setattr(dc, "classes_at_once", lambda *_: request.param)


def _with_a_small_class(sample):
    kept = np.ones(len(sample.train_labels), bool)
    kept[np.flatnonzero(sample.train_labels == 3)[2:]] = False
    return replace(sample, train_images=sample.train_images[kept], train_labels=sample.train_labels[kept])


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
@pytest.mark.parametrize("matching", ["layerwise", "cosine", "squared"])
def test_gradient_matching_with_its_loops(matching, augmentation, together, sample):
    """Two networks, each with two outer loops and two epochs of training on the changed images in between; one class
    has fewer real images than are drawn.
    """
    sample = _with_a_small_class(sample)
    run = _run(DC(matching=matching, real_batch_size=3, outer_loops=2, inner_loops=2), augmentation)
    ours = build_algorithm(run, sample, None, _device())
    images, labels = _images(sample), LABELS.tolist()
    for step in range(4):
        network_number, outer_loop = divmod(step, 2)
        if outer_loop == 0:
            network = references.new_network(run, "network", network_number)
        else:
            references.dc_train(run, network, images, labels, step)
        loss, image_grads = references.dc_step(run, sample, network, images, labels, step)
        match = ours.match(images, LABELS, step, torch.tensor(0.0))
        _close(match.loss, loss)
        _close(match.image_grads, image_grads)
        images = images - image_grads / image_grads.norm()


@pytest.mark.parametrize("augmentation", [DSA, ""])
def test_distribution_matching(augmentation, together, sample):
    sample = _with_a_small_class(sample)
    run = _run(DM(real_batch_size=5), augmentation)
    ours = build_algorithm(run, sample, None, _device())
    images = _images(sample)
    for step in range(3):
        loss, image_grads = references.dm_step(run, sample, images, LABELS.tolist(), step)
        match = ours.match(images, LABELS, step, torch.tensor(0.0))
        _close(match.loss, loss)
        _close(match.image_grads, image_grads)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
@pytest.mark.parametrize(("batch_size", "labels"), [(None, "hard"), (8, "hard"), (8, "soft")])
@pytest.mark.parametrize("gradient", ["tesla", "exact"])
def test_trajectory_matching(gradient, batch_size, labels, augmentation, sample):
    algorithm = MTT(
        gradient=gradient,
        batch_size=batch_size,
        labels=labels,
        synthetic_steps=5,
        max_start_epoch=3,
        experts=Experts(count=2, epochs=4),
    )
    run = _run(algorithm, augmentation)
    ours = build_algorithm(run, sample, Trajectories(run), _device())
    images = _images(sample)
    taught = LABELS.tolist() if labels == "hard" else references.soft_labels(run, Trajectories(run), images)
    for step in range(2):
        reference = references.mtt_step(run, Trajectories(run), images, taught, 0.1, step)
        match = ours.match(images, LABELS, step, torch.tensor(0.1, dtype=torch.float64))
        for actual, expected in zip((match.loss, match.image_grads, match.step_size_grad), reference, strict=True):
            _close(actual, expected)
        images = images + 0.1  # soft labels stay those of the first images


@pytest.mark.parametrize(
    ("gradient", "rest_first"),
    [("tesla", True), pytest.param("exact", False, marks=pytest.mark.full)],
)
def test_learned_labels_in_a_window_that_grows(gradient, rest_first, sample):
    """Three iterations, of which the second has a loss above the threshold."""
    algorithm = DATM(
        gradient=gradient,
        batch_size=8,
        rest_first=rest_first,
        synthetic_steps=5,
        min_start_epoch=1,
        first_max_start_epoch=2,
        max_start_epoch=4,
        growth_iterations=2,
        expert_epochs=1,
        label_lr=3.0,
        label_momentum=0.7,
        threshold=2.0,
        experts=Experts(count=2, epochs=4),
    )
    run, images = _run(algorithm, DSA), _images(sample)
    ours = build_algorithm(run, sample, Trajectories(run), _device())
    logits = torch.stack(references.learned_labels(run, Trajectories(run), images, LABELS.tolist()))
    velocity, moved = torch.zeros_like(logits), []
    for step, step_size in enumerate((0.1, 4.0, 0.1)):
        reference = references.mtt_step(run, Trajectories(run), images, list(logits), step_size, step)
        match = ours.match(images, LABELS, step, torch.tensor(step_size, dtype=torch.float64))
        for actual, expected in zip((match.loss, match.image_grads, match.step_size_grad), reference, strict=False):
            _close(actual, expected)
        moved.append(float(reference[0]) <= 2.0)
        assert bool(match.moves) == moved[-1]
        if moved[-1]:
            velocity = 0.7 * velocity + reference[3]
            logits = logits - 3.0 * velocity
        state = ours.state()
        _close(state["label_logits"], logits)
        _close(state["soft_labels"], logits.exp() / logits.exp().sum(1, keepdim=True))
        images = images + 0.1
    assert moved == [True, False, True]


def test_initial_labels_of_images_that_no_expert_or_some_classify_correctly(sample):
    run = _run(DATM(experts=Experts(count=2, epochs=4), max_start_epoch=2), "")
    images = _images(sample)
    expected = references.learned_labels(run, Trajectories(run), images, LABELS.tolist())
    said = expert_logits(Trajectories(run), images)
    right = torch.stack([each.argmax(1) == LABELS for each in said]).sum(0)
    assert {0, 1} <= set(right.tolist())
    _close(initial_logits(said, LABELS), torch.stack(expected))
    assert torch.equal(torch.stack(expected).argmax(1), LABELS)


def test_biases_before_instance_norm_have_no_gradient(sample):
    """So they must be left out of relative errors."""
    run = _run(DC(), "")
    network = references.new_network(run, "network", 0)
    gradients = torch.autograd.grad(
        references.mean_loss(network, _images(sample), LABELS.tolist()), list(network.parameters())
    )
    named = dict(zip([name for name, _ in network.named_parameters()], gradients, strict=True))
    biases = [name for name in named if name.endswith("conv.bias")]
    assert len(biases) == 3
    for name, following in pairwise(named):
        if name in biases:
            assert float(named[name].norm() / named[following].norm()) < 1e-12


NCFM_FORMS = {
    "paper": {},
    "untrained": {"sampling": "untrained", "calibration": 0.0},
    "gaussian": {"sampling": "gaussian", "frequencies": 7, "calibration": 0.3, "real_images_seen": "fixed"},
    # Amplitudes alone: at frequencies so short, phases are so small that rounding shows in them.
    "few": {"frequencies": 8, "amplitude_weight": 1.0, "phase_weight": 0.0},
    "in turn": {"classes": "in turn", "amplitude_weight": 0.2, "phase_weight": 0.8},
    "in turn, matching alone": {"classes": "in turn", "sampling": "gaussian", "frequencies": 5, "calibration": 0.0},
}


NCFM_QUICK = (("paper", 1), ("gaussian", 10), ("in turn", 1))
NCFM_CASES = [
    pytest.param(form, together, marks=() if (form, together) in NCFM_QUICK else pytest.mark.full)
    for form in NCFM_FORMS
    for together in (1, 10)
]


@pytest.mark.parametrize("augmentation", ["sequential:color_crop_cutout", pytest.param("", marks=pytest.mark.full)])
@pytest.mark.parametrize(("form", "together"), NCFM_CASES, indirect=["together"])
def test_characteristic_matching(form, augmentation, together, sample):
    sample = _with_a_small_class(sample)
    settings = {"frequencies": 48, "sampling_lr": 0.05} | NCFM_FORMS[form]
    run = _run(NCFM(real_batch_size=3, experts=Experts(count=2, epochs=4), **settings), augmentation)
    run = run.replace(formation=1, algorithm=run.algorithm.replace(iterations=4))
    ours = build_algorithm(run, sample, Trajectories(run), _device())
    images = _images(sample)
    width = references.new_network(run, "any").embed(images[:1]).shape[1]
    psi = ncfm_reference.Psi(
        SamplingNetwork(width, rng_for(run.run_id, "sampling network")).parameters(), run.algorithm.sampling_lr
    )
    in_turn, calibrates = form.startswith("in turn"), run.algorithm.calibration > 0
    of_iteration = (20 if calibrates else 10) if in_turn else 1
    assert run.steps == 4 * of_iteration
    for step in (0, 3, 12, 25) if in_turn else range(2):
        iteration, rest = divmod(step, of_iteration)
        present = [rest % 10] if in_turn else list(range(10))
        assert run.algorithm.class_of_step(step, 10) == (rest % 10 if in_turn else None)
        assert run.algorithm.clips(step, 10) == (rest == 0)
        seen = torch.isin(LABELS, torch.tensor(present))
        loss, image_grads = ncfm_reference.step(
            run,
            sample,
            Trajectories(run),
            images[seen],
            LABELS[seen].tolist(),
            step,
            iteration=iteration,
            present=present,
            matches=rest < 10,
            calibrates=calibrates and (rest >= 10 or not in_turn),
            psi=psi,
        )
        match = ours.match(images[seen], LABELS[seen], step, torch.tensor(0.0))
        _close(match.loss, loss)
        _close(match.image_grads, image_grads)
        if step == 0:
            # What a checkpoint holds goes on; its order is another.
            kept = {name: value.clone() for name, value in sorted(ours.state().items())}
            ours = build_algorithm(run, sample, Trajectories(run), _device())
            ours.load_state(kept)
    if run.algorithm.sampling == "network" and form != "few":
        moved = flat_parameters(ours.sampling)
        assert not torch.equal(moved, flat_parameters(SamplingNetwork(width, rng_for(run.run_id, "sampling network"))))
        _close(moved, torch.cat([each.detach().flatten() for each in psi.parameters]))


def test_the_sampling_network_makes_the_loss_larger(sample):
    """Steps of psi alone, on images that stay."""
    losses = []
    for sampling in ("network", "untrained"):
        settings = NCFM(sampling=sampling, frequencies=64, sampling_lr=0.03, calibration=0, real_batch_size=2)
        run = _run(settings.replace(experts=Experts(count=1, epochs=4)), "").replace(formation=1)
        ours = build_algorithm(run, sample, Trajectories(run), _device())
        images = _images(sample)
        losses.append([float(ours.match(images, LABELS, step, torch.tensor(0.0)).loss) for step in range(14)])
        assert ours.sampling is not None
    climbed, stayed = (np.mean(each[-4:]) - np.mean(each[:4]) for each in losses)
    assert climbed > abs(stayed) + 5
