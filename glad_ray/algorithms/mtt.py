"""Trajectory matching (MTT): equation (3) of GLaD; Cazenavette et al., "Dataset Distillation by Matching Training
Trajectories", 2022; in the constant-memory form of TESLA (Cui et al., 2023), and exactly.

FTD (Du et al., CVPR 2023) is the same on other experts. DATM (Guo et al., ICLR 2024) draws the start epoch from a
window that grows, learns the labels with the images, and leaves iterations out whose loss is above a threshold.

A student starts at an expert's epoch t, takes N steps on the synthetic images and should end at the expert's epoch
t + M: loss = |theta_N - theta*|^2 / |theta_0 - theta*|^2 with theta_{t+1} = theta_t - alpha g_t.

The gradient is made from the last step to the first, from the graph of one step at a time. Graphs of the first steps
are kept from the way there, as many as fit into `GRAPH_BYTES`; those of the others are made again. With
lambda_N = 2 (theta_N - theta*) / |theta_0 - theta*|^2, step t gives dL/dx_t = -alpha lambda_{t+1}^T dg_t/dx_t, the same
with respect to its labels' logits where these are learned, and
dL/dalpha = -sum lambda_{t+1} . g_t. Exact: lambda_t = (I - alpha H_t) lambda_{t+1}, the adjoint of the step. TESLA:
lambda_t = lambda_N throughout, which leaves out what a step does to the later ones; it is exact for the last step only.

To keep all graphs took 0.76 times (TESLA) and 0.78 times (exact) as long as to make them again, on a CPU, with ten
steps of a ConvNet of width 128.

Forward mode (the derivative of the step's gradient along lambda, in parameters and images at once) gives the same
numbers without a graph; on a CPU it took 1.1 to 1.8 times as long for each of the five networks.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.algorithms.base import SOFT_LABELS, Match
from glad_ray.algorithms.drawn import build_backbone
from glad_ray.algorithms.learned_labels import LearnedLabels, initial_logits
from glad_ray.augment import Draw, apply, draw
from glad_ray.data import Dataset
from glad_ray.machine import SavedBytes, upload, upload_together
from glad_ray.networks import batch_sizes, set_dropout_rng, split_parameters
from glad_ray.randomness import rng_for
from glad_ray.spec import MatchingTrajectories, Run
from glad_ray.training import Targets
from glad_ray.trajectories import Trajectories, class_probabilities, expert_logits
from glad_ray.vector_jacobian import vector_jacobian

GRAPH_BYTES = 2**30
"""memory for graphs of student steps that are kept until the way back"""


class StudentStep(NamedTuple):
    """What a student sees in one step."""

    images: Int64[Tensor, " b"]
    """indices into the synthetic images, on their device"""
    augment: Callable[[Float[Tensor, "b c h w"]], Float[Tensor, "b c h w"]]
    """called before each pass over this step, one or two, which must see the same"""


class _Graph(NamedTuple):
    """One student step, whose gradient can be differentiated."""

    theta: Float[Tensor, " p"]
    images: Float[Tensor, "b c h w"]
    labels: Targets
    g: Float[Tensor, " p"]
    """gradient of the loss with respect to `theta`, as a function of all three"""


class TrajectoryGradient(NamedTuple):
    """Equation (3) and its gradients."""

    loss: Float[Tensor, ""]
    image_grads: Float[Tensor, "n c h w"]
    step_size_grad: Float[Tensor, ""]
    label_grads: Float[Tensor, "n k"] | None = None
    """with respect to the labels, where they are learned"""


def trajectory_gradient(
    student_loss: Callable[[Float[Tensor, " p"], Float[Tensor, "b c h w"], Tensor], Float[Tensor, ""]],
    start: Float[Tensor, " p"],
    target: Float[Tensor, " p"],
    images: Float[Tensor, "n c h w"],
    labels: Targets,
    step_size: Float[Tensor, ""],
    steps: Sequence[StudentStep],
    gradient: Literal["tesla", "exact"],
    graph_bytes: int = GRAPH_BYTES,
    *,
    learn_labels: bool = False,
) -> TrajectoryGradient:
    """Equation (3) and its gradients with respect to the images and the step size; with `learn_labels` to the labels
    too, which are then floating-point numbers.

    `student_loss(parameters, images, labels)` is the mean cross-entropy of the student with flat parameters. Graphs of
    the first steps are kept, as many as fit into `graph_bytes` if each takes what the first one does; their number
    changes nothing but rounding. The step size is best on the CPU: to read it from a GPU waits for it.
    """

    def graph(theta: Tensor, step: StudentStep, targets: Targets, *, kept: bool = True) -> _Graph:
        theta = theta.detach().requires_grad_()
        leaf = images[step.images].detach().requires_grad_(kept)
        if learn_labels:
            targets = targets.detach().requires_grad_(kept)
        loss = student_loss(theta, step.augment(leaf), targets)
        return _Graph(theta, leaf, targets, *torch.autograd.grad(loss, theta, create_graph=kept))

    taught = labels[torch.cat([step.images for step in steps])].split([len(step.images) for step in steps])
    thetas, graphs = [start], list[_Graph]()
    saved = SavedBytes()
    with saved:
        first = graph(start, steps[0], taught[0])
    kept = graph_bytes // max(1, saved.total)
    for number, step in enumerate(steps):
        made = first if number == 0 else graph(thetas[-1], step, taught[number], kept=number < kept)
        thetas.append(thetas[-1] - step_size * made.g.detach())
        if number < kept:
            graphs.append(made)
    del first, made
    distance = ((start - target) ** 2).sum()
    rate = float(step_size)
    residual = thetas.pop() - target
    adjoint = 2 * residual / distance

    image_grads = torch.zeros_like(images)
    label_grads = torch.zeros_like(labels) if learn_labels else None
    step_size_grad = images.new_zeros(())
    for number in reversed(range(len(steps))):
        step = steps[number]
        theta, leaf, targets, g = graphs.pop() if number < kept else graph(thetas[number], step, taught[number])
        inputs = [leaf]
        if learn_labels:
            inputs.append(targets)
        if gradient == "exact":
            inputs.append(theta)
        image_grad, *others = vector_jacobian(g, adjoint, inputs)
        image_grads.index_add_(0, step.images, image_grad, alpha=-rate)
        if label_grads is not None:
            label_grads.index_add_(0, step.images, others[0], alpha=-rate)
        step_size_grad -= g.detach() @ adjoint
        if gradient == "exact":
            adjoint = adjoint - step_size * others[-1]
    return TrajectoryGradient((residual**2).sum() / distance, image_grads, step_size_grad, label_grads)


class TrajectoryMatching:
    """MTT, FTD or DATM bound to one run and its expert trajectories."""

    def __init__(self, run: Run, dataset: Dataset, trajectories: Trajectories, device: torch.device) -> None:
        assert isinstance(run.algorithm, MatchingTrajectories)
        self.run, self.settings, self.device = run, run.algorithm, device
        self.trajectories = trajectories
        self.network = build_backbone(run, dataset, None).to(device)
        self.soft_labels: Float[Tensor, "n k"] | None = None
        self.learned: LearnedLabels | None = None

    def match(
        self, images: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"], step: int, step_size: Float[Tensor, ""]
    ) -> Match:
        """Equation (3) for one expert segment, and its gradients; computed in the images' precision. Labels that are
        learned make their step.
        """
        start, target = self.trajectories.segment(*self._segment(step))
        if step + 1 < self.run.steps:
            self.trajectories.expect(*self._segment(step + 1))
        classes = upload(labels, self.device)
        taught = self._taught(images, classes, step)
        start, target = upload_together([start.to(images.dtype), target.to(images.dtype)], self.device)
        outcome = trajectory_gradient(
            functional_loss(self.network.to(images.dtype), logits=self.learned is not None),
            start,
            target,
            images,
            taught,
            step_size.cpu().to(images.dtype),
            self._steps(images, step),
            self.settings.gradient,
            learn_labels=self.learned is not None,
        )
        threshold = self.settings.threshold
        moves = None if threshold is None else outcome.loss <= threshold
        if self.learned is not None and outcome.label_grads is not None:
            lr, momentum = self.settings.label_lr, self.settings.label_momentum
            self.learned.step(outcome.label_grads, lr=lr, momentum=momentum, moves=moves)
        return Match(outcome.loss, outcome.image_grads, outcome.step_size_grad, moves)

    def _taught(self, images: Float[Tensor, "n c h w"], classes: Int64[Tensor, " n"], step: int) -> Targets:
        """What the student is taught: classes, class probabilities, or logits that are learned."""
        if self.settings.labels == "hard":
            return classes
        if self.soft_labels is None and self.learned is None:
            assert step == 0, "such labels begin with the initial images, and are part of the state"
            if self.settings.labels == "soft":
                self.soft_labels = class_probabilities(self.trajectories, images)
            else:
                self.learned = LearnedLabels(initial_logits(expert_logits(self.trajectories, images), classes))
        if self.learned is not None:
            return self.learned.logits
        assert self.soft_labels is not None
        return self.soft_labels

    def _segment(self, step: int) -> tuple[int, int, int]:
        """Which expert is matched in a step, from which epoch, over how many."""
        rng = rng_for(self.run.run_id, "trajectory", step)
        expert = int(torch.randint(self.settings.experts.count, (), generator=rng))
        epochs = self.settings.start_epochs(step)
        start_epoch = epochs[int(torch.randint(len(epochs), (), generator=rng))]
        return expert, start_epoch, self.settings.expert_epochs

    def _steps(self, images: Float[Tensor, "n c h w"], step: int) -> list[StudentStep]:
        """The mini-batches of the N student steps, a shuffled pass over the images after another."""
        rng = rng_for(self.run.run_id, "student", step)
        size = min(self.settings.batch_size or len(images), len(images))
        sizes = batch_sizes(self.network, lambda: images[:1].detach(), len(images), size)
        batches: list[Tensor] = []
        while len(batches) < self.settings.synthetic_steps:
            batches.extend(pass_over(torch.randperm(len(images), generator=rng), sizes, self.settings.rest_first))
        batches = batches[: self.settings.synthetic_steps]
        draws = [draw(self.run.augmentation, len(batch), rng, shared_operation=True) for batch in batches]
        return [
            StudentStep(batch, partial(self._augment, draws[number], (step, number)))
            for number, batch in enumerate(upload_together(batches, self.device))
        ]

    def _augment(self, draws: Draw, names: tuple[int, int], images: Float[Tensor, "b c h w"]) -> Tensor:
        set_dropout_rng(self.network, rng_for(self.run.run_id, "dropout", *names))
        return apply(images, draws)

    def state(self) -> dict[str, Tensor]:
        """The soft labels, where the student is taught them; of learned ones the momenta too."""
        if self.learned is not None:
            return self.learned.state()
        return {} if self.soft_labels is None else {SOFT_LABELS: self.soft_labels}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        self.learned = LearnedLabels.of_state(state)
        self.soft_labels = None if self.learned is not None else state.get(SOFT_LABELS)


def pass_over(order: Int64[Tensor, " n"], sizes: Sequence[int], rest_first: bool) -> list[Int64[Tensor, " b"]]:
    """The batches of one pass over images in an order: from its beginning, or from its end, where a smaller rest is."""
    batches = list(order.split(list(sizes)))
    return batches[::-1] if rest_first else batches


def functional_loss(
    network: nn.Module, *, logits: bool = False
) -> Callable[[Float[Tensor, " p"], Float[Tensor, "b c h w"], Tensor], Float[Tensor, ""]]:
    """Mean cross-entropy of a network as a function of its flat parameters (in registration order); `logits`: the
    labels are logits, of which the softmax is taken.
    """

    def loss(parameters: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        outputs = torch.func.functional_call(network, split_parameters(network, parameters), (images,))
        return F.cross_entropy(outputs, labels.softmax(1) if logits else labels)

    return loss
