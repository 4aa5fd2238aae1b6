"""What every storage that another version left half-way promises; a test class inherits `SweepSuite`, and its module
brings `RECORDING`.
"""

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from glad_ray.engine.in_process import run_in_process
from glad_ray.plan import as_stored, make_plan, read_plan, write_plan
from glad_ray.progress.events import (
    Begun,
    ExpertEpoch,
    PointReached,
    RunFailed,
    RunFinished,
    RunProgressed,
    TrainingDone,
)
from glad_ray.progress.status import read_status
from glad_ray.report import write_report
from glad_ray.report.report_data import make_report_data, read_found
from glad_ray.results import read_failure, read_failures, read_losses, read_results
from glad_ray.spec import Sweep
from glad_ray.storage import Storage
from tests.recorded import Recorded


@dataclass(frozen=True)
class Recording:
    """A folder with `sweep`, the storage of a sweep that was interrupted; `sweep.json`; and `expected.json`, which has
    the ids of its runs and expert sets by their names here, and the rows and losses of the same sweep that nothing
    interrupted. Everything else says how it was left, by those names.
    """

    folder: Path
    states: Mapping[str, str]
    """of all runs"""
    first_steps: Mapping[str, int]
    """that are left to be made, of runs that make some"""
    trainings: Mapping[str, int]
    """that are left to be made, of runs that are not finished"""
    experts: tuple[tuple[str, int], ...] = ()
    """that are left to be trained: of which set, and which number"""
    failing: tuple[str, ...] = ()
    """runs that fail whenever they are tried"""

    @cached_property
    def sweep(self):
        return Sweep.model_validate_json((self.folder / "sweep.json").read_text())

    @cached_property
    def expected(self):
        return json.loads((self.folder / "expected.json").read_text())

    @property
    def runs(self):
        """Ids by names."""
        return self.expected["runs"]

    def storage(self, name, folder):
        """A copy in a folder."""
        return Storage.open(shutil.copytree(self.folder / name, folder / name))

    def plan(self, storage):
        return as_stored(make_plan(self.sweep), storage)

    def go_on(self, storage):
        """The same sweep, once more; returns what was seen."""
        plan, view = self.plan(storage), Recorded()
        write_plan(plan, storage)
        run_in_process(plan, storage, device="cpu", view=view)
        return view

    def name_of(self, run):
        return next(name for name, run_id in self.runs.items() if run_id == run.run_id)

    def named(self, *names):
        """Ids."""
        return {self.runs[name] for name in names}

    def in_state(self, state):
        return [name for name, each in self.states.items() if each == state]


def assert_rows(rows, expected):
    """The same rows, of a table and of dictionaries, in any order."""
    columns = expected[0].keys() - {"accuracy"}
    ours, theirs = (
        {tuple(row[column] for column in sorted(columns)): row["accuracy"] for row in each}
        for each in (rows.to_pylist(), expected)
    )
    # Other processors round otherwise, and one in a hundred images may be told otherwise for it.
    assert ours == {key: pytest.approx(accuracy, abs=0.01) for key, accuracy in theirs.items()}
    assert rows.num_rows == len(expected)


class SweepSuite:
    def test_status_knows_how_it_was_left(self, recording, left):
        assert {recording.name_of(each.run): each.state for each in read_status(left).runs} == recording.states
        plan = read_plan(left)
        assert {run.run_id for run in plan.runs} == set(recording.runs.values())
        assert plan.runs == recording.plan(left).runs
        assert plan.sweep.resources == recording.sweep.resources
        assert [each.stored_id for each in plan.expert_sets] == [
            each.stored_id for each in recording.plan(left).expert_sets
        ]

    def test_its_report_shows_what_is_there(self, recording, left):
        found = read_found(left)
        assert not found.problems
        assert found.runs.keys() == set(recording.runs.values())
        assert {row["run_id"] for row in found.rows} == recording.named(*recording.in_state("finished"))
        assert {each.run_id for each in found.failures} == recording.named(*recording.in_state("failed"))
        write_report(left)
        page = left.read_bytes(Storage.REPORT).decode()
        assert all(failure.error in page for failure in found.failures)

    def test_it_goes_on_where_it_was(self, recording, gone_on):
        _, view = gone_on
        (begun,) = view.of(Begun)
        assert {run.run_id for run in begun.finished} == recording.named(*recording.in_state("finished"))
        first_steps = {}
        for event in view.of(RunProgressed):
            first_steps.setdefault(recording.name_of(event.run), event.progress.step)
        assert first_steps == recording.first_steps
        assert Counter(recording.name_of(event.run) for event in view.of(TrainingDone)) == recording.trainings
        sets = recording.expected["expert_sets"]
        trained = {(event.expert_set.stored_id, event.expert) for event in view.of(ExpertEpoch)}
        assert trained == {(sets[name], expert) for name, expert in recording.experts}
        unfinished = recording.runs.keys() - recording.in_state("finished") - set(recording.failing)
        assert {recording.name_of(event.run) for event in view.of(RunFinished)} == unfinished

    def test_it_comes_to_the_same_results(self, recording, gone_on):
        storage, _ = gone_on
        for name, losses in recording.expected["losses"].items():
            assert read_losses(storage, recording.runs[name]).losses == pytest.approx(losses, rel=1e-3)
        expected = recording.expected["rows"]
        assert_rows(read_results(storage).select(expected[0].keys()), expected)

    def test_what_fails_is_tried_again_and_recorded_anew(self, recording, left, gone_on):
        storage, view = gone_on
        assert [recording.name_of(event.run) for event in view.of(RunFailed)] == [*recording.failing]
        assert {each.run_id for each in read_failures(storage)} == recording.named(*recording.failing)
        for run_id in recording.named(*recording.failing):
            then, now = (read_failure(each, run_id) for each in (left, storage))
            assert (now.stage, now.error, now.step) == (then.stage, then.error, then.step)
            assert now.finished_at > then.finished_at

    def test_finished_it_is_a_no_op(self, recording, gone_on):
        storage, _ = gone_on
        failing = tuple(map(Storage.run_folder, recording.named(*recording.failing)))
        kept = {path: storage.read_bytes(path) for path in storage.tree("") if not path.startswith(failing)}
        begun, *others = recording.go_on(storage).events
        assert len(begun.finished) == len(recording.runs) - len(recording.failing)
        told = [event for event in others if not isinstance(event, PointReached)]
        assert {recording.name_of(event.run) for event in told} == set(recording.failing)
        assert kept.items() <= {path: storage.read_bytes(path) for path in storage.tree("")}.items()

    def test_the_report_of_all_knows_each_run_once(self, recording, gone_on):
        data = make_report_data(read_found(gone_on[0]))
        assert not data.problems
        finished = recording.runs.keys() - set(recording.failing)
        assert data.identities.keys() == recording.named(*recording.runs)
        assert {row["run_id"] for row in data.rows} == recording.named(*finished)
        assert all(run.run_id == run_id for run_id, run in data.runs.items())
        states = {recording.name_of(each.run): each.state for each in read_status(gone_on[0]).runs}
        assert states == dict.fromkeys(finished, "finished") | dict.fromkeys(recording.failing, "failed")
