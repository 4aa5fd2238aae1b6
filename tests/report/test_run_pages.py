"""The page of every run within the report."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from glad_ray.report.run_pages import kept_pictures
from glad_ray.report.run_pages.evaluated import evaluated
from glad_ray.results import Failure, read_results, write_failure, write_losses
from glad_ray.spec import DC, DM, Run, Sweep
from glad_ray.spec.written.overrides import only
from glad_ray.spec.written.sweep_file import load_sweep
from glad_ray.storage import Storage
from tests.report.kept_sets import write_kept_sets
from tests.report.parsed import Page, page_of, said
from tests.report.sample import BASE, EVALUATION, write_run

RUNS = tuple(BASE.replace(algorithm=DC(iterations=60), snapshots=3, held_out=40, seed=seed) for seed in (1, 2, 3))


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Two runs that are scored, with the sets that they kept, and one that failed; and the page."""
    storage = Storage.open(tmp_path_factory.mktemp("swept"))
    sweep = Sweep(name="three", runs=RUNS, evaluations=EVALUATION)
    storage.write_bytes(storage.PLAN, json.dumps({"sweep": sweep.model_dump(mode="json")}).encode())
    made = {}
    for run in RUNS[:2]:
        made[run.run_id] = write_run(storage, run, EVALUATION, sweep.name)
        write_kept_sets(storage, run, np.random.default_rng(run.seed))
    failure = Failure(
        run_id=RUNS[2].run_id, stage="distill", error="no <memory>", traceback="Traceback\n  <line>", step=12
    )
    write_failure(storage, failure)
    return storage, made, page_of(storage)


def figures(page, run):
    return [e["attributes"] for e in page.within(page.run(run.run_id), "figure") if "data-step" in e["attributes"]]


def test_every_run_has_a_page_that_leads_on(swept):
    _, _, page = swept
    ids = [run.run_id for run in RUNS]
    links = [
        [e["attributes"]["href"] for e in page.within(page.run(run_id), "a")][: 3 if place == 1 else 2]
        for place, run_id in enumerate(ids)
    ]
    assert links == [
        ["#runs", f"#run-{ids[1]}"],
        ["#runs", f"#run-{ids[0]}", f"#run-{ids[2]}"],
        ["#runs", f"#run-{ids[1]}"],
    ]
    rows = next(page.grid(table) for table in page.all("table") if page.grid(table)[0][-1] == "State")
    assert [(row[0], row[3], row[4]) for row in rows[1:]] == [
        (ids[0], "1", "scored"), (ids[1], "2", "scored"), (ids[2], "3", "failed"),
    ]  # fmt: skip


def test_the_command_takes_the_one_run_of_the_plan(swept):
    _, _, page = swept
    for run in RUNS:
        (box,) = [e for e in page.within(page.run(run.run_id), "div") if e["attributes"].get("class") == "command"]
        words = shlex.split(said(page.within(box, "pre")[0]))
        assert words[:2] == ["glad-ray", "sweep"]
        assert words[3] == "--only"
        taken = only(load_sweep(Path(words[2])), [words[4]])
        assert [each.run_id for each in taken.runs] == [run.run_id]
        assert [each.content_id for each in taken.evaluations] == [EVALUATION.content_id]


def test_its_evaluation_by_network_and_repeat(swept):
    _, made, page = swept
    for run in RUNS[:2]:
        (table,) = page.within(page.run(run.run_id), "table")
        head, *rows = page.grid(table)
        assert head[3:6] == ["Repeat 1", "Repeat 2", "Mean"]
        last = [row for row in rows if row[1] == "60"]
        assert len(last) == 5
        for row, trainings in zip(last, made[run.run_id].values(), strict=True):
            accuracies = [100 * t.accuracy for t in trainings if t.step == 60]
            assert row[3:5] == [f"{accuracy:.1f}" for accuracy in accuracies]
            assert row[5] == f"{np.mean(accuracies):.1f} ± {np.std(accuracies):.1f}"
            held_out = [100 * t.held_out_accuracy for t in trainings if t.step == 60]
            assert row[6] == f"{np.mean(held_out):.1f}"
            assert "last" in row[2]
        assert {"20", "40"} & {row[1] for row in rows} or len(rows) == 5


def test_a_training_that_several_selections_took_counts_once(swept):
    storage, made, _ = swept
    rows = [row for row in read_results(storage).to_pylist() if row["run_id"] == RUNS[0].run_id]
    (found,) = evaluated(rows)
    assert len({(line.network, line.step) for line in found.lines}) == len(found.lines)
    taken = {(line.network, line.step) for line in found.lines}
    trainings = [t for of in made[RUNS[0].run_id].values() for t in of if (t.network, t.step) in taken]
    assert found.seconds == pytest.approx(sum(t.seconds for t in trainings))


