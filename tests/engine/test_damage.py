"""What lies on storage and is not what was written is made again, said once, and nothing else is repeated."""

import shutil
from pathlib import Path

import pytest

from glad_ray.cli import main
from glad_ray.engine import remaining
from glad_ray.engine.in_process import run_in_process
from glad_ray.engine.remaining import remaining_work
from glad_ray.progress.events import Begun, Retried, RunDistilled, RunProgressed, TrainingDone
from glad_ray.results import completed, evaluated, read_entry, written_as
from glad_ray.storage import Storage
from tests.engine import tiny
from tests.recorded import Recorded

PLAN = tiny.plan("dm", "random", evaluations=(tiny.EVALUATION,))
RUN = tiny.RUNS["dm"]
KEYS = [network.key for network in tiny.EVALUATION.networks]
EVALUATION_ID = tiny.EVALUATION.content_id
SET = Storage.synthetic_set_path(RUN.run_id)
CANDIDATE = Storage.set_path(RUN.run_id, RUN.steps)
ROWS = Storage.results_path(RUN.run_id, EVALUATION_ID)
TRAININGS = Storage.trainings_path(RUN.run_id, EVALUATION_ID, KEYS[0])


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    storage = Storage.open(tmp_path_factory.mktemp("quiet"))
    run_in_process(PLAN, storage, device="cpu", view=Recorded())
    return storage


@pytest.fixture
def storage(quiet, tmp_path):
    shutil.copytree(quiet.uri, tmp_path / "storage")
    return Storage.open(tmp_path / "storage")


def flip(storage, path, at=0.5):
    """Change one bit."""
    data = bytearray(storage.read_bytes(path))
    data[int(at * len(data))] ^= 1
    storage.write_bytes(path, bytes(data))


def again(storage, quiet):
    """Run once more, and see that it came to the same."""
    view = Recorded()
    run_in_process(PLAN, storage, device="cpu", view=view)
    assert tiny.rows(storage, "dm", "random") == tiny.rows(quiet, "dm", "random")
    for name in ("dm", "random"):
        tiny.assert_same(storage, quiet, name)
    after = Recorded()
    run_in_process(PLAN, storage, device="cpu", view=after)
    assert [type(event) for event in after.events] == [Begun]
    assert len(after.events[0].finished) == 2
    return view


def only_retry(view, path, wrong="is not what was written"):
    assert [(event.what, event.error) for event in view.of(Retried)] == [(RUN.label, f"{path} {wrong}")]


@pytest.mark.parametrize(("path", "rows_there"), [(SET, True), (CANDIDATE, False)])
def test_a_synthetic_set(storage, quiet, path, rows_there):
    flip(storage, path)
    if not rows_there:
        storage.delete(ROWS)
    view = again(storage, quiet)
    only_retry(view, path)
    assert [event.run for event in view.of(RunDistilled)] == [RUN]
    assert not view.of(TrainingDone)


def test_rows(storage, quiet):
    flip(storage, ROWS)
    view = again(storage, quiet)
    only_retry(view, ROWS)
    assert not view.of(RunProgressed)
    assert not view.of(TrainingDone)


@pytest.mark.parametrize("known", [True, False])
def test_trainings(storage, quiet, known):
    storage.delete(ROWS)
    if known:
        flip(storage, TRAININGS)
    else:
        storage.delete(storage.entry_path(RUN.run_id, evaluated(EVALUATION_ID, KEYS[0])))
        storage.write_bytes(TRAININGS, storage.read_bytes(TRAININGS)[:-1])
    view = again(storage, quiet)
    only_retry(view, TRAININGS, "is not what was written" if known else "is damaged")
    assert not view.of(RunProgressed)
    assert {event.training.network for event in view.of(TrainingDone)} == {KEYS[0]}
    assert len(view.of(TrainingDone)) == 2 * len(RUN.snapshot_steps)


def test_a_set_that_is_gone(storage, quiet):
    storage.delete(ROWS)
    storage.delete(CANDIDATE)
    only_retry(again(storage, quiet), CANDIDATE, "is missing")


def test_sets_of_a_finished_run_may_be_deleted(storage):
    storage.delete(storage.set_folder(RUN.run_id))
    view = Recorded()
    run_in_process(PLAN, storage, device="cpu", view=view)
    assert [type(event) for event in view.events] == [Begun]


