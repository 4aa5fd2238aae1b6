"""Runs removed from a storage: what goes, what stays as it was, and what a removal that is cut short leaves."""

import shutil
import signal
import subprocess
import sys

import pytest

import glad_ray
from glad_ray.api.removal import find_removal
from glad_ray.cli import main
from glad_ray.engine.remaining import remaining_work
from glad_ray.errors import UserError
from glad_ray.plan import read_plan
from glad_ray.results import read_failures, read_results, write_search
from glad_ray.spec import DM, MTT, Evaluation, Experts, FloatRange, Network, RandomReal, Run, Search, Sweep
from glad_ray.storage import Storage
from tests.object_store import object_store

NETWORK = Network(width=4)
BASE = Run(algorithm=RandomReal(), resolution=28, backbone=NETWORK, held_out=4)
MATCHING = BASE.replace(algorithm=DM(iterations=4, real_batch_size=8), snapshots=2, checkpoint_every=1)
EXPERTS = Experts(count=1, epochs=2)
TRAJECTORIES = BASE.replace(algorithm=MTT(iterations=1, synthetic_steps=1, expert_epochs=1, experts=EXPERTS))
LEFT_OVER = BASE.replace(seed=7)
EVALUATION = Evaluation(networks=(NETWORK,), repeats=1, epochs=1, test_images=20)
ONLY_DM = ["algorithm=dm"]


def sweep(*runs):
    return Sweep(name="small", runs=runs, evaluations=EVALUATION)


def content(storage, *but):
    """Bytes of all files of results, runs and experts, without those whose path has one of some parts."""
    folders = (Storage.RESULTS, Storage.RUNS, Storage.EXPERTS)
    paths = [path for folder in folders for path in storage.tree(folder)]
    return {path: storage.read_bytes(path) for path in paths if not any(part in path for part in but)}


