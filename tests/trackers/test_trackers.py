"""Trackers: what is asked for and cannot be, and sweeps whose trackers do not take what they are sent."""

import importlib.util
import threading

import pytest

from glad_ray.api.running import with_trackers
from glad_ray.cli import main
from glad_ray.engine.in_process import run_in_process
from glad_ray.errors import UserError
from glad_ray.plan import make_plan
from glad_ray.progress.events import Begun, RunFinished, RunProgressed, TrackerFailed, TrialSeen
from glad_ray.results import Progress, write_losses
from glad_ray.spec import Resources
from glad_ray.spec.trackers import TrackerPlace
from glad_ray.trackers.sender import Sender
from glad_ray.trackers.tracked_view import TrackedView, tracked
from tests.recorded import Recorded
from tests.trackers import stores
from tests.trackers.tiny_sweep import NETWORKS, RUNS, STEPS, SWEEP

RUN = RUNS[0]
FILE = "from tests.trackers.tiny_sweep import SWEEP\n\ndef sweep():\n    return SWEEP\n"


class Kept:
    """A record of a run in memory; `wrong` is raised where something is added."""

    def __init__(self, points=()):
        self.points = {"loss": list(points)} if points else {}
        self.last_steps = {name: points[-1][0] for name, points in self.points.items()}
        self.has_images, self.finished, self.outcome, self.wrong = False, False, None, None

    def add(self, name, points):
        if self.wrong is not None:
            raise self.wrong
        self.points.setdefault(name, []).extend(points)

    def add_images(self, png, step):
        pass

    def close(self, outcome):
        self.outcome = outcome


class InMemory:
    def __init__(self, record=None):
        self.record, self.runs = record or Kept(), []

    def record_of(self, run):
        self.runs.append(run)
        return self.record


def sender(tracker, storage, evaluations=()):
    return Sender(TrackerPlace("mlflow", "http://x"), lambda: tracker, "tracked", evaluations, storage)


def progressed(step, losses=()):
    return RunProgressed(RUN, Progress(step, STEPS, float(step), 0.0), losses)


def sent(each):
    """All that was told is sent."""
    each.end()
    each.run()


# --- what is asked for


def test_a_tracker_that_is_not_there(tmp_path, capsys):
    (tmp_path / "sweep.py").write_text(FILE)
    for words, said in (
        (("--track", "tensorbord"), "Unknown tracker 'tensorbord'. Did you mean 'tensorboard'?"),
        (
            ("--track", "mlflow:"),
            "Tracker 'mlflow:' names no place behind the colon: write mlflow for its standard place, or mlflow:WHERE.",
        ),
    ):
        command = ["sweep", str(tmp_path / "sweep.py"), "--storage", str(tmp_path / "kept"), *words]
        assert main(command) == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "kept").exists()
    with pytest.raises(UserError, match=r"Unknown tracker 'wnadb'\. Did you mean 'wandb'\?"):
        Resources(trackers=("wnadb",))


def test_a_tracker_that_is_not_installed(tmp_path, capsys, monkeypatch):
    (tmp_path / "sweep.py").write_text(FILE)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "wandb" else found(name, *more)
    )
    command = ["sweep", str(tmp_path / "sweep.py"), "--storage", str(tmp_path / "kept"), "--track", "wandb"]
    assert main(command) == 2
    assert "which is not installed: pip install 'glad-ray[wandb]'" in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()


