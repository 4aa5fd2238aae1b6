"""What a storage has on record of a sweep, and what was told of it: to see what was lost, doubled or made again."""

import re

from glad_ray.results import Training, read_results, read_trainings
from glad_ray.spec import Sweep
from glad_ray.storage import Storage


def finished_files(storage: Storage) -> int:
    """Files of rows."""
    return len(storage.list(Storage.RESULTS))


def row_keys(storage: Storage) -> list[tuple[str, str, str, int]]:
    """Run, selection, network and repeat of every row."""
    table = read_results(storage).select(["run_id", "selection", "network", "repeat"])
    return [tuple(row.values()) for row in table.to_pylist()]


def trainings(storage: Storage, sweep: Sweep) -> set[tuple[str, Training]]:
    """Those on record, with their runs; the times they took tell that these are they, and not others like them."""
    return {
        (run.run_id, training)
        for run in sweep.runs
        for evaluation in sweep.evaluations
        for network in evaluation.networks
        for training in read_trainings(storage, run.run_id, evaluation.content_id, network.key)
    }


def told_twice(text: str) -> int:
    """Lines that tell of a run that it is distilled or finished, after one that told the same."""
    lines = re.findall(r"^(?:distilled|finished) .* seed \d+", text, re.MULTILINE)
    return len(lines) - len(set(lines))