def test_images_of_every_kept_step_with_the_last_one_in_the_file_once(swept):
    _, _, page = swept
    for run in RUNS[:2]:
        assert [each["data-step"] for each in figures(page, run)] == ["20 of 60", "40 of 60", "60 of 60"]
        images = [e["attributes"] for e in page.within(page.run(run.run_id), "img")]
        assert [image["alt"].partition(" after ")[2] for image in images] == [
            "20 steps: a row per class", "40 steps: a row per class",
        ]  # fmt: skip
        assert all(image["loading"] == "lazy" and image["src"].startswith("data:image/png") for image in images)
        assert figures(page, run)[-1]["data-picture"] == f"picture-{run.run_id}"
        assert [e for e in page.all("img") if e["attributes"]["id"] == f"picture-{run.run_id}"]


def test_losses_cost_and_environment(swept):
    _, _, page = swept
    text = said(page.run(RUNS[0].run_id))
    assert "Matching loss by step: " in text
    assert "at step 60" in text
    for fact in (
        "Distillation18 s",
        "Distillation, a step0.3 s",
        "Distillation, peak memory900 MiB",
        "Distilled oncpu",
    ):
        assert fact in text
    assert "torch" in text
    (curve,) = page.within(page.run(RUNS[0].run_id), "polyline")
    assert len(curve["attributes"]["points"].split()) == 60


def test_a_failure_with_its_traceback(swept):
    _, _, page = swept
    text = said(page.run(RUNS[2].run_id))
    assert "Failed while distilling after step 12: no <memory>" in text
    assert "Traceback <line>" in text
    assert "Evaluation" not in text
    assert f"#run-{RUNS[2].run_id}" in [e["attributes"]["href"] for e in page.all("a")]


@pytest.mark.parametrize(("limit", "value"), [("MOST_KEPT_PICTURES", 3), ("KEPT_PICTURES_BYTES", 100)])
def test_beyond_the_limits_the_first_seeds_are_shown_and_the_others_named(limit, value, swept, monkeypatch):
    storage, _, _ = swept
    monkeypatch.setattr(kept_pictures, limit, value)
    monkeypatch.setattr(f"glad_ray.report.page.{limit}", value)
    page = page_of(storage)
    assert [len(page.within(page.run(run.run_id), "img")) for run in RUNS] == [2, 0, 0]
    assert f"The sets that it kept on its way lie in runs/{RUNS[1].run_id}/sets" in said(page.run(RUNS[1].run_id))
    assert "Of 2 runs with kept sets before the last step this file has no room" in page.words
    monkeypatch.undo()
    page_of(storage)


def test_a_damaged_set_is_told_and_the_others_are_shown(swept, tmp_path):
    storage = Storage.open(tmp_path)
    write_run(storage, RUNS[0], EVALUATION, "three")
    write_kept_sets(storage, RUNS[0], np.random.default_rng(0))
    storage.write_bytes(storage.set_path(RUNS[0].run_id, 20), b"no set")
    page = page_of(storage)
    assert [each["data-step"] for each in figures(page, RUNS[0])] == ["40 of 60", "60 of 60"]
    assert "step-00000020.safetensors" in page.words.partition("What could not be shown")[2]


def test_a_run_that_the_plan_does_not_have_says_how_else(tmp_path):
    storage = Storage.open(tmp_path)
    run = Run(algorithm=DM(iterations=4))
    write_run(storage, run, EVALUATION, "gone")
    write_losses(storage, run.run_id, [float("nan")] * 4, [1.0] * 4)
    text = said(page_of(storage).run(run.run_id))
    assert "The plan on storage does not have it" in text
    assert "None is finite: nan at step 1" in text


def test_of_many_runs_the_pages_are_kept_as_text(swept, monkeypatch):
    storage, _, page = swept
    monkeypatch.setattr("glad_ray.report.page.MOST_STANDING", 2)
    many = page_of(storage)
    for run in RUNS:
        (kept,) = many.within(many.run(run.run_id), "script")
        text = "".join(kept["text"])
        again = Page(f'<article class="run" id="run-{run.run_id}">{text}</article>')
        assert said(again.run(run.run_id)) == said(page.run(run.run_id))
        assert f"runs/{run.run_id}/run.json" in said(many.within(many.run(run.run_id), "noscript")[0])
    assert not many.foreign_scripts
    monkeypatch.undo()
    page_of(storage)
