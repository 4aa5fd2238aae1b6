"""MTT's gradient in three forms: through one graph of all student steps, TESLA's, and exact step by step.

For each number of student steps: how far the gradients of the images and of the step size are from those through the
whole graph in float64, the time (the three in turn) and the peak memory (each in a process of its own) in float32.
Setting: a ConvNet on 32 pixels, 10 real images as the synthetic ones, step size 0.01, and an epoch of a real expert,
with and without augmentation.

    python benchmarks/mtt_gradient.py --steps 1 5 10 20 50 --width 128
"""

import argparse
import multiprocessing
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int64
from rich.console import Console
from rich.table import Table
from timing import Timing, time_in_turn
from torch import Tensor

from glad_ray.algorithms import trajectory_gradient
from glad_ray.algorithms.mtt import StudentStep, TrajectoryGradient, functional_loss
from glad_ray.augment import apply, draw
from glad_ray.data import Dataset, load_dataset, real_images
from glad_ray.experts import ExpertFiles, train_experts
from glad_ray.machine import device_name, keep_freed_memory, open_device, peak_memory_bytes, reset_peak_memory
from glad_ray.networks import build_network
from glad_ray.randomness import rng_for
from glad_ray.spec import MTT, Experts, Network, Run
from glad_ray.storage import Storage

Form = Literal["unroll", "tesla", "exact"]
FORMS: tuple[Form, ...] = get_args(Form)
DATASET, RESOLUTION, CLASSES = "fashion-mnist-sample", 32, 10
STEP_SIZE = 0.01


@dataclass(frozen=True)
class Setting:
    """What all measurements share; small enough to be sent to another process."""

    experts: str
    """storage of the expert"""
    width: int
    device: str
    threads: int
    repeats: int


@dataclass(frozen=True)
class Problem:
    """One segment to match: the arguments of `trajectory_gradient` but for the form."""

    student_loss: Callable[..., Tensor]
    start: Float[Tensor, " p"]
    target: Float[Tensor, " p"]
    images: Float[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]
    step_size: Float[Tensor, ""]
    steps: tuple[StudentStep, ...]

    def gradient(self, form: Form) -> TrajectoryGradient:
        """The loss and its gradients in one form."""
        arguments = (self.start, self.target, self.images, self.labels, self.step_size, self.steps)
        if form == "unroll":
            return unrolled_gradient(self.student_loss, *arguments)
        return trajectory_gradient(self.student_loss, *arguments, gradient=form)


class Comparison(NamedTuple):
    """How gradients compare with those through the whole graph in float64."""

    images: float
    """relative error"""
    cosine: float
    """of the gradient of the images"""
    length: float
    """of the gradient of the images, as a multiple"""
    step_size: float
    """relative error"""


