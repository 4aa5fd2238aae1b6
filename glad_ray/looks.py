"""Looks at a run: its sets after some steps, scored on held-out training images alone. A search ranks trials by them;
a sweep chooses by them the step that is evaluated in full.
"""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from glad_ray.errors import RunError, StoppedError
from glad_ray.machine import fp32_precision
from glad_ray.results import Look, evaluated_steps, read_look, read_looks, write_look
from glad_ray.set_evaluation import Inputs, accuracy_on, held_out_images, trained, training_set_of
from glad_ray.spec import Evaluation, Labels, Run
from glad_ray.storage import Storage
from glad_ray.synthetic_set import SyntheticSet


class Looked(NamedTuple):
    """One training of a look, and its test."""

    step: int
    repeat: int
    seconds: float


def take_looks(
    run: Run,
    steps: tuple[int, ...],
    labels: Labels,
    inputs: Inputs,
    storage: Storage,
    *,
    on_training: Callable[[Looked], bool],
) -> tuple[Look, ...]:
    """Score a run's sets after some steps (each, or the first later one that there is) with one network on held-out
    training images alone; each training is kept, and none is made twice.

    Draws follow as those of `evaluate_set` do. `on_training` is called after each, and ends it by returning true: then
    `StoppedError` is raised.
    """
    evaluation, device = inputs.evaluation, inputs.device
    paths = [storage.look_path(run.run_id, step, evaluation.content_id, inputs.network.key) for step in steps]
    looks = [read_look(storage, path) for path in paths]
    lr = evaluation.learning_rate(inputs.network)
    ended = False
    for number, (step, path) in enumerate(zip(steps, paths, strict=True)):
        while len(looks[number].accuracies) < evaluation.repeats:
            if ended:
                raise StoppedError(
                    f"ended before its time, after {sum(len(each.accuracies) for each in looks)} trainings"
                )
            started = time.monotonic()
            path_of_set = _set_after(run, step, storage)
            synthetic = SyntheticSet.from_bytes(storage.read_bytes(path_of_set), path_of_set)
            training_set = training_set_of(synthetic, labels, None, device)
            before = looks[number]
            with fp32_precision(evaluation.precision, device):
                (averaged,) = trained(training_set, inputs, lr, [len(before.accuracies)])
                score = accuracy_on(averaged, held_out_images(inputs.dataset), inputs)
            seconds = time.monotonic() - started
            looks[number] = Look(accuracies=(*before.accuracies, score), seconds=before.seconds + seconds)
            write_look(storage, path, looks[number])
            ended = on_training(Looked(step, len(before.accuracies), seconds))
    return tuple(looks)


def _set_after(run: Run, step: int, storage: Storage) -> str:
    return next(path for path in storage.list(storage.set_folder(run.run_id)) if storage.step_of(path) >= step)


def looked_step(run: Run, evaluation: Evaluation, storage: Storage) -> int | None:
    """The step that looks choose: of the best mean accuracy, of equally good ones the later; None: there are none to
    be taken (`Evaluation.looking`). Raises `RunError` unless all are there.
    """
    looking = evaluation.looking(run)
    if looking is None:
        return None

    looks = read_looks(storage, run, looking)
    if missing := [step for (step, _), look in looks.items() if len(look.accuracies) < looking.repeats]:
        raise RunError(f"a look at step {missing[0]} is missing: give the command again, which takes it")

    def accuracy(step: int) -> float:
        return math.fsum(score for network in looking.networks for score in looks[step, network.key].accuracies)

    return max(run.snapshot_steps, key=lambda step: (accuracy(step), step))


def steps_in_full(run: Run, evaluation: Evaluation, storage: Storage) -> tuple[int, ...]:
    """The steps whose sets are evaluated in full, ascending: all, or the one that looks choose and the last."""
    looked = looked_step(run, evaluation, storage)
    return evaluated_steps(run.snapshot_steps, looked)
