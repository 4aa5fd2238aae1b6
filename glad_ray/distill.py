"""The one loop of every algorithm in every space (Algorithm 1 of the paper, with the two passes of section 3.4).

Decode the latents without a graph, let the algorithm give dL/dS, pull it back to the latents, step. The latents, the
optimiser, the learned step size and the step are one state, saved as one file; all draws follow from the run's id and
the step, so that a resumed run is the uninterrupted one.
"""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Int64
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from glad_ray.algorithms import SOFT_LABELS, Algorithm, Match, build_algorithm
from glad_ray.coresets import choose_images
from glad_ray.data import Dataset, real_images
from glad_ray.errors import RunError, StoppedError
from glad_ray.generators import Generator, GeneratorSpace, Latents, PixelSpace, Space
from glad_ray.interrupts import kept_back
from glad_ray.machine import device_name, fp32_precision, fp32_precision_on, peak_memory_bytes, reset_peak_memory
from glad_ray.randomness import rng_for
from glad_ray.results import (
    Distillation,
    Progress,
    damage,
    package_versions,
    read_entry,
    sound,
    write_distillation,
    write_entry,
    write_losses,
    written_as,
)
from glad_ray.spec import DC, DM, MTT, Run, WholeDataset
from glad_ray.storage import Storage
from glad_ray.synthetic_set import SyntheticSet
from glad_ray.trajectories import Trajectories

_MOMENTUM = 0.5  # of the latents and the step size, in every algorithm's original code and in GLaD's
_KEPT_CHECKPOINTS = 2
_TRIED_STEPS = 2  # the second one has momenta beside everything else
_MADE = (".safetensors", ".png", ".parquet", "distillation.json")
OnProgress = Callable[[Progress], bool | None]
"""Told of a step; true: the work is to end."""
MIN_STEP_SIZE = 1e-6
"""The learned step size is kept at or above this; the paper's code lets it turn negative."""


@dataclass
class State:
    """All that a run carries from step to step."""

    latents: Latents
    momenta: Latents
    step_size: Tensor
    step_size_momentum: Tensor
    algorithm: dict[str, Tensor]
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    loss_seconds: list[float] = field(default_factory=list)

    @classmethod
    def new(cls, run: Run, latents: Latents) -> "State":
        """The state before the first step."""
        step_size = torch.tensor(run.algorithm.step_size if isinstance(run.algorithm, MTT) else math.nan)
        momenta = {name: torch.zeros_like(value) for name, value in latents.items()}
        return cls(latents, momenta, step_size, torch.zeros(()), {})

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        tensors = {
            **{f"latents/{name}": value for name, value in self.latents.items()},
            **{f"momenta/{name}": value for name, value in self.momenta.items()},
            **{f"algorithm/{name}": value for name, value in self.algorithm.items()},
            "step_size": self.step_size,
            "step_size_momentum": self.step_size_momentum,
            "step": torch.tensor(self.step),
            "seconds": torch.tensor(self.seconds, dtype=torch.float64),
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "loss_seconds": torch.tensor(self.loss_seconds, dtype=torch.float64),
        }
        return save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})

    @classmethod
    def from_bytes(cls, data: bytes, device: torch.device) -> "State":
        """From a safetensors file; raises `SafetensorError` or `KeyError` if it is damaged."""
        tensors = load(data)

        def group(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v.to(device) for k, v in tensors.items() if k.startswith(prefix)}

        return cls(
            latents=group("latents/"),
            momenta=group("momenta/"),
            step_size=tensors["step_size"],
            step_size_momentum=tensors["step_size_momentum"],
            algorithm=group("algorithm/"),
            step=int(tensors["step"]),
            seconds=float(tensors["seconds"]),
            losses=tensors["losses"].tolist(),
            loss_seconds=tensors["loss_seconds"].tolist(),
        )


