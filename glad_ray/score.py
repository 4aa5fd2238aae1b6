"""Scoring a synthetic set by itself, be it of a run or from elsewhere; every training is kept.

Trainings are kept under two ids, so that none is made twice and none is taken for another. The first is the hash of the
set and of the real images it is tested on, the second that of all settings that decide the accuracy of one training.
The repeats and the other networks of an evaluation do not: one that asks for more trains only what is missing. The
device, the number of threads and the versions of packages are in neither: they change the last digits alone.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch

from glad_ray.data import Dataset, load_dataset, test_subset
from glad_ray.data.prepare import OnProgress
from glad_ray.errors import DataError, UserError, is_lasting, printable, unreadable
from glad_ray.metrics import metric
from glad_ray.networks import check_network
from glad_ray.results import Training, sound_trainings, write_trainings
from glad_ray.set_evaluation import Inputs, evaluate_set, repeat_groups, training_set_of
from glad_ray.spec import Evaluation, Network, Run, dataset_facts
from glad_ray.spec.foreign_set import ForeignSet, read_origin
from glad_ray.storage import Storage
from glad_ray.synthetic_set import SyntheticSet

_ID_DIGITS = 12


def read_set(path: Path) -> SyntheticSet:
    """The synthetic set in a file; raises `DataError` if it is not there or damaged."""
    try:
        return SyntheticSet.from_bytes(path.read_bytes(), str(path))
    except OSError as error:
        if not is_lasting(error):
            raise unreadable(path, error) from error
        raise DataError(
            f"{printable(path)} cannot be read ({error.strerror}): name a synthetic_set.safetensors file."
        ) from error


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """A synthetic set with all that its score follows from."""

    synthetic: SyntheticSet
    origin: Run | ForeignSet
    evaluation: Evaluation
    dataset: Dataset
    """real images at the resolution of the set"""
    unwritten: dict[tuple[str, int], Training] = field(default_factory=dict)
    """trainings that could not be kept yet, by network key and repeat: storage may come back"""

    @classmethod
    def prepare(cls, synthetic: SyntheticSet, evaluation: Evaluation, *, on_prepared: OnProgress | None = None) -> Self:
        """Check everything that a training would rest on, and load the real images, of which `on_prepared` is told.

        Raises `UserError` if the set, its labels, a network or the test images are not what the evaluation asks for.
        """
        origin = read_origin(synthetic.run)
        _check(synthetic, origin, evaluation)
        dataset = load_dataset(
            origin.dataset,
            resolution=origin.pixels,
            antialias=origin.antialias,
            whitening=origin.whitening,
            # A whitening is fitted to the images that are not held out.
            held_out=0 if origin.whitening == "none" else origin.held_out,
            on_progress=on_prepared,
        )
        test_subset(dataset, evaluation.test_images)
        for name in evaluation.metrics:
            metric(name)
        return cls(synthetic=synthetic, origin=origin, evaluation=evaluation, dataset=dataset)

    @cached_property
    def set_id(self) -> str:
        """Twelve hexadecimal digits: the hash of the set and of the real images that it is tested on."""
        synthetic, test = self.synthetic, test_subset(self.dataset, self.evaluation.test_images)
        facts = (self.origin.run_id, synthetic.step, synthetic.step_size, self.dataset.mean, self.dataset.std)
        tensors = (synthetic.images, synthetic.labels, synthetic.soft_labels)
        parts = [None if tensor is None else tensor.cpu().numpy() for tensor in tensors]
        return _hash_of(repr(facts), [*parts, test.images, test.labels])

    def settings_id(self, network: Network) -> str:
        """Twelve hexadecimal digits: the hash of all settings that decide the accuracy of one training of a network."""
        fields, evaluation = Evaluation.model_fields, self.evaluation.decided_for(self.origin)
        return evaluation.replace(
            networks=(network,),
            learning_rates={network.name: evaluation.learning_rate(network)},
            # Of other networks and other sets, or decided above.
            **{name: fields[name].default for name in ("repeats", "plain_epochs", "whole_dataset_epochs", "teacher")},
        ).content_id

    def kept(self, network: Network, storage: Storage) -> tuple[dict[int, Training], str | None]:
        """The trainings of a network that are kept, by the number of the repeat, as far as they are asked for; none,
        and in a few words why, if they are not what was written.
        """
        trainings, wrong = sound_trainings(storage, self.set_id, self.settings_id(network), network.key)
        return {each.repeat: each for each in trainings if each.repeat < self.evaluation.repeats}, wrong

    def train(
        self, network: Network, storage: Storage, *, device: str, on_training: Callable[[Training], None]
    ) -> None:
        """Train a network as often as asked for, without those that are kept, and keep each; `on_training` is told of
        every one.
        """
        target, settings_id = torch.device(device), self.settings_id(network)
        training_set = training_set_of(self.synthetic, self.evaluation.labels_of(self.origin), None, target)
        decided = self.evaluation.decided_for(self.origin)
        inputs = Inputs(self.origin.run_id, decided, network, self.dataset, target)
        there = self.kept(network, storage)[0].keys() | {number for key, number in self.unwritten if key == network.key}
        missing = [repeat for repeat in range(self.evaluation.repeats) if repeat not in there]
        makers = {
            repeat: maker
            for group in repeat_groups(training_set, inputs, missing)
            for maker in [evaluate_set(training_set, inputs, group)]
            for repeat in group
        }
        for repeat in range(self.evaluation.repeats):
            # Another process may have made it meanwhile.
            training = self.kept(network, storage)[0].get(repeat)
            if training is None:
                made = network.key, repeat
                maker = makers.get(repeat) or evaluate_set(training_set, inputs, [repeat])
                while made not in self.unwritten:
                    each = next(maker)
                    self.unwritten[network.key, each.repeat] = each
                training = self.unwritten[made]
                written, _ = sound_trainings(storage, self.set_id, settings_id, network.key)
                others = [each for each in written if each.repeat != repeat]
                write_trainings(storage, self.set_id, settings_id, network.key, [*others, training])
                del self.unwritten[made]
            on_training(training)


def _check(synthetic: SyntheticSet, origin: Run | ForeignSet, evaluation: Evaluation) -> None:
    facts = dataset_facts(origin.dataset)
    images, labels, classes = synthetic.images, synthetic.labels, facts.classes
    shape = (facts.channels, origin.pixels, origin.pixels)
    whole = images.dtype == torch.float32 and images.ndim == 4 and images.shape[1:] == shape and len(images)
    if not whole or not bool(images.isfinite().all()):
        raise DataError(
            f"The set has not the images that its record says, finite float32 of {' x '.join(map(str, shape))}: make "
            "it again."
        )
    whole = labels.dtype == torch.int64 and labels.shape == images.shape[:1]
    if not whole or not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise DataError(f"The set has not a label of 0 to {classes - 1} for each of its images: make it again.")
    taught = evaluation.labels_of(origin)
    if taught == "online":
        raise UserError(
            "A teacher that gives labels at every step is trained by a sweep alone: use hard labels here, or the soft "
            "ones of a set that has them."
        )
    if taught == "teacher":
        raise UserError(
            "The set has no soft labels, and a teacher is trained by a sweep alone: use hard labels here, or of a .pt "
            "name what its labels are with --label-kind."
        )
    soft = synthetic.soft_labels
    if taught == "own" and (soft is None or soft.shape != (len(images), classes) or not bool(soft.isfinite().all())):
        raise DataError(
            f"The set has not the soft labels, {len(images)} x {classes}, which its record says: make it again."
        )
    if evaluation.learned_step_size and synthetic.step_size is None:
        raise UserError(
            "The set has no learned step size, which only trajectory matching gives: leave "
            "evaluation.learned_step_size out."
        )
    for network in evaluation.networks:
        check_network(
            network,
            channels=facts.channels,
            resolution=origin.pixels,
            classes=classes,
            smallest_batch=min(len(images), evaluation.batch_size, 2),
        )


def _hash_of(text: str, arrays: Iterable[np.ndarray | None]) -> str:
    digest = hashlib.sha256(text.encode())
    for array in arrays:
        if array is None:
            digest.update(b"none")
            continue
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:_ID_DIGITS]
