"""A sweep of three runs whose process is killed in the second run, and which goes on: what the stores of all trackers
that are installed hold of it. Of each run one record, with every step once and in order.
"""

import importlib.util
import signal

import pytest

from glad_ray.api import load
from glad_ray.spec.trackers import TRACKERS
from glad_ray.trackers.kept import kept_accuracies
from tests.trackers import stores
from tests.trackers.tiny_sweep import NETWORKS, RUNS, STEPS, SWEEP, driven, rows_of, untracked

pytestmark = [pytest.mark.fault, pytest.mark.full]
INSTALLED = [name for name in TRACKERS if importlib.util.find_spec(name)]
KILLED_AT = 13


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Where each tracker wrote, after the second process, and the storage."""
    if not INSTALLED:
        pytest.skip("no tracker is installed")
    root = tmp_path_factory.mktemp("tracked")
    where = {
        "storage": root / "kept",
        "tensorboard": root / "boards",
        "mlflow": f"sqlite:///{root}/mlflow.db",
        "wandb": root / "wandb",
        "trackio": root / "trackio",
    }
    where["wandb"].mkdir()
    if "mlflow" in INSTALLED:
        # One that is half made when its process is killed is of no use, and making it takes seconds.
        from mlflow.tracking import MlflowClient

        MlflowClient(where["mlflow"]).search_experiments()
    named = [f"{name}:{where[name]}" if name in ("tensorboard", "mlflow") else name for name in INSTALLED]
    env = {"WANDB_MODE": "offline", "WANDB_DIR": str(where["wandb"]), "TRACKIO_DIR": str(where["trackio"])}
    for killed_at, code in ((KILLED_AT, -signal.SIGKILL), (0, 0)):
        ended = driven(where["storage"], killed_at, named, env, root)
        assert ended.returncode == code, ended.stderr
        assert "did not take" not in ended.stderr
        assert "untracked" not in ended.stdout
        for each in INSTALLED:
            where[f"{each} when killed"] = held_by(each, where) if killed_at else where[f"{each} when killed"]
    return where


def held_by(tracker, where):
    with pytest.MonkeyPatch.context() as patch:
        if tracker == "trackio":
            patch.setattr("trackio.sqlite_storage.TRACKIO_DIR", where["trackio"])
        return getattr(stores, tracker)(where[tracker])


@pytest.fixture(params=TRACKERS)
def held(request, places):
    """What a tracker holds of the runs at the end, and what it held when the first process was killed."""
    if request.param not in INSTALLED:
        pytest.skip(f"{request.param} is not installed")
    return held_by(request.param, places), places[f"{request.param} when killed"], places["storage"]


def test_every_run_has_one_record_that_goes_on(held):
    now, before, storage = held
    assert set(now) == {run.run_id for run in RUNS}
    assert {each.records for each in now.values()} == {1}
    assert before.keys() < now.keys()
    begun = before[RUNS[1].run_id].series["loss"]
    assert begun[0][0] == 1
    assert len(begun) <= KILLED_AT
    assert now[RUNS[1].run_id].series["loss"][: len(begun)] == begun
    for run in RUNS:
        assert f"Run {run.run_id} of the sweep tracked, kept in {storage}" in now[run.run_id].link
        assert now[run.run_id].outcome == "finished"


def test_every_step_is_there_once_and_in_order_with_what_storage_keeps(held):
    now, _, storage = held
    results = load(storage)
    for run in RUNS:
        series = dict(now[run.run_id].series)
        losses = series.pop("loss", [])
        if run.steps:
            kept = results.losses(run)
            assert [step for step, _ in losses] == list(range(1, STEPS + 1))
            assert [value for _, value in losses] == pytest.approx(kept["loss"].tolist(), rel=1e-6)
        expected = {}
        for network in NETWORKS:
            of_network = kept_accuracies(results.storage, run, SWEEP.evaluations[0], network)
            expected |= {f"{name}/{network.key}": points for name, points in of_network.items() if points}
        assert series.keys() == expected.keys()
        for name, points in expected.items():
            assert [step for step, _ in series[name]] == [step for step, _ in points]
            assert [value for _, value in series[name]] == pytest.approx([value for _, value in points], rel=1e-6)
        assert len(expected) == len(NETWORKS) * (2 if run.held_out else 1)


def test_settings_and_images_are_there_once(held):
    now, _, _ = held
    for run in RUNS:
        assert now[run.run_id].images == 1
        assert int(now[run.run_id].settings["seed"]) == run.seed
        assert now[run.run_id].settings["algorithm.name"].strip('"') == run.algorithm.name


def test_rows_are_those_of_an_untracked_sweep(places, tmp_path):
    assert rows_of(places["storage"]).equals(rows_of(untracked(tmp_path)))
