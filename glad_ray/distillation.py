"""The one loop of every algorithm in every space (Algorithm 1 of the paper, with the two passes of section 3.4).

Decode the latents without a graph, let the algorithm give dL/dS, pull it back to the latents, step. All draws follow
from the run's id and the step, so that a resumed run is the uninterrupted one (checkpoints.py).
"""

import contextlib
import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Int64
from torch import Tensor

from glad_ray.algorithms import SOFT_LABELS, Algorithm, Match, build_algorithm
from glad_ray.checkpoints import DistillationState, newest_checkpoint, save_checkpoint
from glad_ray.coresets import choose_images
from glad_ray.data import Dataset
from glad_ray.errors import RunError, StoppedError
from glad_ray.generators import (
    GREY,
    WEIGHTS,
    FormationSpace,
    GeneratorSpace,
    Latents,
    PixelSpace,
    Space,
    latent_images,
    stored_images,
)
from glad_ray.generators import Generator as ImagePrior
from glad_ray.interrupts import kept_back
from glad_ray.layer_walk import LayerWalk
from glad_ray.machine import device_name, fp32_precision, fp32_precision_on, peak_memory_bytes, reset_peak_memory
from glad_ray.optimisers.latents import Plateau, step_latents
from glad_ray.randomness import rng_for
from glad_ray.results import (
    Distillation,
    Progress,
    damage,
    package_versions,
    write_distillation,
    write_entry,
    write_losses,
)
from glad_ray.spec import Matching, Run
from glad_ray.starting_images import starting_images
from glad_ray.storage import Storage
from glad_ray.synthetic_set import SyntheticSet
from glad_ray.trajectories import Trajectories

_MOMENTUM = 0.5  # of the step size, in MTT's original code and in GLaD's
_TRIED_STEPS = 2  # the second one has momenta beside everything else
_MADE = (".safetensors", ".png", ".parquet")
MIN_STEP_SIZE = 1e-6
"""The learned step size is kept at or above this; the paper's code lets it turn negative."""

Steps = Generator[Progress, bool | None, None]
"""A distillation step by step: yields the progress after each step; to be sent true where it is to end there."""


@dataclass(frozen=True)
class Inputs:
    """What a run is distilled from, and where it computes."""

    run: Run
    space: Space
    dataset: Dataset
    trajectories: Trajectories | None
    """of the run's experts, if it needs any"""
    device: torch.device

    @cached_property
    def labels(self) -> Int64[Tensor, " n"]:
        """Of the images that networks are trained on, class by class."""
        return torch.arange(len(self.dataset.class_names)).repeat_interleave(self.run.training_images_per_class)

    @cached_property
    def stored_labels(self) -> Int64[Tensor, " k"]:
        """Of the images that are kept, class by class: the same, unless each holds several (`Run.formation`)."""
        return torch.arange(len(self.dataset.class_names)).repeat_interleave(self.run.images_per_class)

    @cached_property
    def layers(self) -> LayerWalk:
        """Of the space, in which most runs have one."""
        return LayerWalk(self.run, self.space, self.dataset, self.labels, self.device)


def build_space(
    run: Run,
    dataset: Dataset,
    generator: ImagePrior | None,
    device: torch.device,
    trajectories: Trajectories | None = None,
) -> Space:
    """The space a run optimises in; `generator` is its prior, here or behind a handle, and `trajectories` are those of
    its experts, if it has some.
    """
    stored = _stored_space(run, dataset, generator, device, trajectories)
    if run.formation.factor == 1:
        return stored
    grey = [(GREY - mean) / std for mean, std in zip(dataset.mean, dataset.std, strict=True)]
    return FormationSpace(stored, run.formation, run.images_per_class, grey)


