"""Faults that take a cluster of their own: a machine that is lost, a GPU whose memory is short."""

import os
import sys

import pytest

from tests.faults.tables import assert_same_table
from tests.telling import told_by


def told_by_driver(*words):
    """What one of the drivers saw."""
    words = [sys.executable, "-m", "tests.faults.drivers", *words]
    (told,) = told_by(words, env=os.environ | {"RAY_AUTH_MODE": "disabled"})
    return told


@pytest.mark.full
def test_memory_of_a_gpu_is_short(seen):
    told = told_by_driver("memory")
    assert (told["finished"], told["failed"]) == (4, [])
    trials, evaluations = ([gpus for kind, gpus in told["begun"] if kind == of] for of in ("trial", "evaluation"))
    assert trials == [0.25, 0.5, 0.5, 0.5, 0.5], "only the first has to find out"
    assert sorted(evaluations)[-4:] == [1.0] * 4
    assert len(evaluations) < 3 * 4, "later ones begin with what was learned"
    assert all("out of memory" in error for error in told["retried"])
    assert len(told["retried"]) == len(trials) + len(evaluations) - 2 * 4
    seen(
        "memory of a GPU is short (logical GPUs)",
        "again, with the error",
        "done with twice the share, as are those after",
    )


@pytest.mark.full
def test_machine_lost(in_process, storage, seen):
    told = told_by_driver("node", storage.uri)
    assert (told["finished"], told["failed"]) == (2, [])
    assert told["retried"]
    for name in ("dm", "mtt"):
        assert_same_table(storage, in_process[0], name)
    seen("SIGKILL of the raylet of a second machine", "again, with the run's name", "done on the first; the same table")
