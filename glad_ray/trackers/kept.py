"""What storage keeps of a run that a tracker may lack. What cannot be read at present is asked for another time."""

import contextlib
import statistics
from collections import defaultdict
from collections.abc import Sequence

from glad_ray.errors import GladRayError
from glad_ray.results import read_losses, sound_trainings
from glad_ray.spec import Evaluation, Network, Run
from glad_ray.storage import Storage
from glad_ray.trackers.base import Point

_NOT_NOW = (GladRayError, OSError)


def kept_losses(storage: Storage, run: Run) -> Sequence[float]:
    """The losses from the first step on: all of a run that is distilled, else those of its newest checkpoint."""
    with contextlib.suppress(*_NOT_NOW):
        if (curve := read_losses(storage, run.run_id)) is not None:
            return curve.losses
    with contextlib.suppress(*_NOT_NOW):
        import torch

        from glad_ray.checkpoints import newest_checkpoint

        if (state := newest_checkpoint(run, storage, torch.device("cpu"))) is not None:
            return state.losses
    return ()


def kept_accuracies(storage: Storage, run: Run, evaluation: Evaluation, network: Network) -> dict[str, list[Point]]:
    """The mean accuracy on test images over all repeats of a network, for every step whose repeats are all there; where
    the run keeps held-out training images, that on them too.
    """
    by_step = defaultdict(list)
    with contextlib.suppress(*_NOT_NOW):
        for training in sound_trainings(storage, run.run_id, evaluation.content_id, network.key)[0]:
            by_step[training.step].append(training)
    whole = sorted(step for step, each in by_step.items() if len(each) >= evaluation.repeats)
    accuracies: dict[str, list[Point]] = {"accuracy": [], "held_out_accuracy": []}
    for step in whole:
        trainings = by_step[step]
        accuracies["accuracy"].append((step, statistics.fmean(each.accuracy for each in trainings)))
        held_out = [each.held_out_accuracy for each in trainings if each.held_out_accuracy is not None]
        if held_out:
            accuracies["held_out_accuracy"].append((step, statistics.fmean(held_out)))
    return accuracies


def kept_images(storage: Storage, run: Run) -> bytes | None:
    """The synthetic images as one picture; None: there are none, or not yet."""
    with contextlib.suppress(*_NOT_NOW):
        return storage.read_bytes(storage.images_path(run.run_id))
    return None
