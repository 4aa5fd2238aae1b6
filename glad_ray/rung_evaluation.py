"""What a search sees of a run at a rung: its set after some steps, scored on held-out training images alone."""

import time
from collections.abc import Callable

from glad_ray.errors import StoppedError
from glad_ray.evaluate import Inputs, accuracy_on, held_out_images, trained, training_set_of
from glad_ray.machine import fp32_precision
from glad_ray.results import RungEvaluation, read_rung, write_rung
from glad_ray.spec import Labels, Run
from glad_ray.storage import Storage
from glad_ray.synthetic_set import SyntheticSet


def evaluate_rung(
    run: Run, step: int, inputs: Inputs, storage: Storage, *, on_training: Callable[[], bool]
) -> RungEvaluation:
    """Score a run's set after some steps, or the first later one that there is, with one network on held-out training
    images alone; each training is kept, and none is made twice.

    Labels are the set's own, or hard. Draws follow as those of `evaluate_set` do. `on_training` is called after each
    and ends it by returning true: then `StoppedError` is raised.
    """
    evaluation, device = inputs.evaluation, inputs.device
    path = storage.rung_path(run.run_id, step, evaluation.content_id, inputs.network.key)
    seen = read_rung(storage, path)
    while len(seen.accuracies) < evaluation.repeats:
        started = time.monotonic()
        path_of_set = _set_after(run, step, storage)
        synthetic = SyntheticSet.from_bytes(storage.read_bytes(path_of_set), path_of_set)
        labels: Labels = "hard" if synthetic.soft_labels is None else "own"
        repeat, training_set = len(seen.accuracies), training_set_of(synthetic, labels, None, device)
        lr = evaluation.learning_rate(inputs.network)
        with fp32_precision(evaluation.precision, device):
            averaged = trained(training_set, inputs, lr, repeat)
            score = accuracy_on(averaged, held_out_images(inputs.dataset), inputs)
        seen = RungEvaluation(accuracies=(*seen.accuracies, score), seconds=seen.seconds + time.monotonic() - started)
        write_rung(storage, path, seen)
        if on_training() and len(seen.accuracies) < evaluation.repeats:
            raise StoppedError(f"ended before its time, after {len(seen.accuracies)} trainings")
    return seen


def _set_after(run: Run, step: int, storage: Storage) -> str:
    return next(path for path in storage.list(storage.set_folder(run.run_id)) if storage.step_of(path) >= step)