def numbers(storage):
    """What the sweep found, without times."""
    table = read_results(storage).to_pandas().sort_values(["run_id", "selection", "step", "repeat"])
    return table[["run_id", "selection", "step", "network", "repeat", "accuracy"]].to_numpy().tolist()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A sweep of three runs, where a run of another sweep was made before."""
    where = tmp_path_factory.mktemp("removal") / "results"
    glad_ray.run(sweep(LEFT_OVER), where, in_process=True, device="cpu")
    glad_ray.run(sweep(BASE, MATCHING, TRAJECTORIES), where, in_process=True, device="cpu")
    return Storage.open(where)


@pytest.fixture
def kept(made, tmp_path):
    """A copy of it."""
    shutil.copytree(made.uri, tmp_path / "kept")
    return Storage.open(tmp_path / "kept")


def test_what_is_removed_is_planned_again_and_made_again_and_all_else_stays(kept, capsys):
    before, found = content(kept), numbers(kept)
    others = content(kept, MATCHING.run_id)
    assert main(["remove", kept.uri, "--only", "algorithm=dm", "--yes"]) == 0
    said = capsys.readouterr().out
    assert MATCHING.run_id in said
    assert "1 of 1 runs that have it" in said
    assert content(kept) == others
    assert not kept.exists(kept.run_folder(MATCHING.run_id))

    results = glad_ray.load(kept.uri)
    assert {each.run.run_id: each.state for each in results.status.runs} == {
        BASE.run_id: "finished",
        MATCHING.run_id: "planned",
        TRAJECTORIES.run_id: "finished",
    }
    assert MATCHING.run_id not in set(results.to_pandas().run_id)
    assert MATCHING.run_id not in kept.read_bytes(Storage.REPORT_TABLE).decode()
    assert [run.run_id for run in remaining_work(read_plan(kept), kept).to_distill] == [MATCHING.run_id]

    assert main(["remove", kept.uri, "--only", "algorithm=dm", "--yes"]) == 0
    assert "0 of 1 runs that have it" in capsys.readouterr().out

    results.resume(in_process=True, device="cpu")
    assert numbers(kept) == found
    assert set(content(kept)) == set(before)
    assert {path: before[path] for path in others} == content(kept, MATCHING.run_id)


def test_what_would_go_is_counted(kept):
    (run,) = find_removal(kept, ONLY_DM).runs
    assert (run.rows, run.sets, run.checkpoints, run.scored) == (3, 3, 0, 1)
    assert run.bytes == sum(map(len, content(kept).values())) - sum(map(len, content(kept, MATCHING.run_id).values()))


def test_runs_of_an_earlier_sweep_can_be_removed(kept):
    assert LEFT_OVER.run_id in kept.read_bytes(Storage.REPORT).decode()
    others = content(kept, LEFT_OVER.run_id)
    glad_ray.remove(kept.uri, ["seed=7"])
    assert content(kept) == others
    assert LEFT_OVER.run_id not in kept.read_bytes(Storage.REPORT).decode()


def test_a_damaged_record_of_another_run_is_told_and_stays(kept, capsys):
    kept.write_bytes(Storage.run_path(LEFT_OVER.run_id), b"{")
    others = content(kept, MATCHING.run_id)
    glad_ray.remove(kept.uri, ONLY_DM)
    assert f"{Storage.run_path(LEFT_OVER.run_id)} in {kept} is damaged" in capsys.readouterr().err
    assert content(kept) == others


def test_a_set_that_was_scored_by_itself_is_no_run(storage):
    storage.write_bytes(Storage.scored_set_path("0" * 12), b"{}")
    assert glad_ray.load(storage.uri).runs == ()


def test_experts_stay_unless_they_are_asked_for_and_nothing_else_needs_them(kept, capsys):
    (expert_set,) = read_plan(kept).expert_sets
    experts = kept.tree(Storage.EXPERTS)
    assert main(["remove", kept.uri, "--only", "algorithm=mtt", "--yes"]) == 0
    assert f"{expert_set.label} (" in capsys.readouterr().out
    assert kept.tree(Storage.EXPERTS) == experts
    removal = glad_ray.remove(kept.uri, ["algorithm=dm", "algorithm=mtt"], experts=True)
    assert [each.stored_id for each in removal.unneeded] == [expert_set.stored_id]
    assert kept.tree(Storage.EXPERTS) == ()
    assert [each.stored_id for each in remaining_work(read_plan(kept), kept).expert_sets] == [expert_set.stored_id]


def test_experts_that_another_run_needs_stay(kept):
    other = TRAJECTORIES.replace(seed=1)
    kept.write_bytes(Storage.run_path(other.run_id), other.model_dump_json().encode())
    removal = glad_ray.remove(kept.uri, ["seed=0"], experts=True)
    assert len(removal.runs) == 3
    assert removal.unneeded == {}
    assert len(kept.tree(Storage.EXPERTS)) == 1


class Killed(BaseException):
    """The process is gone."""


def cut_short(monkeypatch, where, deletions):
    """Remove runs, and end the process after so many files have gone."""
    left, delete = [deletions], Storage.delete

    def counted(storage, path):
        if path != Storage.DRIVER:
            if not left[0]:
                raise Killed
            left[0] -= 1
        delete(storage, path)

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "delete", counted)
        with pytest.raises(Killed):
            glad_ray.remove(where, ONLY_DM)


def test_wherever_it_is_cut_short_the_run_is_unfinished_and_the_same_removal_finishes(made, tmp_path, monkeypatch):
    files = find_removal(made, ONLY_DM).runs[0].files
    rows = read_results(made).filter(read_results(made)["run_id"].to_numpy() != MATCHING.run_id)
    others = content(made, MATCHING.run_id)
    for deletions in range(len(files) + 1):
        where = tmp_path / str(deletions)
        shutil.copytree(made.uri, where)
        kept = Storage.open(where)
        # To write it again takes longer than all else.
        kept.delete(Storage.REPORT)
        cut_short(monkeypatch, where, deletions)
        assert content(kept, MATCHING.run_id) == others
        results, left = glad_ray.load(where), remaining_work(read_plan(kept), kept)
        assert left.damaged == (), deletions
        states = {each.run.run_id: each.state for each in results.status.runs}
        # Without its entry in the ledger, which goes first, a run that has all its rows is finished.
        expected = {"finished"} if deletions < 2 else {"interrupted", "planned"}
        assert states.pop(MATCHING.run_id) in expected, deletions
        assert set(states.values()) == {"finished"}
        if deletions >= 2:
            assert read_results(kept).equals(rows), deletions
        glad_ray.remove(where, ONLY_DM)
        assert content(kept) == others
        assert not kept.exists(Storage.run_folder(MATCHING.run_id))


@pytest.mark.full
@pytest.mark.parametrize("part", [0.2, 0.4, 0.6, 0.8])
def test_a_sweep_that_goes_on_after_half_a_removal_finds_the_same(kept, monkeypatch, part):
    found, files = numbers(kept), find_removal(kept, ONLY_DM).runs[0].files
    cut_short(monkeypatch, kept.uri, round(part * len(files)))
    glad_ray.load(kept.uri).resume(in_process=True, device="cpu")
    assert numbers(kept) == found


def test_an_interrupted_run_loses_its_checkpoints_before_its_candidate_sets(kept):
    for path in find_removal(kept, ONLY_DM).runs[0].files:
        if path.startswith(Storage.RESULTS) or path.endswith("distillation.json"):
            kept.delete(path)
    for step in (1, 2):
        kept.write_bytes(Storage.checkpoint_path(MATCHING.run_id, step), b"")
    (run,) = find_removal(kept, ONLY_DM).runs
    assert run.checkpoints == 2
    turns = list(run.files)
    checkpoints = [turns.index(path) for path in turns if "/checkpoints/" in path]
    assert max(checkpoints) < min(turns.index(path) for path in turns if "/sets/" in path)
    assert turns[-1] == Storage.run_path(MATCHING.run_id)


def test_a_failure_goes_with_its_run(kept, capsys):
    run = find_removal(kept, ONLY_DM).runs[0].run
    kept.delete(Storage.RESULTS)
    failure = f'{{"run_id": "{run.run_id}", "stage": "evaluate", "error": "none", "traceback": ""}}'
    kept.write_bytes(Storage.failure_path(run.run_id), failure.encode())
    assert len(read_failures(kept)) == 1
    glad_ray.remove(kept.uri, ONLY_DM)
    assert read_failures(kept) == ()
    assert main(["retry", kept.uri]) == 2


def test_on_an_object_store(made):
    kept = Storage(object_store())
    for path in made.tree(""):
        kept.write_bytes(path, made.read_bytes(path))
    others = content(kept, MATCHING.run_id)
    assert glad_ray.remove(kept.uri, ONLY_DM).bytes == find_removal(made, ONLY_DM).bytes
    assert content(kept) == others
    assert glad_ray.load(kept.uri).status.counts == {"planned": 1, "finished": 2}


def test_nothing_is_removed_unless_somebody_says_yes(kept, monkeypatch, capsys):
    before = content(kept)
    words = ["remove", kept.uri, "--only", "algorithm=dm"]
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.err == "glad-ray: Nothing was removed, for there is no terminal to ask at: add --yes to remove it.\n"
    assert MATCHING.run_id in said.out
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer in (False, True):
        assert content(kept) == before
        monkeypatch.setattr("typer.confirm", lambda question, answer=answer: answer)
        assert main(words) == 0
        assert ("Nothing was removed." in capsys.readouterr().out) != answer
    assert content(kept) == {path: data for path, data in before.items() if MATCHING.run_id not in path}


def test_what_cannot_be_removed_is_one_sentence(kept, tmp_path, capsys):
    def sentence(*words):
        assert main(["remove", *words, "--yes"]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert len(said.err.splitlines()) == 1
        return said.err

    assert "algorithm is " in sentence(kept.uri, "--only", "algorithm=dc")
    assert "seeds" in sentence(kept.uri, "--only", "seeds=1")
    assert "There is no folder" in sentence(str(tmp_path / "nowhere"), "--only", "seed=1")
    (tmp_path / "empty").mkdir()
    assert "There is no sweep" in sentence(str(tmp_path / "empty"), "--only", "seed=1")
    assert "--only" in sentence(kept.uri)
    with pytest.raises(UserError, match="Nothing says which runs"):
        glad_ray.remove(kept.uri, [])
    searched = Storage.open(tmp_path / "searched")
    rates = {"algorithm.learning_rates.pixels": FloatRange(low=0.1, high=1.0)}
    write_search(searched, Search(name="few", base=MATCHING, vary=rates, evaluation=EVALUATION))
    assert "trials of a search" in sentence(searched.uri, "--only", "seed=0")


DRIVER = """
import sys, time
from glad_ray.progress.driver import driving
from glad_ray.storage import Storage
with driving(Storage.open(sys.argv[1])):
    print("driving", flush=True)
    time.sleep(600)
