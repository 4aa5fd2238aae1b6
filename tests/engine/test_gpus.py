"""Sweeps on Ray with several GPUs, which are pretended: whatever computes uses the GPU that Ray gave it, and what fails
there is tried again with more, or elsewhere.
"""

import json
import os
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from glad_ray.results import read_results
from glad_ray.storage import Storage
from tests.engine import tiny
from tests.gpu_rehearsal import workers
from tests.gpu_rehearsal.uses import COUNT, FAULTS, TOLD, Use
from tests.telling import told_by

pytestmark = [pytest.mark.cluster, pytest.mark.full]
ROOT = Path(__file__).parents[2]


def swept(folder, count, visible=None, faults=()):
    """Run the sweep with so many GPUs; returns the rows, what the view was shown, and the uses of GPUs."""
    places = {name: folder / name.lower() for name in (TOLD, FAULTS)}
    for place in places.values():
        place.mkdir(parents=True)
    for fault in faults:
        (places[FAULTS] / fault).touch()
    environment = {
        **os.environ,
        **{name: str(place) for name, place in places.items()},
        COUNT: str(count),
        "PYTHONPATH": os.pathsep.join([str(ROOT), *workers.__path__]),
        "RAY_OVERRIDE_RESOURCES": json.dumps({"GPU": count}),
    }
    if visible is not None:
        environment["CUDA_VISIBLE_DEVICES"] = visible
    command = [sys.executable, "-m", "tests.gpu_rehearsal.on_ray", str(folder / "results")]
    (told,) = told_by(command, cwd=ROOT, env=environment)
    uses = [Use(*json.loads(line)) for file in places[TOLD].iterdir() for line in file.read_text().splitlines()]
    rows = read_results(Storage.open(folder / "results")).drop_columns(tiny.OF_THE_MACHINE).to_pylist()
    assert not list(places[FAULTS].iterdir()), "every fault was met"
    return rows, told, uses


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    return swept(tmp_path_factory.mktemp("quiet"), 2, visible="4,6")


def assert_used_as_given(uses, names):
    assert {use.task for use in uses} == {"experts", "distil", "evaluation", "replica"}
    for use in uses:
        assert use.used in ([], use.given), use
    assert {name for use in uses for name in use.given} == names


def gpus_of_processes(uses):
    """The GPUs that each process was given."""
    given = defaultdict(set)
    for use in uses:
        given[use.process] |= set(use.given)
    return list(given.values())


def test_the_two_of_many_that_are_visible(quiet):
    _, told, uses = quiet
    assert told == {"retried": [], "failed": []}
    assert_used_as_given(uses, {"4", "6"})


def test_what_fails_on_four_is_tried_again_and_comes_to_the_same(quiet, tmp_path):
    faults = (
        "distil memory", "evaluation library", "replica memory",
        "evaluation failure", "experts failure", "replica failure",
    )  # fmt: skip
    rows, told, uses = swept(tmp_path, 4, faults=faults)
    assert told["failed"] == []
    assert rows == quiet[0]
    errors = [error for _, error in told["retried"]]
    assert sum("out of memory" in error for error in errors) == 1, "a replica computes in parts, and no trial is told"
    assert sum("ALLOC_FAILED" in error for error in errors) == 1
    assert sum("illegal memory access" in error for error in errors) >= 2
    assert_used_as_given(uses, {"0", "1", "2", "3"})
    both = gpus_of_processes(quiet[2]) + gpus_of_processes(uses)
    assert any(len(gpus) > 1 for gpus in both), "some process served several GPUs"
    assert len({use.process for use in uses if use.task == "replica"}) == 2