def unrolled_gradient(
    student_loss: Callable[..., Tensor],
    start: Float[Tensor, " p"],
    target: Float[Tensor, " p"],
    images: Float[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    step_size: Float[Tensor, ""],
    steps: Sequence[StudentStep],
) -> TrajectoryGradient:
    """Equation (3) and its gradients by differentiating through all steps at once, as MTT does it."""
    leaf, alpha = images.detach().requires_grad_(), step_size.detach().requires_grad_()
    theta = start.detach().requires_grad_()
    for step in steps:
        loss = student_loss(theta, step.augment(leaf[step.images]), labels[step.images])
        (g,) = torch.autograd.grad(loss, theta, create_graph=True)
        theta = theta - alpha * g
    final = ((theta - target) ** 2).sum() / ((start - target) ** 2).sum()
    image_grads, step_size_grad = torch.autograd.grad(final, (leaf, alpha))
    return TrajectoryGradient(final.detach(), image_grads, step_size_grad)


@cache
def real_data() -> Dataset:
    """The images the expert is trained on and the synthetic ones are taken from."""
    return load_dataset(DATASET, resolution=RESOLUTION)


def expert_run(setting: Setting) -> Run:
    """A run whose expert is trained for two epochs, of which the second is matched."""
    experts = Experts(count=1, epochs=2, batch_size=64)
    return Run(
        algorithm=MTT(expert_epochs=1, experts=experts),
        dataset=DATASET,
        resolution=RESOLUTION,
        backbone=Network(width=setting.width),
    )


def train(setting: Setting) -> None:
    """Train the expert and put it on its storage."""
    run = expert_run(setting)
    assert run.expert_set is not None, "it matches trajectories"
    storage = Storage.open(setting.experts)
    train_experts(run.expert_set, [0], real_data(), storage, device=setting.device, on_epoch=lambda *at: None)


def problem(setting: Setting, steps: int, augmentation: str, dtype: torch.dtype) -> Problem:
    """The segment from the expert's first epoch to its second, for a student of so many steps."""
    run, device = expert_run(setting), open_device(setting.device)
    assert run.expert_set is not None, "it matches trajectories"
    start, target = ExpertFiles(Storage.open(setting.experts), run.expert_set).segment(0, 1, 1)
    network = build_network(run.backbone, channels=1, resolution=RESOLUTION, classes=CLASSES, rng=None)
    labels = torch.arange(CLASSES)
    rng = rng_for("benchmark", "student", steps)
    draws = [draw(augmentation, CLASSES, rng, shared_operation=True) for _ in range(steps)]
    return Problem(
        functional_loss(network.to(device, dtype)),
        start.to(device, dtype),
        target.to(device, dtype),
        real_images(real_data(), labels, rng_for("benchmark", "images")).to(device, dtype),
        labels.to(device),
        torch.tensor(STEP_SIZE, device=device, dtype=dtype),
        tuple(StudentStep(labels.to(device), partial(apply, draws=drawn)) for drawn in draws),
    )


def peak_memory(setting: Setting, steps: int, augmentation: str, form: Form) -> int:
    """Bytes that one call takes on top of what was there; for a process that has computed nothing before."""
    device = open_device(setting.device)
    posed = problem(setting, steps, augmentation, torch.float32)
    reset_peak_memory(device)
    before = peak_memory_bytes(device)
    posed.gradient(form)
    return peak_memory_bytes(device) - before


def times(setting: Setting, steps: int, augmentation: str) -> dict[str, Timing]:
    """The time of each form, in turn."""
    posed = problem(setting, steps, augmentation, torch.float32)
    return time_in_turn(
        {form: partial(posed.gradient, form) for form in FORMS}, setting.repeats, open_device(setting.device)
    )


def comparisons(setting: Setting, steps: int, augmentation: str) -> dict[tuple[str, str], Comparison]:
    """By form and precision, the gradients beside those through the whole graph in float64."""
    truth = problem(setting, steps, augmentation, torch.float64).gradient("unroll")
    found: dict[tuple[str, str], Comparison] = {}
    for name, dtype in (("float64", torch.float64), ("float32", torch.float32)):
        posed = problem(setting, steps, augmentation, dtype)
        for form in FORMS:
            found[form, name] = compare(posed.gradient(form), truth)
    return found


def compare(outcome: TrajectoryGradient, truth: TrajectoryGradient) -> Comparison:
    """One outcome beside the true one."""
    actual, expected = outcome.image_grads.double(), truth.image_grads
    return Comparison(
        images=float((actual - expected).norm() / expected.norm()),
        cosine=float((actual * expected).sum() / (actual.norm() * expected.norm())),
        length=float(actual.norm() / expected.norm()),
        step_size=float((outcome.step_size_grad - truth.step_size_grad).abs() / truth.step_size_grad.abs()),
    )


def fresh(setting: Setting, task: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a task in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(setting.threads,)) as pool:
        return pool.submit(task, setting, *arguments).result()


def _begin(threads: int) -> None:
    keep_freed_memory()
    torch.set_num_threads(threads)


def table(setting: Setting, steps: Sequence[int], augmentation: str) -> Table:
    """All measurements under one augmentation."""
    shown = Table(
        *("steps", "form", "images: error", "cosine", "length", "step size: error"),
        *("float32: images", "step size", "seconds", "CPU seconds", "/ TESLA's", "peak MiB"),
        title=augmentation or "no augmentation",
    )
    for count in steps:
        peaks = {form: fresh(setting, peak_memory, count, augmentation, form) for form in FORMS}
        taken: dict[str, Timing] = fresh(setting, times, count, augmentation)
        compared: dict[tuple[str, str], Comparison] = fresh(setting, comparisons, count, augmentation)
        for form in FORMS:
            double, single = compared[form, "float64"], compared[form, "float32"]
            shown.add_row(
                str(count),
                form,
                f"{double.images:.1e}",
                f"{double.cosine:.3f}",
                f"{double.length:.2f}",
                f"{double.step_size:.1e}",
                f"{single.images:.1e}",
                f"{single.step_size:.1e}",
                f"{taken[form].wall:.3f}",
                f"{taken[form].cpu:.3f}",
                f"{taken[form].wall / taken['tesla'].wall:.2f}",
                f"{peaks[form] / 2**20:.0f}",
                end_section=form == FORMS[-1],
            )
    return shown


def main() -> None:
    """Measure what the arguments ask for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 5, 10, 20, 50], help="student steps")
    parser.add_argument("--width", type=int, default=128, help="filters of the ConvNet")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:<n>")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls of each form")
    parser.add_argument(
        "--augmentation", nargs="+", default=["", Run(algorithm=MTT()).augmentation], help="DSA operations; '': none"
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(
            experts=str(Path(folder) / "experts"),
            width=chosen.width,
            device=chosen.device,
            threads=chosen.threads,
            repeats=chosen.repeats,
        )
        fresh(setting, train)
        console = Console(width=150)
        console.print(
            f"ConvNet of width {setting.width}, {CLASSES} images of {RESOLUTION} pixels, "
            f"{device_name(open_device(setting.device))}, {setting.threads} threads, torch {torch.__version__}"
        )
        for augmentation in chosen.augmentation:
            console.print(table(setting, chosen.steps, augmentation))


if __name__ == "__main__":
    main()
