"""Results of runs with accuracies that a test gives them, as they lie on a storage."""

from glad_ray.results import Distillation, Training, package_versions, write_results
from tests.exchange.sets import made_set


def keep(storage, evaluation, run, accuracies):
    """Write what is read of a run: its record, a set, and the rows of an accuracy for each network of an evaluation."""
    trainings = {
        network.key: [
            Training(
                step=run.steps,
                network=network.key,
                repeat=repeat,
                accuracy=accuracy,
                held_out_accuracy=None,
                learning_rate=0.01,
                seconds=1.0,
                peak_memory_bytes=1,
                device="cpu",
            )
            for repeat in range(evaluation.repeats)
        ]
        for network, accuracy in zip(evaluation.networks, accuracies, strict=True)
    }
    taken = Distillation(seconds=3.0, peak_memory_bytes=1, device="cpu", versions=package_versions())
    storage.write_bytes(storage.run_path(run.run_id), run.model_dump_json().encode())
    storage.write_bytes(storage.synthetic_set_path(run.run_id), made_set(1).to_bytes())
    write_results(storage, run, evaluation, "kept", trainings, taken)
