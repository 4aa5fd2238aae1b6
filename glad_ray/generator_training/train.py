"""The training from its first step to its last, stage by stage, over any number of interruptions."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from glad_ray.errors import RunError, StoppedError, UserError
from glad_ray.generator_training.adversarial import AdversarialStage
from glad_ray.generator_training.autoencoder import AutoencoderStage, averaged_weights
from glad_ray.generator_training.base import Setting, Tensors, TrainingStage
from glad_ray.generator_training.checkpoint import Checkpoint, read_checkpoint, restore, write_checkpoint
from glad_ray.generator_training.classifier import ClassifierStage, trained_classifier
from glad_ray.generator_training.features import Features
from glad_ray.generator_training.samples import sample_grid
from glad_ray.generator_training.weights import with_average_codes
from glad_ray.spec.generator_training import STAGES, Stage
from glad_ray.storage import Storage

CHECKPOINT_SECONDS = 60.0
"""between two checkpoints of a stage, with a grid of samples at each"""


@dataclass(frozen=True)
class Advance:
    """How far a stage is."""

    stage: Stage
    step: int
    steps: int
    seconds: float
    """that its steps took, over all commands"""
    losses: Mapping[str, float]


OnAdvance = Callable[[Advance], bool]
"""Is told of every step; False stops the training after a checkpoint."""


def train_stages(setting: Setting, storage: Storage, on_advance: OnAdvance) -> dict[Stage, Checkpoint]:
    """Train what is not trained yet, and return every stage after its last step.

    Raises `StoppedError` if `on_advance` says to stop, `RunError` if a loss is not finite, `DataError` if a file is
    damaged, `UserError` if more steps were made already than are asked for; the same call goes on from the newest
    checkpoint.
    """
    identity, done = setting.training.stored_id, dict[Stage, Checkpoint]()
    for stage in STAGES:
        path = storage.generator_stage_path(identity, stage)
        kept = read_checkpoint(storage, path)
        if kept is None or kept.step < setting.training.steps(stage):
            kept = _trained(setting, stage, kept, done, storage, on_advance)
            write_checkpoint(storage, path, kept)
            storage.delete(storage.generator_checkpoint_path(identity))
        _check_steps(kept, setting.training.steps(stage))
        done[stage] = kept
    return done


def _check_steps(kept: Checkpoint, steps: int) -> None:
    if kept.step > steps:
        raise UserError(
            f"The {kept.stage} stage of this training has made {kept.step} steps already, and {steps} are asked for: "
            f"ask for {kept.step} or more, or name another storage."
        )


def trained_weights(setting: Setting, done: Mapping[Stage, Checkpoint], stage: Stage) -> Tensors:
    """The generator's averaged weights after a stage, by official names, with the mean code of each class."""
    weights = {name: value.to(setting.device) for name, value in averaged_weights(done[stage].tensors).items()}
    return with_average_codes(setting, weights)


def trained_features(setting: Setting, done: Mapping[Stage, Checkpoint]) -> Features:
    """The maps that serve the losses."""
    return Features(trained_classifier(setting, "features", done["features"].tensors))


def _new_stage(setting: Setting, stage: Stage, done: Mapping[Stage, Checkpoint]) -> TrainingStage:
    match stage:
        case "features" | "scorer":
            return ClassifierStage(setting, stage)
        case "autoencoder":
            return AutoencoderStage(setting, trained_features(setting, done))
        case "adversarial":
            before = {name: value.to(setting.device) for name, value in done["autoencoder"].tensors.items()}
            return AdversarialStage(setting, trained_features(setting, done), before)


def _trained(
    setting: Setting,
    stage: Stage,
    fewer: Checkpoint | None,
    done: Mapping[Stage, Checkpoint],
    storage: Storage,
    on_advance: OnAdvance,
) -> Checkpoint:
    """A stage after its last step, from its newest checkpoint on; `fewer`: after fewer steps, if that was the end of an
    earlier training.
    """
    training = setting.training
    path, steps = storage.generator_checkpoint_path(training.stored_id), training.steps(stage)
    trained = _new_stage(setting, stage, done)
    under_way = read_checkpoint(storage, path)
    kept = fewer if under_way is None or under_way.stage != stage else under_way
    begun, earlier = 0, 0.0
    if kept is not None:
        _check_steps(kept, steps)
        restore(trained, kept.tensors)
        begun, earlier = kept.step, kept.seconds
    started = written = time.monotonic()

    def now(step: int) -> Checkpoint:
        return Checkpoint(stage, step, earlier + time.monotonic() - started, trained.tensors())

    for number in range(begun, steps):
        losses = trained.step(number)
        if not all(map(math.isfinite, losses.values())):
            rate = "classifier_lr" if stage in ("features", "scorer") else "autoencoder_lr, generator_lr"
            raise RunError(f"a loss of the {stage} stage is not finite in step {number} ({losses}): lower its {rate}")
        made = number + 1
        goes_on = on_advance(Advance(stage, made, steps, earlier + time.monotonic() - started, losses))
        if made < steps and (not goes_on or time.monotonic() - written >= CHECKPOINT_SECONDS):
            write_checkpoint(storage, path, now(made))
            _show_samples(setting, stage, trained.tensors(), storage)
            written = time.monotonic()
        if not goes_on and made < steps:
            raise StoppedError(f"the {stage} stage was stopped after step {made} of {steps}")
    _show_samples(setting, stage, trained.tensors(), storage)
    return now(steps)


@torch.no_grad()
def _show_samples(setting: Setting, stage: Stage, tensors: Tensors, storage: Storage) -> None:
    """Write samples of the averaged generator, where the stage has one."""
    if weights := averaged_weights(tensors):
        path = storage.generator_samples_path(setting.training.stored_id, stage)
        storage.write_bytes(path, sample_grid(setting, weights))