def test_without_a_ledger_the_files_decide(storage, quiet):
    before = {path: path.stat().st_mtime_ns for path in Path(storage.uri).rglob("*.parquet")}
    storage.delete(storage.ledger_folder(RUN.run_id))
    storage.write_bytes(storage.entry_path(RUN.run_id, completed(EVALUATION_ID)), b'{"files": {"' + ROWS.encode())
    again(storage, quiet)
    assert {path: path.stat().st_mtime_ns for path in Path(storage.uri).rglob("*.parquet")} == before


def test_a_plan_counts_a_damaged_run_as_to_be_done(storage, tmp_path, capsys):
    file = tmp_path / "tiny.py"
    sweep = 'tiny.plan("dm", "random", evaluations=(tiny.EVALUATION,)).sweep'
    file.write_text(f"from tests.engine import tiny\n\n\ndef sweep():\n    return {sweep}\n")
    assert main(["plan", str(file), "--storage", storage.uri]) == 0
    assert "0 of 2 runs to do" in capsys.readouterr().out
    flip(storage, ROWS)
    assert main(["plan", str(file), "--storage", storage.uri]) == 0
    assert "1 of 2 runs to do" in capsys.readouterr().out


def test_a_checkpoint(quiet, tmp_path):
    """Its last bytes are numbers: as a file it stays sound."""
    storage = Storage.open(tmp_path / "stopped")

    def stop(event):
        if isinstance(event, RunProgressed) and event.progress.step == 21:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in_process(PLAN, storage, device="cpu", view=Recorded(stop))
    before, last = storage.list(storage.checkpoint_folder(RUN.run_id))
    assert last in read_entry(storage, RUN.run_id, "checkpoint").files
    flip(storage, last, at=0.99)
    view = again(storage, quiet)
    assert view.of(RunProgressed)[0].progress.step == storage.step_of(before) + 1


def test_a_checkpoint_is_not_read_back_to_be_vouched_for(tmp_path, monkeypatch):
    storage, read, real = Storage.open(tmp_path), [], Storage.read_bytes
    monkeypatch.setattr(Storage, "read_bytes", lambda self, path: read.append(path) or real(self, path))

    def stop(event):
        if isinstance(event, RunProgressed) and event.progress.step == 21:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in_process(PLAN, storage, device="cpu", view=Recorded(stop))
    files = read_entry(storage, RUN.run_id, "checkpoint").files
    assert not set(files) & set(read)
    assert files == {
        path: written_as(real(storage, path)) for path in storage.list(storage.checkpoint_folder(RUN.run_id))
    }
    assert len(files) == 2


def test_entries_tell_where_when_and_how_long(quiet):
    distilled = read_entry(quiet, RUN.run_id, "distilled")
    assert set(distilled.files) == {
        *(quiet.set_path(RUN.run_id, step) for step in RUN.snapshot_steps),
        SET,
        quiet.images_path(RUN.run_id),
        quiet.losses_path(RUN.run_id),
        quiet.distillation_path(RUN.run_id),
    }
    assert distilled.files[SET].bytes == len(quiet.read_bytes(SET))
    assert distilled.seconds > 0
    assert distilled.device == read_entry(quiet, RUN.run_id, "started").device
    assert read_entry(quiet, RUN.run_id, "checkpoint").step == RUN.steps - RUN.checkpoint_every
    trained = read_entry(quiet, RUN.run_id, evaluated(EVALUATION_ID, KEYS[0]))
    assert trained.seconds > 0
    assert distilled.at < trained.at < read_entry(quiet, RUN.run_id, completed(EVALUATION_ID)).at


@pytest.mark.parametrize("change", ["bit", "length"])
def test_large_files_of_a_finished_run_are_compared_by_size_alone(storage, monkeypatch, change):
    monkeypatch.setattr(remaining, "READ_OF_FINISHED_BYTES", 0)
    if change == "bit":
        flip(storage, SET)
    else:
        storage.write_bytes(SET, storage.read_bytes(SET)[:-1])
    left = remaining_work(PLAN, storage)
    assert left.damaged == (() if change == "bit" else ((RUN, f"{SET} is not what was written"),))
    # Of one that is not finished, what it goes on with is read whole.
    storage.delete(ROWS)
    assert [run for run, _ in remaining_work(PLAN, storage).damaged] == [RUN]