"""


def test_while_a_driver_lives_nothing_is_removed(kept, capsys):
    before = content(kept)
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, kept.uri], stdout=subprocess.PIPE, text=True)
    try:
        assert driver.stdout.readline() == "driving\n"
        assert main(["remove", kept.uri, "--only", "algorithm=dm", "--yes"]) == 2
        assert f"is driven by process {driver.pid}" in capsys.readouterr().err
        assert content(kept) == before
    finally:
        driver.kill()
        driver.wait()
    # A driver that was killed has left its claim.
    assert kept.exists(Storage.DRIVER)
    glad_ray.remove(kept.uri, ONLY_DM)
    assert not kept.exists(Storage.DRIVER)


SLOWLY = """
import sys, time
import glad_ray
from glad_ray.storage import Storage
delete = Storage.delete
def slow(storage, path):
    delete(storage, path)
    print(path, flush=True)
    time.sleep(0.05)
Storage.delete = slow
glad_ray.remove(sys.argv[1], ["algorithm=dm"])
"""


@pytest.mark.fault
def test_a_removal_that_is_killed_is_finished_by_the_same(kept):
    others = content(kept, MATCHING.run_id)
    process = subprocess.Popen([sys.executable, "-c", SLOWLY, kept.uri], stdout=subprocess.PIPE, text=True)
    for _ in range(4):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert set(others) < set(content(kept))
    assert remaining_work(read_plan(kept), kept).damaged == ()
    glad_ray.remove(kept.uri, ONLY_DM)
    assert content(kept) == others