def build_space(run: Run, dataset: Dataset, generator: Generator | None, device: torch.device) -> Space:
    """The space a run optimises in; `generator` is its prior, here or behind a handle."""
    assert run.init is not None, "filled in by the record"

    def real(labels: Tensor, rng: torch.Generator) -> Tensor:
        return real_images(dataset, labels, rng)

    if generator is None or run.generator is None:
        return PixelSpace(dataset.train_images.shape[1:], run.init, real, device)
    return GeneratorSpace(
        generator,
        run.space,
        init=run.init,
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
    run: Run,
    *,
    space: Space,
    dataset: Dataset,
    trajectories: Trajectories | None,
    storage: Storage,
    device: str,
    on_progress: OnProgress,
    until: int | None = None,
) -> None:
    """Distil a run to its last step and write all it makes; resumes from its newest whole checkpoint.

    With `until`, no further than to that step, of which the set and a checkpoint are kept; where there is a later
    checkpoint, to the step of that.

    SIGINT and SIGTERM end it after a checkpoint of the step that it is making; a second one ends it at once. So does
    `on_progress`, told of every step, by returning true: then `StoppedError` is raised.

    A baseline's images are chosen instead; the whole dataset is what it is, and no set is written.

    Raises `RunError` with the step and the quantity if a loss or gradient is not finite; the last checkpoint stays.
    """
    if distilled(storage, run):
        return
    where = torch.device(device)
    reset_peak_memory(where)
    # Of a set that is not what was written.
    storage.delete(storage.distillation_path(run.run_id))
    storage.delete(storage.entry_path(run.run_id, "distilled"))
    storage.write_bytes(storage.run_path(run.run_id), run.model_dump_json(indent=1).encode())
    write_entry(storage, run.run_id, "started", device=device_name(where))
    seconds = 0.0
    if not isinstance(run.algorithm, WholeDataset):
        last = run.steps if until is None else min(until, run.steps)
        with fp32_precision(run.precision, where):
            state = _make_set(run, space, dataset, trajectories, storage, where, on_progress, last)
        if state.step < run.steps:
            return
        seconds = state.seconds
    taken = Distillation(
        seconds=seconds,
        peak_memory_bytes=peak_memory_bytes(where),
        device=device_name(where),
        versions=package_versions(),
        precision=fp32_precision_on(where, run.precision),
    )
    write_distillation(storage, run.run_id, taken)
    made = (*storage.list(storage.run_folder(run.run_id)), *storage.list(storage.set_folder(run.run_id)))
    vouched = [path for path in made if path.endswith(_MADE)]
    write_entry(storage, run.run_id, "distilled", device=taken.device, seconds=seconds, files=vouched)
    storage.delete(storage.checkpoint_folder(run.run_id))


def try_steps(
    run: Run, *, space: Space, dataset: Dataset, trajectories: Trajectories | None, device: torch.device
) -> None:
    """Make the first steps of a run, or choose a baseline's images, and keep nothing: for what that takes of memory."""
    labels = torch.arange(len(dataset.class_names)).repeat_interleave(run.images_per_class)
    with fp32_precision(run.precision, device):
        state = _first_state(run, space, labels, dataset, trajectories, device)
        if isinstance(run.algorithm, DC | DM | MTT):
            algorithm = build_algorithm(run, dataset, trajectories, device)
            for _ in range(min(_TRIED_STEPS, run.steps)):
                _step(run.algorithm, state, space, algorithm, labels)


def _make_set(
    run: Run,
    space: Space,
    dataset: Dataset,
    trajectories: Trajectories | None,
    storage: Storage,
    device: torch.device,
    on_progress: OnProgress,
    last: int,
) -> State:
    """Make the steps of a run up to `last`; after those of the run itself, write its synthetic set and its losses."""
    labels = torch.arange(len(dataset.class_names)).repeat_interleave(run.images_per_class)
    state = _newest_checkpoint(run, storage, device)
    if state is None:
        state = _first_state(run, space, labels, dataset, trajectories, device)
    if run.distils:
        algorithm = build_algorithm(run, dataset, trajectories, device)
        algorithm.load_state(state.algorithm)
        _loop(run, state, space, algorithm, labels, dataset, storage, on_progress, last)
        if state.step < run.steps:
            _save_set(run, state, space, labels, dataset, storage)
            return state
    else:
        _save_set(run, state, space, labels, dataset, storage)
    final = _synthetic_set(run, state, space, labels, dataset)
    storage.write_bytes(storage.synthetic_set_path(run.run_id), final.to_bytes())
    storage.write_bytes(storage.images_path(run.run_id), final.png_grid())
    write_losses(storage, run.run_id, state.losses, state.loss_seconds)
    return state


def _first_state(
    run: Run,
    space: Space,
    labels: Int64[Tensor, " n"],
    dataset: Dataset,
    trajectories: Trajectories | None,
    device: torch.device,
) -> State:
    rng = rng_for(run.run_id, "init")
    if run.distils:
        return State.new(run, space.init(labels, rng))
    started = time.monotonic()
    state = State.new(run, {"pixels": choose_images(run, dataset, trajectories, rng, device)})
    state.seconds = time.monotonic() - started
    return state


def _loop(
    run: Run,
    state: State,
    space: Space,
    algorithm: Algorithm,
    labels: Int64[Tensor, " n"],
    dataset: Dataset,
    storage: Storage,
    on_progress: OnProgress,
    last: int,
) -> None:
    settings = run.algorithm
    assert isinstance(settings, DC | DM | MTT), "a baseline makes no steps"
    before, started = state.seconds, time.monotonic()
    while state.step < last:
        # No checkpoint holds half a step, and whoever is told to end keeps the steps it made.
        with kept_back() as told_to_end:
            loss = _step(settings, state, space, algorithm, labels)
            state.seconds = before + time.monotonic() - started
            state.losses.append(loss)
            state.loss_seconds.append(state.seconds)
            if state.step in run.snapshot_steps:
                _save_set(run, state, space, labels, dataset, storage)
            due = state.step < run.steps and (state.step == last or state.step % run.checkpoint_every == 0)
            if due:
                _save_checkpoint(run, state, storage)
            ended = on_progress(Progress(state.step, run.steps, loss, state.seconds)) and state.step < run.steps
            if (ended or told_to_end()) and not due:
                _save_checkpoint(run, state, storage)
        if ended:
            raise StoppedError(f"ended before its time, after step {state.step} of {run.steps}")


