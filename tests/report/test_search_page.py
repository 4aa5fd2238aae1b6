"""The page of a search, at any moment of it, and what it computes."""

import base64
import csv
import io
import itertools
import math
import re
import statistics

import numpy as np
import pytest
import torch
from PIL import Image

import glad_ray
from glad_ray.errors import DataError, UserError
from glad_ray.report import write_search_report
from glad_ray.report.search.agreement import agreements
from glad_ray.report.search.best import on_test_images, ranked
from glad_ray.report.search.front import front
from glad_ray.report.search.importance import importance
from glad_ray.report.search.layers import by_generator
from glad_ray.report.search.parameters import parameters, ranges
from glad_ray.report.tables.intervals import interval
from glad_ray.results import best_in_full, read_results
from glad_ray.spec import DM, MTT
from glad_ray.spec.searches.search import Choice, Layers
from glad_ray.storage import Storage
from glad_ray.synthetic_set import SyntheticSet
from tests.report import searched
from tests.report.parsed import Page, facts, said
from tests.report.sample import images, write_run
from tests.report.searched import GENERATOR, in_full, many_trials, search, trial, write_search


@pytest.fixture
def storage(tmp_path):
    return Storage.open(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search of 60 trials whose winner was tested with two of its three seeds, and its page."""
    storage = Storage.open(tmp_path_factory.mktemp("searched"))
    made, trials = search(trials=60), many_trials(60)
    write_search(storage, made, trials)
    runs = made.winner_runs(best_in_full(trials).run)[:2]
    trainings = [write_run(storage, run, made.evaluation, "layers") for run in runs]
    return storage, made, trials, trainings, page_of(storage)


def page_of(storage):
    path = write_search_report(storage)
    assert path == "report/search.html"
    return Page(storage.read_bytes(path).decode())


def grid_of(page, label):
    (region,) = [div for div in page.all("div") if div["attributes"].get("aria-label") == label]
    (table,) = page.within(region, "table")
    return page.grid(table)


def headings(page):
    return [said(heading) for heading in page.all("h2")]


def check_whole(page):
    """It needs nothing but itself, a screen reader can read it, and no colour is left that the theme does not know."""
    ids = [element["attributes"]["id"] for element in page.elements if "id" in element["attributes"]]
    assert len(set(ids)) == len(ids)
    for element in page.elements:
        assert element["tag"] not in ("iframe", "object", "base", "form")
        for name, value in element["attributes"].items():
            if name in ("src", "href", "xlink:href"):
                assert value.startswith(("data:", "#"))
                assert not value.startswith("#") or value[1:] in ids
            if name == "aria-labelledby":
                assert value in ids
            for target in re.findall(r"url\(#([^)]+)\)", value or ""):
                assert target in ids
    for figure in page.all("svg"):
        assert figure["attributes"]["role"] == "img"
        assert len(said(page.within(figure, "title")[0])) > 20
        styles = " ".join(element["attributes"].get("style") or "" for element in page.within(figure, "path", "use"))
        assert not re.search(r"#[0-9a-f]{6}", styles.replace("#ffffff", ""))
    assert all(image["attributes"]["alt"] for image in page.all("img"))
    assert all(cell["attributes"].get("scope") for cell in page.all("th"))
    assert "nan" not in page.words.split()


class TestMoments:
    """Whatever there is, there is a page."""

    def test_no_trial_yet(self, storage):
        write_search(storage, search(), [])
        page = page_of(storage)
        check_whole(page)
        assert "0 trials of 50 begun" in page.words
        assert "No trial has begun" in page.words
        assert headings(page) == ["What was searched"]

    def test_only_running_ones_that_were_not_evaluated(self, storage):
        write_search(storage, search(), [trial(n, state="running") for n in range(3)])
        page = page_of(storage)
        check_whole(page)
        assert "No trial has been evaluated" in page.words
        assert headings(page) == ["What was searched", "Trials"]

    def test_one_rung(self, storage):
        write_search(storage, search(), [trial(0, accuracies=(0.4,), state="running")])
        page = page_of(storage)
        check_whole(page)
        assert "Trial 0 leads so far: 40.0 % on held-out training images at rung 1" in page.words
        assert "Nothing can be told of what matters before 10 trials" in page.words

    def test_none_complete(self, storage):
        trials = [trial(n, space, (0.4 + n / 100,), "stopped") for n, space in enumerate(("pixel", "f2", "w+"))]
        write_search(storage, search(), [*trials, trial(3, state="failed", error="<b>no</b>")])
        page = page_of(storage)
        check_whole(page)
        assert "0 complete, 3 stopped early, 1 failed, 0 under way" in page.words
        assert "No trial has been evaluated in full yet. Trial 2 leads" in page.words
        assert "<b>no</b>" in page.words
        agreement = grid_of(page, "Agreement of rungs")
        assert [row[-1] for row in agreement[1:4]] == ["fewer than 3 trials have both"] * 3

    def test_winner_without_results(self, storage):
        trials = [trial(n, accuracies=(0.4, 0.5, 0.6 + n / 100), full=in_full(0.6 - n / 100)) for n in range(2)]
        write_search(storage, search(), trials)
        page = page_of(storage)
        check_whole(page)
        assert (
            "Trial 0 is the best of 2 trials that were evaluated in full: 60.0 % on held-out training images"
            in page.words
        )
        assert "has not been distilled again with fresh seeds and tested yet" in page.words

    def test_accuracy_that_does_not_vary(self, storage):
        write_search(storage, search(), [trial(n, accuracies=(0.5, 0.5, 0.5), full=in_full(0.5)) for n in range(12)])
        page = page_of(storage)
        check_whole(page)
        assert "Nothing can be told of what matters" in page.words
        assert {row[-1] for row in grid_of(page, "Agreement of rungs")[1:]} == {"one of the two does not vary"}

    def test_several_objectives_have_one_rung_and_a_front(self, storage):
        made = search(objectives=("accuracy", "seconds", "bytes"))
        values = [(0.5, 10.0, 4000.0), (0.6, 20.0, 4000.0), (0.55, 30.0, 5000.0)]
        trials = [trial(n, accuracies=(each[0],), values=each) for n, each in enumerate(values)]
        write_search(storage, made, [*trials, trial(3, state="running")])
        page = page_of(storage)
        check_whole(page)
        assert "2 complete trials that no other beats in all of accuracy, seconds and bytes" in page.words
        table = grid_of(page, "Trials that no other beats")
        assert table[0] == ["Trial", "Accuracy", "Seconds", "Bytes", "Parameters"]
        assert [row[:4] for row in table[1:]] == [["1", "60.0", "20 s", "4 kB"], ["0", "50.0", "10 s", "4 kB"]]
        assert grid_of(page, "All trials")[0].count("Rung 1") == 1
        assert "Rung 2" not in grid_of(page, "All trials")[0]
        assert facts(page)["Stopped early"] == "nobody, for there are several objectives"


class TestPage:
    def test_it_is_whole(self, whole):
        page = whole[-1]
        check_whole(page)
        assert headings(page) == [
            "What was searched", "The best", "Accuracy by layer", "What matters", "History", "All parameters",
            "How well rungs rank trials", "Trials",
        ]  # fmt: skip
        assert len(page.all("svg")) == 7

    def test_counts_and_compute(self, whole):
        _, _, trials, _, page = whole
        grid = {row[0]: row[1:] for row in grid_of(page, "What was spent")[1:]}
        stopped = [t for t in trials if t.state == "stopped" and len(t.rung_accuracies) == 1]
        everything = sum(t.seconds + t.full_seconds for t in trials)
        assert grid["stopped after rung 1"][0] == str(len(stopped))
        share = 100 * sum(t.seconds for t in stopped) / everything
        assert grid["stopped after rung 1"][2] == f"{share:.1f} %"
        assert sum(int(cells[0]) for fate, cells in grid.items() if fate not in ("together", "of these, in full")) == 60
        assert grid["of these, in full"][0] == str(sum(bool(t.full) for t in trials))
        assert f"{grid['together'][1]} of compute" in page.words

    def test_the_winner_is_the_best_in_full(self, whole):
        _, _, trials, _, page = whole
        full = [t for t in trials if t.full]
        best = max(full, key=lambda t: t.full_accuracy)
        said = f"Trial {best.number} is the best of {len(full)} trials that were evaluated in full: "
        assert f"{said}{100 * best.full_accuracy:.1f} %" in page.words
        grid = grid_of(page, "The winner in full")
        assert [row[1:] for row in grid[1:3]] == [
            [f"{100 * (best.full_accuracy + shift):.1f} ± 1.0", "2"] for shift in (0.02, -0.02)
        ]
        assert grid[3][:2] == ["Mean of networks", f"{100 * best.full_accuracy:.1f} ± 2.0"]

    def test_the_winner_can_be_pasted(self, whole):
        _, _, trials, _, page = whole
        code = "".join(page.all("pre")[0]["text"])
        names = {"glad_ray": glad_ray}
        exec(code, names)
        assert names["run"].run_id == best_in_full(trials).run.run_id

    def test_test_accuracy_is_over_seeds_and_decided_nothing(self, whole):
        _, made, trials, trainings, page = whole
        assert "2 fresh seeds of 3 so far" in page.words
        assert "No test image had a part in any decision" in page.words
        grid = {row[0]: row[1:] for row in grid_of(page, "The winner on test images")[1:]}
        # Student's t with one degree of freedom.
        t = 12.706
        keys = [network.key for network in made.evaluation.networks]
        means = {
            key: [statistics.fmean(each.accuracy for each in of_run[key] if each.step == 300) for of_run in trainings]
            for key in keys
        }
        means["unseen"] = [statistics.fmean(each) for each in zip(*(means[key] for key in keys[1:]), strict=True)]
        names = {keys[0]: "ConvNet width 32 seen: distills", keys[1]: "AlexNet width 32", "unseen": "Mean of unseen"}
        for key, name in names.items():
            half = t * abs(means[key][0] - means[key][1]) / 2
            assert grid[name] == [f"{100 * statistics.fmean(means[key]):.1f} ± {100 * half:.1f}", "2"]
        assert {run.seed for run in made.winner_runs(best_in_full(trials).run)} == {1, 2, 3}

    def test_layers_stand_in_the_order_of_the_generator(self, whole):
        _, _, trials, _, page = whole
        grid = grid_of(page, "Accuracy by layer")
        order = ["pixel", "w+", *(f"f{n}" for n in range(20))]
        spaces = [row[0] for row in grid[1:]]
        assert spaces == sorted({t.run.space for t in trials if t.rung_accuracies}, key=order.index)
        for row in grid[1:]:
            first = [t.rung_accuracies[0] for t in trials if t.rung_accuracies and t.run.space == row[0]]
            assert row[1] == str(len(first))
            assert row[2].partition(" ")[0] == f"{100 * statistics.fmean(first):.1f}"
            assert ("±" in row[2]) == (len(first) > 1)

    def test_every_trial_is_in_the_table_and_in_the_csv(self, whole):
        storage, _, trials, _, page = whole
        rows = [row for row in grid_of(page, "All trials")[1:] if row[0]]
        assert [row[0] for row in rows] == [str(n) for n in range(60)]
        assert [row[-1] for row in rows] == [t.run.run_id for t in trials]
        assert "the loss is not finite" in page.words
        lines = list(csv.DictReader(io.StringIO(storage.read_bytes(Storage.REPORT_SEARCH_TRIALS).decode())))
        assert len(lines) == 60
        for line, of in zip(lines, trials, strict=True):
            assert (line["run_id"], line["state"], line["parameter_space"]) == (of.run.run_id, of.state, of.run.space)
            accuracies = [line[f"look_{n}_percent"] for n in (1, 2, 3)]
            assert [float(each) for each in accuracies if each] == pytest.approx(
                [100 * each for each in of.rung_accuracies], abs=1e-4
            )
            assert (line["full_percent"] == "") == (not of.full)

    def test_parameters_that_a_trial_does_not_have_are_none(self, whole):
        page = whole[-1]
        (region,) = [
            e for e in page.all("div") if e["attributes"].get("aria-label") == "Figure: parameters and accuracy"
        ]
        labels = [said(text) for text in page.within(region, "text")]
        absent = {"learning rate of pixels", "learning rate of f", "learning rate of w", "init of pixels"}
        assert labels.count("none") == len(absent) + 1
        assert {"f17", "pixel", "256", "0.01"} <= set(labels)

    def test_written_again_it_is_the_same(self, whole):
        storage, *_ = whole
        before = storage.read_bytes(Storage.REPORT_SEARCH)
        write_search_report(storage)
        assert storage.read_bytes(Storage.REPORT_SEARCH) == before

    def test_what_varied_is_told(self, whole):
        _, made, _, _, page = whole
        grid = grid_of(page, "What varied")
        assert [row[0] for row in grid[1:]] == list(made.vary)
        assert grid[2][1] == "0.1 to 100, by orders of magnitude"
        assert grid[5][1] == "whole numbers 32 to 256"


def test_records_that_can_be_chosen_are_told_apart():
    other = GENERATOR.replace(seed=3)
    choices = Choice(values=(GENERATOR, other), when={"algorithm": (DM(),)})
    made = search(vary={"algorithm": Choice(values=(DM(iterations=5), MTT())), "generator": choices, "space": Layers()})
    # As it is read from storage, too.
    for each in (made, type(made).model_validate_json(made.model_dump_json())):
        said_of = {field: words for field, *words in ranges(each)}
        assert said_of["algorithm"] == ["dm, mtt", ""]
        assert said_of["generator"] == ["random-stylegan-xl (seed 0), random-stylegan-xl (seed 3)", "algorithm dm"]
        assert said_of["space"] == ["pixel, all of a generator", ""]


class TestBest:
    def test_in_full_then_those_that_came_furthest(self):
        trials = [
            trial(0, accuracies=(0.9,), state="stopped"),
            trial(1, accuracies=(0.1, 0.2, 0.5)),
            trial(2, accuracies=(0.1, 0.2, 0.4), full=in_full(0.45)),
            trial(3, accuracies=(0.1, 0.2, 0.3), full=in_full(0.55)),
            trial(4, accuracies=(0.2, 0.9), state="stopped", full=in_full(0.8), control=True),
            trial(5, state="running"),
        ]
        assert [each.number for each in ranked(trials)] == [4, 3, 2, 1, 0]
        assert best_in_full(trials).number == 4
        assert best_in_full(trials[5:]) is None

    def test_a_control_that_is_best_wins_and_the_page_says_so(self, storage):
        trials = [
            trial(0, accuracies=(0.1, 0.2, 0.3), full=in_full(0.55)),
            trial(1, accuracies=(0.1,), state="stopped", full=in_full(0.6), control=True),
        ]
        write_search(storage, search(), trials)
        page = page_of(storage)
        assert "Trial 1 is the best of 2 trials that were evaluated in full: 60.0 %" in page.words
        assert "evaluated in full as a control" in page.words

    def test_rows_of_other_runs_and_evaluations_do_not_count(self, storage):
        made, best = search(), trial(0, accuracies=(0.5, 0.5, 0.5), full=in_full(0.6))
        write_run(storage, best.run, made.evaluation, "layers")
        fresh = made.winner_runs(best.run)
        write_run(storage, fresh[0], made.evaluation.replace(epochs=7), "layers")
        rows = read_results(storage).to_pylist()
        assert on_test_images(made, best, rows) is None
        write_run(storage, fresh[2], made.evaluation, "layers")
        found = on_test_images(made, best, read_results(storage).to_pylist())
        assert (found.seeds, found.unseen.half) == (1, None)


def test_intervals_are_students():
    assert interval([0.3]).half is None
    pair = interval([0.5, 0.6])
    # t of one degree of freedom is tan(pi (0.975 - 0.5)).
    assert (pair.mean, pair.half) == (pytest.approx(0.55), pytest.approx(math.tan(math.pi * 0.475) * 0.05))


class TestLayers:
    def test_those_that_reached_the_last_rung_and_those_in_full(self):
        trials = [
            trial(0, "f10", (0.1,), "stopped"),
            trial(1, "f2", (0.2, 0.3, 0.4), full=in_full(0.5)),
            trial(2, "f2", (0.4, 0.3), "running"),
            trial(3, "pixel", state="running"),
        ]
        ((name, layers),) = by_generator(trials, rungs=3)
        assert (name, [layer.space for layer in layers]) == ("", ["f2", "f10"])
        assert (layers[0].first, layers[0].last) == ((0.2, 0.4), (0.4,))
        assert layers[0].full == (pytest.approx(0.5),)
        assert (layers[1].mean.half, layers[1].last, layers[1].full) == (None, (), ())

    def test_layers_of_several_generators_are_not_mixed(self):
        ours = trial(0, "f2", (0.1,))
        other = trial(1, "f2", (0.2,))
        other = other.replace(run=other.run.replace(generator=GENERATOR.replace(seed=9)))
        found = by_generator([ours, other, trial(2, "pixel", (0.3,))], rungs=3)
        assert [[(layer.space, layer.first) for layer in layers] for _, layers in found] == [
            [("pixel", (0.3,)), ("f2", (0.1,))],
            [("pixel", (0.3,)), ("f2", (0.2,))],
        ]
        assert len({name for name, _ in found}) == 2


class TestImportance:
    def trials(self, accuracy, number=40):
        rates = itertools.product((0.1, 1.0, 10.0, 100.0), (0.1, 1.0, 10.0))
        made = [trial(n, "f2", rates=(1.0, f, w)) for n, (f, w) in zip(range(number), itertools.cycle(rates))]
        return [each.replace(rung_accuracies=(accuracy(each),)) for each in made]

    def found(self, trials):
        return importance(trials, parameters(search(), trials))

    def test_what_decides_is_most_important_and_what_does_nothing_is_not(self):
        found = self.found(self.trials(lambda each: 0.5 - 0.1 * math.log10(each.run.algorithm.learning_rates.w)))
        by_name = {parameter.name: growth for parameter, growth, _ in found.parameters}
        assert next(iter(by_name)) == "algorithm.learning_rates.w"
        assert by_name["algorithm.learning_rates.w"] > 0.05
        assert abs(by_name["algorithm.learning_rates.f"]) < 0.005
        assert found.tells
        assert found.trials == 40

    def test_noise_tells_nothing(self):
        found = self.found(self.trials(lambda each: 0.5 + 0.1 * (each.number * 7919 % 13) / 13))
        assert not found.tells

    def test_it_is_the_same_every_time(self):
        trials = self.trials(lambda each: 0.3 + each.number / 100, number=12)
        assert self.found(trials) == self.found(trials)

    def test_few_trials_or_none_that_differ_tell_nothing(self):
        assert self.found(self.trials(lambda each: 0.3 + each.number / 100, number=9)) is None
        assert self.found(self.trials(lambda each: 0.3)) is None
        assert self.found([trial(n, accuracies=(n / 20,)) for n in range(12)]) is None


class TestAgreement:
    def test_tau_by_hand(self):
        # One of six pairs is turned: (5 - 1) / 6.
        accuracies, full = (0.1, 0.2, 0.3, 0.4), (0.5, 0.6, 0.8, 0.7)
        trials = [
            trial(n, accuracies=(first, 0.9, 1 - first), full=in_full(of))
            for n, (first, of) in enumerate(zip(accuracies, full, strict=True))
        ]
        first, second, last, to_last, second_to_last = agreements(trials, rungs=3)
        assert (first.tau, len(first.pairs)) == (pytest.approx(4 / 6), 4)
        # Of 24 orders, four of each kind have at most one pair turned or at most one right: 2 (1 + 3) / 24.
        assert first.p == pytest.approx(8 / 24)
        assert second.tau is None
        assert last.tau == pytest.approx(-4 / 6)
        assert (to_last.later, to_last.tau) == ("last", pytest.approx(-1))
        assert second_to_last.tau is None

    def test_trials_need_both(self):
        trials = [trial(n, accuracies=(n / 10, n / 10)[: 1 + n % 2], full=in_full(0.5 + n / 10)) for n in range(4)]
        first, second, last, *_ = agreements(trials, rungs=3)
        assert [len(each.pairs) for each in (first, second, last)] == [4, 2, 0]
        assert (first.tau, second.tau, last.tau) == (pytest.approx(1), None, None)


def test_the_front_is_what_no_other_beats():
    values = [(0.5, 9.0), (0.6, 8.0), (0.7, 20.0), (0.7, 21.0), (0.4, 2.0), (0.4, 2.0)]
    trials = [trial(n, accuracies=(each[0],), values=each) for n, each in enumerate(values)]
    unbeaten = front([*trials, trial(9, state="running")], ("accuracy", "seconds"))
    assert [each.number for each in unbeaten] == [2, 1, 4, 5]


class TestImages:
    def search_of(self, storage, trials):
        write_search(storage, search(), trials)
        return trials[0].run

    def synthetic(self, run, step, level):
        return SyntheticSet(
            images=torch.full((10, 1, 32, 32), (level - 0.5) / 0.25),
            labels=torch.arange(10),
            latents={},
            step_size=None,
            step=step,
            class_names=tuple("abcdefghij"),
            mean=(0.5,),
            std=(0.25,),
            run=run.model_dump_json(),
        )

    def test_the_picture_of_a_run_that_was_distilled_whole(self, storage):
        run = self.search_of(storage, [trial(0, accuracies=(0.1, 0.2, 0.3))])
        storage.write_bytes(storage.images_path(run.run_id), images(1, np.random.default_rng(0)))
        page = page_of(storage)
        (picture,) = page.all("img")
        assert picture["attributes"]["alt"].startswith("Synthetic images of trial 0 after 300 steps")
        check_whole(page)

    def test_the_newest_set_of_one_that_was_not(self, storage):
        run = self.search_of(storage, [trial(0, accuracies=(0.1,), state="stopped")])
        for step, level in ((30, 0.2), (90, 0.8)):
            storage.write_bytes(storage.set_path(run.run_id, step), self.synthetic(run, step, level).to_bytes())
        page = page_of(storage)
        (picture,) = page.all("img")
        assert "after 90 steps of 300" in page.words
        content = base64.b64decode(picture["attributes"]["src"].partition(",")[2])
        with Image.open(io.BytesIO(content)) as drawn:
            assert drawn.size == (66 + 2, 10 * 66 + 2)
            assert drawn.getpixel((30, 30)) == (204, 204, 204)

    def test_the_best_four_alone(self, storage):
        trials = [trial(n, accuracies=(n / 10,), state="stopped", batch=32 + n) for n in range(6)]
        self.search_of(storage, trials)
        for each in trials:
            content = self.synthetic(each.run, 30, 0.5).to_bytes()
            storage.write_bytes(storage.set_path(each.run.run_id, 30), content)
        captions = [said(caption) for caption in page_of(storage).all("figcaption")]
        assert [caption.partition(",")[0] for caption in captions] == [f"Trial {n}" for n in (5, 4, 3, 2)]

    @pytest.mark.parametrize("content", [b"", b"no tensors here", b"\x02\x00\x00\x00\x00\x00\x00\x00{}"])
    @pytest.mark.parametrize("whole", [True, False], ids=["picture", "set"])
    def test_a_damaged_set_or_picture_is_told_and_the_others_are_shown(self, whole, storage, content):
        trials = [trial(n, accuracies=(n / 10,), state="stopped", batch=32 + n) for n in range(2)]
        self.search_of(storage, trials)
        odd, good = (each.run for each in trials)
        storage.write_bytes(storage.set_path(good.run_id, 30), self.synthetic(good, 30, 0.5).to_bytes())
        path = storage.images_path(odd.run_id) if whole else storage.set_path(odd.run_id, 30)
        storage.write_bytes(path, content)
        page = page_of(storage)
        assert [said(caption).partition(",")[0] for caption in page.all("figcaption")] == ["Trial 1"]
        assert f"{path} in {storage} is damaged" in page.words


class TestStorages:
    def test_no_search(self, storage):
        with pytest.raises(DataError, match=r"search/search.json is missing"):
            write_search_report(storage)

    @pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"name": 3}'])
    def test_a_damaged_search_is_named(self, storage, content):
        storage.write_bytes(Storage.SEARCH, content)
        with pytest.raises(DataError, match=r"search/search.json in .* is damaged"):
            write_search_report(storage)

    def test_damaged_trials_are_named(self, storage):
        write_search(storage, search(), [])
        storage.write_bytes(Storage.SEARCH_TRIALS, b"PAR1")
        with pytest.raises(DataError, match=r"search/trials.parquet in .* is damaged"):
            write_search_report(storage)

    def test_a_place_that_cannot_be_written(self, storage):
        write_search(storage, search(), [])
        storage.write_bytes("report", b"a file in the way")
        with pytest.raises(UserError, match=r"The report cannot be written to .*/report: "):
            write_search_report(storage)

    def test_text_that_looks_like_html(self, storage):
        evil = "<script>alert('1')</script>\"&amp;"
        vary = searched.VARY | {"init": Choice(values=("sampled", evil))}
        trials = [trial(0, accuracies=(0.4,), state="failed", error=evil)]
        drawn = trials[0].parameters | {"init of latents": evil}
        write_search(storage, search(description=evil, vary=vary), [trials[0].replace(parameters=drawn)])
        page = page_of(storage)
        check_whole(page)
        assert not page.foreign_scripts
        assert page.words.count(evil) >= 5