def _stored_space(
    run: Run,
    dataset: Dataset,
    generator: ImagePrior | None,
    device: torch.device,
    trajectories: Trajectories | None,
) -> Space:
    assert run.init is not None, "filled in by the record"
    real = starting_images(run, dataset, trajectories, device)
    init = "real" if run.init in run.real_inits else run.init
    if generator is None or run.generator is None:
        normalised = {"mean": dataset.mean, "std": dataset.std} if dataset.whitening is None else {}
        return PixelSpace(dataset.train_images.shape[1:], init, real, device, **normalised)
    return GeneratorSpace(
        generator,
        run.space,
        init=init,
        mean=dataset.mean,
        std=dataset.std,
        whitening=dataset.whitening,
        real_images=real if "real" in run.generator.inits else None,
        classes=run.generator_classes,
        device=device,
    )


def distilled(storage: Storage, run: Run) -> bool:
    """Whether a run's synthetic set is on storage, as it was written."""
    return storage.exists(storage.distillation_path(run.run_id)) and damage(storage, run.run_id, "distilled") is None


def distill(
    inputs: Inputs, storage: Storage, on_progress: Callable[[Progress], bool | None], until: int | None = None
) -> None:
    """Make all steps of `distillation_steps`; `on_progress` is told of each, and ends it by returning true.

    Raises what `distillation_steps` raises.
    """
    # Where telling of a step is interrupted, a checkpoint of that step is written.
    with contextlib.closing(distillation_steps(inputs, storage, until)) as steps:
        ended = None
        with contextlib.suppress(StopIteration):
            while True:
                ended = on_progress(steps.send(ended))


def distillation_steps(inputs: Inputs, storage: Storage, until: int | None = None) -> Steps:
    """Distil a run to its last step and write all it makes; resumes from its newest whole checkpoint.

    With `until`, no further than to that step, of which the set and a checkpoint are kept; where there is a later
    checkpoint, to the step of that.

    SIGINT and SIGTERM end it after a checkpoint of the step that it is making; a second one ends it at once. Where it
    is closed, it writes a checkpoint of its last step; where it is sent true before the last one, it raises
    `StoppedError` after that.

    A baseline's images are chosen instead; the whole dataset is what it is, and no set is written.

    Raises `RunError` with the step and the quantity if a loss or gradient is not finite; the last checkpoint stays.
    """
    run, device = inputs.run, inputs.device
    if distilled(storage, run):
        return
    reset_peak_memory(device)
    # Of a set that is not what was written.
    storage.delete(storage.distillation_path(run.run_id))
    storage.delete(storage.entry_path(run.run_id, "distilled"))
    storage.write_bytes(storage.run_path(run.run_id), run.model_dump_json(indent=1).encode())
    write_entry(storage, run.run_id, "started", device=device_name(device))
    seconds = 0.0
    if not run.algorithm.whole_dataset:
        last = run.steps if until is None else min(until, run.steps)
        with fp32_precision(run.precision, device):
            state = yield from _make_set(inputs, storage, last)
        if state.step < run.steps:
            return
        seconds = state.seconds
    taken = Distillation(
        seconds=seconds,
        peak_memory_bytes=peak_memory_bytes(device),
        device=device_name(device),
        versions=package_versions(),
        precision=fp32_precision_on(device, run.precision),
    )
    write_distillation(storage, run.run_id, taken)
    made = (*storage.list(storage.run_folder(run.run_id)), *storage.list(storage.set_folder(run.run_id)))
    vouched = [path for path in made if path.endswith(_MADE) or path == storage.distillation_path(run.run_id)]
    write_entry(storage, run.run_id, "distilled", device=taken.device, seconds=seconds, files=vouched)
    storage.delete(storage.checkpoint_folder(run.run_id))


def try_steps(inputs: Inputs) -> None:
    """Make the first steps of a run, or choose a baseline's images, and keep nothing: for what that takes of memory."""
    run = inputs.run
    with fp32_precision(run.precision, inputs.device):
        state = _first_state(inputs)
        if isinstance(run.algorithm, Matching):
            algorithm = build_algorithm(run, inputs.dataset, inputs.trajectories, inputs.device)
            for _ in range(min(_TRIED_STEPS, run.steps)):
                _step(run.algorithm, state, inputs.layers, algorithm, inputs.labels, 1.0)


