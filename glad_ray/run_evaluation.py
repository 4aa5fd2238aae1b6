"""The evaluation of a run: its kept snapshots, or those that looks leave, scored with the networks of an evaluation.

A training that lies on storage is not made twice.
"""

from collections.abc import Callable
from dataclasses import replace

from glad_ray.errors import StoppedError
from glad_ray.looks import looked_step, steps_in_full
from glad_ray.machine import device_name
from glad_ray.results import (
    Training,
    completed,
    evaluated,
    finished,
    read_distillation,
    read_entry,
    read_trainings,
    sound_trainings,
    write_entry,
    write_results,
    write_trainings,
)
from glad_ray.set_evaluation import Inputs, evaluate_set, repeat_groups, training_set_of, whole_dataset
from glad_ray.spec import Evaluation, Run
from glad_ray.storage import Storage
from glad_ray.synthetic_set import SyntheticSet
from glad_ray.trajectories import Trajectories


def evaluate_network(
    run: Run,
    inputs: Inputs,
    storage: Storage,
    *,
    teachers: Trajectories | None,
    on_training: Callable[[Training], bool | None],
) -> list[Training]:
    """Score the snapshots of a run that are evaluated in full (`steps_in_full`) with one network; what is on storage
    already is not trained again.

    `inputs` has the evaluation as it stands, `teachers` are those of its `teachers_of(run)`. Where `on_training`, told
    of each, returns true, the next one is not made: `StoppedError` is raised. Repeats that are trained at once
    (`repeat_groups`) are kept, and told of, when all of them are tested.
    """
    evaluation, network, device = inputs.evaluation, inputs.network, inputs.device
    evaluation_id, decided = evaluation.content_id, replace(inputs, evaluation=evaluation.decided_for(run))
    entry = evaluated(evaluation_id, network.key)
    trainings, wrong = sound_trainings(storage, run.run_id, evaluation_id, network.key)
    if wrong is not None:
        storage.delete(storage.entry_path(run.run_id, entry))
    done = {(training.step, training.repeat) for training in trainings}
    ended: bool | None = False
    for step in steps_in_full(run, evaluation, storage):
        missing = [repeat for repeat in range(evaluation.repeats) if (step, repeat) not in done]
        if not missing:
            continue
        if run.ipc is None:
            training_set = whole_dataset(inputs.dataset, device)
        else:
            path = storage.set_path(run.run_id, step)
            synthetic = SyntheticSet.from_bytes(storage.read_bytes(path), path)
            training_set = training_set_of(synthetic, evaluation.labels_of(run), teachers, device)
        for repeats in repeat_groups(training_set, decided, missing):
            if ended:
                raise StoppedError(f"ended before its time, after {len(trainings)} trainings")
            for training in evaluate_set(training_set, decided, repeats):
                trainings.append(training)
                write_trainings(storage, run.run_id, evaluation_id, network.key, trainings)
                # All that were made at once are told of.
                ended = on_training(training) or ended
    if read_entry(storage, run.run_id, entry) is None:
        path = storage.trainings_path(run.run_id, evaluation_id, network.key)
        taken = sum(training.seconds for training in trainings)
        write_entry(storage, run.run_id, entry, device=device_name(device), seconds=taken, files=[path])
    return trainings


def finish_run(sweep_name: str, run: Run, evaluation: Evaluation, storage: Storage) -> None:
    """Write the rows of a run whose networks have all been trained, unless they are there."""
    if finished(storage, run.run_id, evaluation.content_id):
        return
    trainings = {
        network.key: read_trainings(storage, run.run_id, evaluation.content_id, network.key)
        for network in evaluation.networks
    }
    looked, distillation = looked_step(run, evaluation, storage), read_distillation(storage, run.run_id)
    write_results(storage, run, evaluation, sweep_name, trainings, distillation, looked)
    rows = storage.results_path(run.run_id, evaluation.content_id)
    write_entry(storage, run.run_id, completed(evaluation.content_id), files=[rows])
