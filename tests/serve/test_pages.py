"""What the page shows of storages, and what it asks of them."""

import io
import os
import re
import time
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from glad_ray.plan import make_plan, write_plan
from glad_ray.progress.driver import driving
from glad_ray.report import wording
from glad_ray.report.report_data import make_report_data, read_found
from glad_ray.results import write_search, write_trials
from glad_ray.serve import results, watch
from glad_ray.storage import Storage
from tests.object_store import object_store
from tests.report import sample
from tests.report.searched import search, trial
from tests.serve.serving import HOSTILE, finish, serving, write, write_begun_sweep, write_checkpoint, write_set

PAGES = ("/1/", "/1/runs", "/1/results", "/1/losses", "/1/failures")


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A client of a storage of a sweep that goes on, its plan, and a run of each state."""
    storage = Storage.open(tmp_path_factory.mktemp("shown"))
    with driving(storage):
        plan, runs = write_begun_sweep(storage)
        write_set(storage, runs["finished"], runs["finished"].steps)
        with serving(storage) as client:
            until(lambda: "being read" not in client.ask("/1/").text)
            yield client, plan, runs, storage


def until(there, seconds=60.0):
    end = time.monotonic() + seconds
    while not (found := there()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def words(answer):
    """What a page says."""
    assert answer.status == 200, answer
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_allowed_nothing_that_it_does_not_need(shown, page):
    client, _, runs, _ = shown
    pages = [client.ask(page), client.ask(f"/1/runs/{runs['distilling'].run_id}")]
    for answer in pages:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        # What the policy forbids would only be noticed in a browser.
        assert not re.search(r"<[^>]* (style|on\w+)=|<style|<script(?! src=)|https?://(?!www\.w3\.org/)", answer.text)
        assert "/" not in re.findall(r' (?:href|src|action)="(/[^"]*)"', answer.text), "below another path too"


def test_runs_by_state_with_their_progress(shown):
    client, plan, runs, _ = shown
    said = words(client.ask("/1/"))
    assert "small Running Driven by process" in said
    assert f"{len(plan.runs) - 4} finished 1 failed 1 evaluating 1 distilling 1 planned" in said
    assert "distilling , 20 of 60 steps" in said
    assert re.search(r'<progress value="20" max="60"', client.ask("/1/").text)
    listed = client.ask("/1/runs?state=distilling").text
    assert runs["distilling"].run_id in listed
    assert "step 20/60" in listed
    assert runs["evaluating"].run_id not in listed
    found = re.findall(r"<tr id=\"run-(\w+)\"", client.ask("/1/runs?words=MTT+f4").text)
    assert found == [run.run_id for run in plan.runs if (run.algorithm.name, run.space) == ("mtt", "f4")]
    assert "No run is in this state" in client.ask("/1/runs?words=nothing").text


def test_cells_are_those_of_the_report(shown):
    client, _, _, storage = shown
    data = make_report_data(read_found(storage))
    (section,) = data.sections
    table = section.last
    wanted = [
        wording.percent(row.score(network).mean)
        for row in table.rows
        for network in (*table.networks, None)
        if row.score(network) is not None
    ]
    page = client.ask("/1/results").text
    cells = re.findall(r"<td(?: class=\"unseen\")?>(?:<b>)?(\d+\.\d)(?:</b>)? <span", page)
    assert cells == wanted
    best = re.findall(r"<b>(\d+\.\d)</b>", page)
    bold = [
        wording.percent(row.score(network).mean)
        for row in table.rows
        for network in (*table.networks, None)
        if table.best(row, network)
    ]
    assert best == bold
    assert "Small-budget numbers:" in page
    assert "Best step on the test set" in words(client.ask("/1/results?selection=best-on-test"))
    assert words(client.ask("/1/results?selection=nonsense&section=99&page=-3")) == words(client.ask("/1/results"))


def test_losses_are_curves_also_of_runs_that_go_on(shown):
    client, plan, runs, _ = shown
    figures = "".join(client.ask(f"/1/losses?page={page}").text for page in (1, 2))
    there = {(run.algorithm.name, run.space) for run in plan.runs if run.distils}
    there -= {(runs[state].algorithm.name, runs[state].space) for state in ("planned", "failed", "evaluating")}
    assert figures.count("<title>Matching loss of") == len(there)
    assert figures.count("cannot be read at present") == 1, "one is said to be distilled, and has no losses"
    of_run = words(client.ask(f"/1/runs/{runs['distilling'].run_id}"))
    assert "Matching loss, 1 at step 1, 0.5 at step 20, the last checkpoint." in of_run


def test_failures_with_what_they_said_as_text(shown):
    client, _, runs, _ = shown
    for page in ("/1/", "/1/failures", f"/1/runs/{runs['failed'].run_id}"):
        text = client.ask(page).text
        assert "&lt;script&gt;alert" in text
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "while distilling after step 12" in text
        assert "Traceback\n" in text


def test_pictures_at_kept_steps(shown):
    client, _, runs, storage = shown
    run = runs["finished"]
    assert f"step-{run.steps}.png" in client.ask(f"/1/runs/{run.run_id}").text
    answer = client.ask(f"/1/runs/{run.run_id}/step-{run.steps}.png")
    assert answer.headers["content-type"] == "image/png"
    picture = np.asarray(Image.open(io.BytesIO(answer.body)))
    assert picture.shape == (10 * 18 + 2, 18 + 2, 3)
    assert picture[2 + 18 * 5, 2].tolist() == [128] * 3, "the sixth class is half as bright as white"
    final = client.ask(f"/1/runs/{run.run_id}/images.png")
    assert final.body == storage.read_bytes(storage.images_path(run.run_id))
    assert client.ask(f"/1/runs/{run.run_id}/step-1.png").status == 404
    assert client.ask(f"/1/runs/{runs['planned'].run_id}/images.png").status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/2/",
        "/0/",
        "/1/nothing",
        "/1/runs/000000000000",
        "/1/runs/..",
        "/1/runs/..%2f..%2fplan.json",
        "/1/runs/%2e%2e/%2e%2e/plan.json",
        "/1/runs/../plan.json",
        "/1/report/plan.json",
        "/1/report/..%2f..%2fplan.json",
        "/static/../app.py",
        "/static/%2e%2e%2fapp.py",
        "/static/live.js/",
        "//evil.example/",
        "/https:evil.example",
        "/1/runs/\x00".replace("\x00", "%00"),
    ],
)
def test_only_what_is_known_is_read(shown, path):
    answer = shown[0].ask(path)
    assert answer.status == 404
    assert "location" not in answer.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_but_reading(shown, method):
    answer = shown[0].ask("/1/", method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert shown[0].ask("/1/", "HEAD").body == b""
    assert shown[0].ask("/1/", "HEAD").status == 200


def test_a_page_that_is_the_same_is_sent_once(shown):
    client = shown[0]
    script = client.ask("/static/live.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert client.ask("/static/page.css").headers["content-type"].startswith("text/css")
    again = client.ask("/static/live.js", If_None_Match=script.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    squeezed = client.ask("/1/", Accept_Encoding="gzip")
    assert len(squeezed.body) < len(client.ask("/1/").body) / 3


def test_nothing_is_written(shown):
    client, _, runs, storage = shown
    before = {path: time for path, time in storage.times("").items() if path != Storage.DRIVER}
    for page in (*PAGES, f"/1/runs/{runs['distilling'].run_id}"):
        client.ask(page)
    assert {path: time for path, time in storage.times("").items() if path != Storage.DRIVER} == before


def test_a_report_is_shown_in_a_sandbox(shown):
    client, _, _, storage = shown
    assert client.ask("/1/report/sweep").status == 404
    storage.write_bytes(Storage.REPORT, HOSTILE.encode())
    answer = client.ask("/1/report/sweep")
    storage.delete(Storage.REPORT)
    assert answer.body == HOSTILE.encode()
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


@pytest.fixture
def quick(monkeypatch):
    """Storages are read again at once."""
    monkeypatch.setattr(watch, "REFRESH_SECONDS", 0.05)
    monkeypatch.setattr(watch, "_SHARE", 1.0)
    monkeypatch.setattr(results, "_PAUSES", 0)


@pytest.mark.parametrize("where", ["folder", "object store"])
def test_a_page_goes_on_with_its_sweep(where, tmp_path, quick):
    """It is left by its driver, resumed by another, and ended."""
    storage = Storage.open(tmp_path if where == "folder" else object_store())
    plan, runs = write_begun_sweep(storage)
    left = [runs[state] for state in ("distilling", "evaluating", "planned", "failed")]
    with serving(storage) as client:
        assert "small No driver is running" in words(client.ask("/1/"))
        assert "2 interrupted 1 planned" in words(client.ask("/1/"))
        with driving(storage):
            write(storage, runs["distilling"], "checkpoint", step=30, loss=0.4, seconds=4.0)
            write_checkpoint(storage, runs["distilling"], np.linspace(1, 0.4, 30))
            until(lambda: "small Running" in words(client.ask("/1/")))
            until(lambda: "distilling , 30 of 60 steps" in words(client.ask("/1/")))
            for run in left:
                finish(storage, run, plan.sweep)
            storage.delete(storage.failure_path(runs["failed"].run_id))
            until(lambda: "Runs finished 16 of 16" in words(client.ask("/1/")))
        until(lambda: "small Finished" in words(client.ask("/1/")))
        until(lambda: re.search(r"f8 1 \d+\.\d", words(client.ask("/1/results"))))
        assert words(client.ask("/1/failures")).count("No run has failed.") == 1


def test_a_storage_that_cannot_be_read_for_a_while_is_shown_as_it_was(tmp_path, quick):
    storage = Storage.open(tmp_path)
    write_begun_sweep(storage)
    kept = storage.read_bytes(Storage.PLAN)
    with serving(storage) as client:
        storage.write_bytes(Storage.PLAN, b"{")
        said = until(lambda: "cannot be read at present" in (text := words(client.ask("/1/"))) and text)
        assert "plan.json" in said
        assert "12 finished" in said
        storage.write_bytes(Storage.PLAN, kept + b" ")
        until(lambda: "cannot be read at present" not in words(client.ask("/1/")))


def test_what_has_ended_is_read_once(tmp_path, monkeypatch):
    storage = Storage.open(tmp_path)
    _, runs = write_begun_sweep(storage)
    for path in storage.tree(""):
        # What was written just now might be written again in the same moment, and is read again.
        os.utime(storage.local_path(path), (time.time() - 60, time.time() - 60))
    write(storage, runs["distilling"], "checkpoint", step=20, loss=0.5, seconds=3.0)
    of_storage = watch.Watch(storage)
    read, real = Counter(), Storage.read_bytes
    monkeypatch.setattr(Storage, "read_bytes", lambda self, path: read.update([path]) or real(self, path))
    of_storage._refresh()
    of_storage._refresh_results()
    first = set(read)
    assert any(runs["finished"].run_id in path for path in first)
    read.clear()
    of_storage._refresh()
    of_storage._refresh_results()
    left = [runs[state].run_id for state in ("distilling", "evaluating")]
    assert all(path == Storage.DRIVER or any(run_id in path for run_id in left) for path in read), read


def test_parts_that_are_damaged_are_told(tmp_path):
    storage = Storage.open(tmp_path)
    plan, runs = write_begun_sweep(storage)
    path = storage.results_path(runs["finished"].run_id, plan.sweep.evaluations[0].content_id)
    storage.write_bytes(path, b"PAR1")
    with serving(storage) as client:
        said = until(lambda: "What could not be shown" in (text := words(client.ask("/1/"))) and text)
    assert f"{path} in {tmp_path} is damaged" in said


def test_several_storages_have_an_index(tmp_path):
    storages = [Storage.open(tmp_path / name) for name in ("one", "two", "three")]
    write_begun_sweep(storages[0])
    write_plan(make_plan(sample.small_sweep(ipc=10)), storages[1])
    write_search(storages[2], search())
    write_trials(storages[2], [trial(0, accuracies=(0.3, 0.4, 0.5)), trial(1, state="failed", batch=32, error=HOSTILE)])
    with serving(*storages) as client:
        said = words(client.ask("/"))
        assert [str(storage) in said for storage in storages] == [True] * 3
        assert "0 of 16 runs finished" in said
        assert "2 of 50 trials begun" in said
        for number in (1, 2, 3):
            assert "All storages" in words(client.ask(f"/{number}/"))
        trials = client.ask("/3/trials")
        assert "Trials begun 2 of 50" in words(client.ask("/3/"))
        assert "&lt;script&gt;alert" in trials.text
        assert "<script>alert" not in trials.text
        (run_id, *_) = re.findall(r'href="../3/runs/(\w+)"', trials.text)
        assert "30.0 %, 40.0 %, 50.0 %" in words(client.ask(f"/3/runs/{run_id}"))
        assert client.ask("/1").headers["location"] == "./1/"


def test_a_single_storage_is_shown_at_once(shown):
    answer = shown[0].ask("/")
    assert (answer.status, answer.headers["location"]) == (307, "1/")
