"""Eight trials over four layers and two algorithms share one GPU and one generator, and make what each alone makes."""

import sys
from pathlib import Path

import pytest

from glad_ray.engine.in_process import run_in_process
from glad_ray.storage import Storage
from tests.engine import tiny
from tests.engine.eight_on_one import PLAN, RUNS, STEPS
from tests.recorded import Recorded
from tests.telling import told_by

pytestmark = [pytest.mark.cluster, pytest.mark.full]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The storage of the sweep, what it said of its replicas, and the titles of whoever built the generator."""
    results, built = (tmp_path_factory.mktemp(name) for name in ("results", "built"))
    command = [sys.executable, "-m", "tests.engine.eight_on_one", str(results), str(built)]
    (told,) = told_by(command, cwd=Path(__file__).parents[2])
    return Storage.open(results), told, [path.read_text() for path in built.iterdir()]


def test_one_replica_computes_for_all_in_batches(together):
    _, told, _ = together
    (its,) = told["now"]
    assert its["requests"] >= len(RUNS) * (1 + 2 * STEPS)
    assert its["batches"] < its["requests"]
    assert its["largest_batch_requests"] > 1


def test_how_the_replica_is_lies_on_storage_until_the_end(together):
    storage, told, _ = together
    (its,) = told["written"]
    assert its["generator"] == told["now"][0]["generator"]
    assert not storage.exists(Storage.REPLICAS)


def test_no_trial_builds_a_generator(together):
    _, _, (title,) = together
    assert title.startswith("ray::Replica")


def test_each_run_is_what_it_is_alone(together, tmp_path):
    alone = Storage.open(tmp_path)
    run_in_process(PLAN, alone, device="cpu", view=Recorded())
    for run in RUNS:
        tiny.assert_same_run(together[0], alone, run.run_id, 1e-5)