def _make_set(inputs: Inputs, storage: Storage, last: int) -> Generator[Progress, bool | None, DistillationState]:
    """Make the steps of a run up to `last`; after those of the run itself, write its synthetic set and its losses."""
    run = inputs.run
    state = newest_checkpoint(run, storage, inputs.device) or _first_state(inputs)
    if run.distils:
        algorithm = build_algorithm(run, inputs.dataset, inputs.trajectories, inputs.device)
        algorithm.load_state(state.algorithm)
        yield from _loop(inputs, state, algorithm, storage, last)
    if state.step < run.steps or not run.distils:
        _save_set(inputs, state, storage)
    if state.step < run.steps:
        return state
    final = _synthetic_set(inputs, state)
    storage.write_bytes(storage.synthetic_set_path(run.run_id), final.to_bytes())
    storage.write_bytes(storage.images_path(run.run_id), final.as_stored().png_grid())
    write_losses(storage, run.run_id, state.losses, state.loss_seconds)
    return state


def _first_state(inputs: Inputs) -> DistillationState:
    run = inputs.run
    rng = rng_for(run.run_id, "init")
    if run.distils:
        return DistillationState.new(run, inputs.space.init(inputs.stored_labels, rng))
    started = time.monotonic()
    chosen = choose_images(run, inputs.dataset, inputs.trajectories, rng, inputs.device)
    state = DistillationState.new(run, {"pixels": chosen})
    state.seconds = time.monotonic() - started
    return state


def _loop(inputs: Inputs, state: DistillationState, algorithm: Algorithm, storage: Storage, last: int) -> Steps:
    run = inputs.run
    settings = run.algorithm
    assert isinstance(settings, Matching), "a baseline makes no steps"
    before, started = state.seconds, time.monotonic()
    together = run.steps // settings.iterations
    made = len(state.losses) // together
    plateau = Plateau(
        settings.optimiser.patience, (math.fsum(state.losses[i * together : (i + 1) * together]) for i in range(made))
    )
    while state.step < last:
        # No checkpoint holds half a step, and whoever is told to end keeps the steps it made.
        with kept_back() as told_to_end:
            loss = _step(settings, state, inputs.layers, algorithm, inputs.labels, plateau.factor)
            state.seconds = before + time.monotonic() - started
            state.losses.append(loss)
            if len(state.losses) % together == 0:
                plateau.see(math.fsum(state.losses[-together:]))
            state.loss_seconds.append(state.seconds)
            if state.step in run.snapshot_steps:
                _save_set(inputs, state, storage)
            due = state.step < run.steps and (state.step == last or state.step % run.checkpoint_every == 0)
            if saved := due or told_to_end():
                save_checkpoint(run, state, storage)
        try:
            ended = yield Progress(state.step, run.steps, loss, state.seconds)
        except GeneratorExit:
            # Whoever was told of this step is interrupted.
            if not saved:
                save_checkpoint(run, state, storage)
            raise
        if ended and state.step < run.steps:
            if not saved:
                save_checkpoint(run, state, storage)
            raise StoppedError(f"ended before its time, after step {state.step} of {run.steps}")