def test_trackio_with_a_server(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    monkeypatch.setenv("TRACKIO_SPACE_ID", "somebody/space")
    with pytest.raises(UserError, match="unset TRACKIO_SPACE_ID"):
        with_trackers(SWEEP, ["trackio"])


def test_a_folder_for_tensorboard_is_asked_for_where_storage_is_none(storage):
    from glad_ray.storage import Storage

    with pytest.raises(UserError, match="TensorBoard writes to a folder"):
        tracked(Recorded(), "s", (), Resources(trackers=("tensorboard",)), Storage("mock://bucket"), print)


def test_trackers_change_no_run_and_are_written_only_where_there_are_any(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    made = with_trackers(SWEEP, ["mlflow:http://x", "wandb", "wandb"])
    assert made.resources.trackers == ("mlflow:http://x", "wandb")
    assert [run.run_id for run in made.runs] == [run.run_id for run in SWEEP.runs]
    assert "tracker" not in "".join(run.model_dump_json() for run in made.runs)
    assert "trackers" not in SWEEP.model_dump_json()
    assert type(made).model_validate_json(made.model_dump_json()) == made


# --- what is sent


def test_losses_go_on_after_the_last_that_is_held(storage):
    record = Kept([(step, float(step)) for step in range(1, 6)])
    each = sender(InMemory(record), storage)
    for event in (progressed(4), progressed(5), progressed(8, (6.0, 7.0, 8.0)), progressed(9)):
        each.offer(event)
    sent(each)
    assert record.points["loss"] == [(step, float(step)) for step in range(1, 10)]
    assert each.missing == []
    assert record.outcome is None


def test_losses_that_no_event_told_come_from_storage(storage):
    """Of a run that another process went on with, or where events had no room."""
    losses = [float(step) for step in range(1, STEPS + 1)]
    for told in ((progressed(20), RunFinished(RUN)), (RunFinished(RUN),), (Begun((RUN,), (), (), (), {}),)):
        tracker = InMemory()
        each = sender(tracker, storage)
        write_losses(storage, RUN.run_id, losses, losses)
        for event in told:
            each.offer(event)
        sent(each)
        assert tracker.record.points["loss"] == list(enumerate(losses, 1))
        assert tracker.record.outcome == "finished"


def test_losses_with_a_gap_wait_for_storage(storage):
    tracker = InMemory()
    each = sender(tracker, storage)
    each.offer(progressed(20))
    sent(each)
    assert tracker.record.points == {}


def test_a_run_whose_record_is_whole_is_left_alone(storage):
    record = Kept([(1, 1.0)])
    record.finished = True
    write_losses(storage, RUN.run_id, [1.0, 2.0], [0.0, 0.0])
    each = sender(InMemory(record), storage)
    each.offer(Begun((RUN,), (), (), (), {}))
    sent(each)
    assert record.points == {"loss": [(1, 1.0)]}


def test_what_a_search_saw_is_sent(storage):
    tracker = InMemory()
    each = sender(tracker, storage)
    for step, outcome in ((2, "goes on"), (4, "complete"), (4, "in full")):
        each.offer(TrialSeen(0, "lr=1", RUN, step, 0.5, outcome))
    sent(each)
    assert tracker.record.points == {
        "search/held_out_accuracy": [(2, 0.5), (4, 0.5)],
        "search/accuracy_in_full": [(4, 0.5)],
    }
    assert tracker.record.outcome == "finished"


def test_a_tracker_that_fails_is_told_of_once_and_given_the_rest_later(storage):
    tracker = InMemory()
    tracker.record.wrong = OSError("No space left on device")
    each = sender(tracker, storage)
    each.offer(progressed(1))
    each._note_all()
    each._send_all()
    each._send_all()
    assert each.failure() == TrackerFailed("mlflow at http://x", "OSError: No space left on device")
    assert each.failure() is None
    assert each.missing == [RUN.label]
    tracker.record.wrong = None
    each.offer(progressed(2))
    sent(each)
    assert tracker.record.points["loss"] == [(1, 1.0), (2, 2.0)]
    assert each.missing == []


def test_events_that_have_no_room_are_made_up_for(storage, monkeypatch):
    monkeypatch.setattr("glad_ray.trackers.sender._MOST_EVENTS", 3)
    losses = [float(step) for step in range(1, STEPS + 1)]
    tracker = InMemory()
    each = sender(tracker, storage)
    for step in range(1, STEPS + 1):
        each.offer(progressed(step))
    write_losses(storage, RUN.run_id, losses, losses)
    each._note_all()
    each._send_all()
    each.offer(RunFinished(RUN))
    sent(each)
    assert tracker.record.points["loss"] == list(enumerate(losses, 1))


# --- sweeps


class Hanging(InMemory):
    def __init__(self):
        super().__init__()
        self.released = threading.Event()

    def record_of(self, run):
        self.released.wait()
        return super().record_of(run)


def test_a_tracker_that_hangs_holds_up_nothing(storage):
    tracker, said, shown = Hanging(), [], Recorded()
    each = sender(tracker, storage, SWEEP.evaluations)
    with TrackedView(shown, [each], said.append, 0.1) as view:
        run_in_process(make_plan(SWEEP), storage, device="cpu", view=view)
    try:
        assert len(shown.of(RunFinished)) == 3
        assert each.is_alive()
        assert len(said) == 1
        assert said[0].startswith("mlflow at http://x did not take everything of 3 runs (")
        assert "within the 0.1 seconds that are waited for it" in said[0]
    finally:
        tracker.released.set()
        each.join()


def test_a_sweep_in_tensorboard(storage, tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    shown, said, resources = Recorded(), [], Resources(trackers=(f"tensorboard:{tmp_path}/boards",))
    with tracked(shown, "tracked", SWEEP.evaluations, resources, storage, said.append) as view:
        run_in_process(make_plan(SWEEP), storage, device="cpu", view=view)
    assert said == []
    assert not shown.of(TrackerFailed)
    held = stores.tensorboard(tmp_path / "boards")
    assert set(held) == {run.run_id for run in RUNS}
    assert [step for step, _ in held[RUN.run_id].series["loss"]] == list(range(1, STEPS + 1))
    for network in NETWORKS:
        assert [step for step, _ in held[RUN.run_id].series[f"accuracy/{network.key}"]] == list(RUN.snapshot_steps)
    assert {each.images for each in held.values()} == {1}
    # Every process asks, and adds nothing where nothing is missing.
    before = sorted(path.name for path in tmp_path.rglob("*tfevents*"))
    with tracked(shown, "tracked", SWEEP.evaluations, resources, storage, said.append) as view:
        run_in_process(make_plan(SWEEP), storage, device="cpu", view=view)
    assert sorted(path.name for path in tmp_path.rglob("*tfevents*")) == before