def _step(
    settings: DC | DM | MTT,
    state: State,
    space: Space,
    algorithm: Algorithm,
    labels: Int64[Tensor, " n"],
) -> float:
    """Make the next step of a run; returns its loss."""
    rates = settings.learning_rates.model_dump()
    match = algorithm.match(space.decode(state.latents), labels, state.step, state.step_size)
    grads = space.pullback(state.latents, match.image_grads)
    loss, step_size_grad = _finite(match, grads, state.step)
    for name, grad in grads.items():
        state.momenta[name].mul_(_MOMENTUM).add_(grad)
        state.latents[name].sub_(state.momenta[name], alpha=rates[name])
    if isinstance(settings, MTT):
        state.step_size_momentum.mul_(_MOMENTUM).add_(step_size_grad)
        state.step_size.sub_(state.step_size_momentum, alpha=settings.step_size_lr).clamp_(min=MIN_STEP_SIZE)
    state.step += 1
    state.algorithm = algorithm.state()
    return loss


def _finite(match: Match, grads: Latents, step: int) -> tuple[float, float]:
    """The loss and the gradient of the step size (0 if there is none), read at once with whether all gradients are
    finite; raises `RunError` with the first quantity that is not.
    """
    step_size_grad = torch.zeros_like(match.loss) if match.step_size_grad is None else match.step_size_grad
    numbers = {"loss": match.loss, "gradient of the step size": step_size_grad}
    # A sum over 0 * x is 0 where all of x are finite, else not a number.
    numbers |= {f"gradient of {name}": (grad * 0).sum().to(match.loss) for name, grad in grads.items()}
    # The one wait for the device in a step.
    read = dict(zip(numbers, torch.stack(list(numbers.values())).tolist(), strict=True))
    for quantity, value in read.items():
        if not math.isfinite(value):
            raise RunError(f"the {quantity} is not finite at step {step}: lower the learning rates of the run")
    return read["loss"], read["gradient of the step size"]


def _save_set(
    run: Run, state: State, space: Space, labels: Int64[Tensor, " n"], dataset: Dataset, storage: Storage
) -> None:
    """Keep the set of this step, a candidate for evaluation."""
    candidate = _synthetic_set(run, state, space, labels, dataset)
    storage.write_bytes(storage.set_path(run.run_id, state.step), candidate.to_bytes())


def _synthetic_set(run: Run, state: State, space: Space, labels: Int64[Tensor, " n"], dataset: Dataset) -> SyntheticSet:
    # So that a generator keeps no graph, which nothing would use.
    with torch.no_grad():
        images = space.decode(state.latents).cpu()
    return SyntheticSet(
        images=images,
        labels=labels,
        soft_labels=state.algorithm.get(SOFT_LABELS),
        latents={name: value.cpu() for name, value in state.latents.items()},
        step_size=float(state.step_size) if isinstance(run.algorithm, MTT) else None,
        step=state.step,
        class_names=dataset.class_names,
        mean=dataset.mean,
        std=dataset.std,
        whitening=run.whitening,
        pictures=None if dataset.whitening is None else dataset.whitening.pictures(images),
        run=run.model_dump_json(),
    )


def _save_checkpoint(run: Run, state: State, storage: Storage) -> None:
    data, newest = state.to_bytes(), storage.checkpoint_path(run.run_id, state.step)
    storage.write_bytes(newest, data)
    before = read_entry(storage, run.run_id, "checkpoint")
    paths = storage.list(storage.checkpoint_folder(run.run_id))
    for path in paths[:-_KEPT_CHECKPOINTS]:
        storage.delete(path)
    write_entry(
        storage,
        run.run_id,
        "checkpoint",
        step=state.step,
        loss=state.losses[-1],
        seconds=state.seconds,
        files=paths[-_KEPT_CHECKPOINTS:],
        known=({} if before is None else before.files) | {newest: written_as(data)},
    )


def _newest_checkpoint(run: Run, storage: Storage, device: torch.device) -> State | None:
    """The newest checkpoint that is whole; a damaged one is passed over for the one before."""
    entry = read_entry(storage, run.run_id, "checkpoint")
    for path in reversed(storage.list(storage.checkpoint_folder(run.run_id))):
        data = storage.read_bytes(path)
        with contextlib.suppress(SafetensorError, KeyError):
            if sound(entry, path, data):
                return State.from_bytes(data, device)
    return None
