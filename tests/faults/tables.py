"""The sweep that faults happen to, and what must hold of its table and its events afterwards."""

from collections import Counter
from pathlib import Path

import pytest

from glad_ray.progress.events import ExpertEpoch, RunDistilled, RunFinished, TrainingDone
from glad_ray.results import finished
from tests.engine import tiny

SWEEP = Path(__file__).with_name("sweep.py")
NAMES = ("random", "dm")
EVALUATION_ID = tiny.EVALUATION.content_id


def plan(*names, **resources):
    return tiny.plan(*names, evaluations=(tiny.EVALUATION,), **resources)


def assert_same_table(storage, expected, name, tolerance=0.0):
    """As after a quiet run."""
    quiet = [row for row in tiny.rows(expected, name) if row["evaluation_id"] == EVALUATION_ID]
    ours = tiny.rows(storage, name)
    accuracies = [[row.pop("accuracy") for row in rows] for rows in (ours, quiet)]
    assert ours == quiet
    assert accuracies[0] == pytest.approx(accuracies[1], abs=tolerance)
    assert finished(storage, tiny.RUNS[name].run_id, EVALUATION_ID)
    tiny.assert_same(storage, expected, name, tolerance)


def assert_nothing_twice(view):
    """No run was distilled, expert trained to its end or network trained twice."""
    done = Counter()
    for event in view.of(TrainingDone):
        done[event.run.run_id, event.training.network, event.training.step, event.training.repeat] += 1
    for event in view.of(ExpertEpoch):
        done[event.expert_set.content_id, event.expert] += event.epoch == event.expert_set.experts.last_epoch
    for kind in (RunDistilled, RunFinished):
        done.update((kind, event.run.run_id) for event in view.of(kind))
    assert max(done.values()) == 1