def _step(
    settings: Matching,
    state: DistillationState,
    layers: LayerWalk,
    algorithm: Algorithm,
    labels: Int64[Tensor, " n"],
    rate_factor: float,
) -> float:
    """Make the next step of a run, at its learning rates times `rate_factor`; returns its loss."""
    rates = {name: rate_factor * rate for name, rate in settings.learning_rates.model_dump().items()}
    space = layers.enter(state)
    classes = int(labels[-1]) + 1
    if settings.clips(state.step, classes):
        space.clip(state.latents)
    label = settings.class_of_step(state.step, classes)
    matched, of_matched = state.latents, labels
    if label is not None:
        per_class = latent_images(state.latents) // classes
        of_class = slice(label * per_class, (label + 1) * per_class)
        matched = {name: value if name == WEIGHTS else value[of_class] for name, value in state.latents.items()}
        of_matched = labels[labels == label]
    images = space.decode(matched)
    # Where classes take turns, once before the first of them.
    if label is None or label == 0:
        layers.see(state, images if label is None else None)
    match = algorithm.match(images, of_matched, state.step, state.step_size)
    grads = space.pullback(matched, match.image_grads)
    loss, step_size_grad, moves = _finite(match, grads, state.step)
    if label is not None:
        grads = {
            name: grad if name == WEIGHTS else _at(of_class, grad, state.latents[name]) for name, grad in grads.items()
        }
    if moves:
        step_latents(settings.optimiser, rates, state.latents, grads, state.moments)
    if moves and (learned := settings.learned_step_size) is not None:
        state.step_size_momentum.mul_(_MOMENTUM).add_(step_size_grad)
        state.step_size.sub_(state.step_size_momentum, alpha=learned.lr).clamp_(min=MIN_STEP_SIZE)
    state.step += 1
    state.algorithm = algorithm.state()
    layers.leave(state)
    return loss


def _at(place: slice, grad: Tensor, like: Tensor) -> Tensor:
    """The gradient of some images among zeros for the others, which so go on along their moments."""
    grads = torch.zeros_like(like)
    grads[place] = grad
    return grads


def _finite(match: Match, grads: Latents, step: int) -> tuple[float, float, bool]:
    """The loss, the gradient of the step size (0 if there is none) and whether the step moves anything, read at once
    with whether all gradients are finite; raises `RunError` with the first quantity that is not.
    """
    step_size_grad = torch.zeros_like(match.loss) if match.step_size_grad is None else match.step_size_grad
    numbers = {"loss": match.loss, "gradient of the step size": step_size_grad}
    # A sum over 0 * x is 0 where all of x are finite, else not a number.
    numbers |= {f"gradient of {name}": (grad * 0).sum().to(match.loss) for name, grad in grads.items()}
    if match.moves is not None:
        numbers["choice to move"] = match.moves.to(match.loss)
    # The one wait for the device in a step.
    read = dict(zip(numbers, torch.stack(list(numbers.values())).tolist(), strict=True))
    for quantity, value in read.items():
        if not math.isfinite(value):
            raise RunError(f"the {quantity} is not finite at step {step}: lower the learning rates of the run")
    return read["loss"], read["gradient of the step size"], bool(read.get("choice to move", True))


def _save_set(inputs: Inputs, state: DistillationState, storage: Storage) -> None:
    """Keep the set of this step, a candidate for evaluation."""
    storage.write_bytes(storage.set_path(inputs.run.run_id, state.step), _synthetic_set(inputs, state).to_bytes())


def _synthetic_set(inputs: Inputs, state: DistillationState) -> SyntheticSet:
    run, dataset = inputs.run, inputs.dataset
    # So that a generator keeps no graph, which nothing would use.
    with torch.no_grad():
        space = inputs.layers.space_at(state.step)
        images, stored = space.decode(state.latents).cpu(), stored_images(space, state.latents)
    return SyntheticSet(
        images=images,
        labels=inputs.labels,
        soft_labels=state.algorithm.get(SOFT_LABELS),
        latents={name: value.cpu() for name, value in state.latents.items()},
        step_size=None if run.algorithm.learned_step_size is None else float(state.step_size),
        step=state.step,
        class_names=dataset.class_names,
        mean=dataset.mean,
        std=dataset.std,
        whitening=run.whitening,
        pictures=None if dataset.whitening is None else dataset.whitening.pictures(images),
        run=run.model_dump_json(),
        stored_images=None if stored is None else stored.cpu(),
    )
