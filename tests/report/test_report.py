import base64
import csv
import hashlib
import io
import json
import re
import statistics

import numpy as np
import pytest

from glad_ray.report import runs, write_report
from glad_ray.results import select
from glad_ray.spec import DM, Evaluation, LearningRates, Run
from glad_ray.storage import Storage
from tests.report.parsed import accuracy_tables, facts, page_of, said
from tests.report.sample import EVALUATION, small_sweep, write_run, write_sweep


@pytest.fixture
def storage(tmp_path):
    return Storage.open(tmp_path)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A small sweep of which one run failed and one is not finished, and its page."""
    storage = Storage.open(tmp_path_factory.mktemp("swept"))
    sweep = small_sweep(spaces=("w+", "f4"))
    write_sweep(storage, sweep)
    return storage, sweep, page_of(storage)


class TestAccuracyTables:
    def test_every_cell_is_the_mean_and_population_deviation(self, swept, tmp_path):
        _, sweep, page = swept
        tables = accuracy_tables(page)
        assert len(tables) == 3
        keys = [network.key for network in EVALUATION.networks]
        for table, selection in zip(tables, ("last", "held-out", "best-on-test"), strict=True):
            rows = {}
            algorithm = ""
            for row in page.grid(table)[1:]:
                if len(row) == 1:
                    algorithm = row[0].partition(",")[0].lower()
                else:
                    key = ("random", "pixel") if row[0] == "Random real images" else (algorithm, row[0])
                    rows[key] = row
            scored = sweep.runs[:-2]
            assert list(rows) == [(run.algorithm.name, run.space) for run in scored]
            expected = {}
            for run in scored:
                trainings = write_run(Storage.open(tmp_path / "again"), run, EVALUATION, "again")
                steps = select(trainings, "convnet-w32", run.snapshot_steps)[selection]
                accuracies = np.array(
                    [[100 * t.accuracy for t in trainings[key] if t.step == steps[key]] for key in keys]
                )
                assert accuracies.shape == (5, 2)
                expected[run.algorithm.name, run.space] = (accuracies.mean(axis=1), accuracies.std(axis=1, ddof=0))
            random = expected["random", "pixel"][0][1:].mean()
            for key, (mean, std) in expected.items():
                cells = rows[key][2:]
                assert cells[:5] == [f"{m:.1f} ± {s:.1f}" for m, s in zip(mean, std, strict=True)]
                assert cells[5] == f"{mean[1:].mean():.1f} ± {std[1:].mean():.1f}"
                over = mean[1:].mean() - random
                assert cells[6] == ("" if key[0] == "random" else f"{over:+.1f}".replace("-", "−"))

    def test_last_comes_first_and_each_selection_says_what_it_is(self, swept):
        _, _, page = swept
        headings = [said(heading) for heading in page.all("h3")]
        assert headings[:3] == [
            "Last step",
            "Step chosen on held-out training images",
            "Best step on the test set (the paper's protocol)",
        ]
        assert "these numbers are optimistic" in page.words

    def test_the_best_row_of_each_algorithm_is_bold(self, swept):
        _, _, page = swept
        for table in accuracy_tables(page):
            for body in page.within(table, "tbody"):
                rows = [page.within(row, "td")[1:-1] for row in page.within(body, "tr")]
                rows = [row for row in rows if row]
                for column in zip(*rows, strict=True):
                    bold = [bool(page.within(cell, "b")) for cell in column]
                    means = [float(said(cell).partition(" ")[0]) for cell in column]
                    if len(rows) == 1:
                        assert bold == [False]
                    else:
                        assert sum(bold) == 1
                        assert means[bold.index(True)] == max(means)

    def test_the_backbone_is_marked_as_seen(self, swept):
        _, _, page = swept
        for table in accuracy_tables(page):
            marked = [cell for cell in page.within(table, "th") if "seen: distills" in said(cell)]
            assert [said(cell) for cell in marked] == ["ConvNetwidth 32seen: distillsmean ± SD"]

    def test_seeds_are_pooled_and_settings_are_not(self, storage):
        run = Run(algorithm=DM(iterations=20))
        evaluation = Evaluation(networks=("vit",), repeats=2)
        rates = LearningRates(pixels=5.0, f=10.0, w=1.0)
        other = run.replace(algorithm=DM(iterations=20, learning_rates=rates))
        accuracies = {
            name: [t.accuracy for r in runs for t in write_run(storage, r, evaluation, "s")["vit"]]
            for name, runs in {"one": [run, run.replace(seed=1), run.replace(seed=2)], "other": [other]}.items()
        }
        page = page_of(storage)
        (table,) = accuracy_tables(page)
        rows = {row[0]: row[2] for row in page.grid(table)[2:]}
        assert rows == {
            f"pixel{about}": (
                f"{100 * statistics.fmean(accuracies[name]):.1f} ± {100 * statistics.pstdev(accuracies[name]):.1f}"
            )
            for about, name in ((" 3 seedslearning_rates.pixels 1", "one"), ("learning_rates.pixels 5", "other"))
        }

    def test_a_selection_that_took_the_same_sets_is_not_repeated(self, storage):
        write_run(storage, Run(algorithm=DM(iterations=20)), Evaluation(networks=("vit",), repeats=2), "s")
        page = page_of(storage)
        assert len(accuracy_tables(page)) == 1
        assert "Here it takes the same sets as “last step”" in page.words


class TestBudget:
    def test_it_is_said_before_any_number(self, swept):
        _, _, page = swept
        small = "150 evaluation epochs (GLaD: 1,000), 2 repeats (GLaD: 5), narrower networks."
        assert f"Small-budget numbers: {small}" in page.words
        assert facts(page) == {
            "DC distillation": "60 iterations",
            "DM distillation": "100 iterations",
            "MTT distillation": "60 iterations",
            "Profile": "paper (where a run sets nothing else)",
            "Evaluation": "150 epochs from scratch, 2 repeats per network",
            "A variant of": "the protocol of GLaD",
            "Labels": "hard",
            "Augmentation": "DSA",
            "Schedule": "cosine",
            "Learning rates": "ConvNet 0.01, AlexNet 0.01, VGG11 0.003, ResNet18 0.01, ViT 0.01",
            "Test images": "all 1,000",
        }
        assert page.words.index("Test images") < page.words.index("Mean of unseen")

    def test_the_papers_budget_is_not_called_small(self, storage):
        write_run(storage, Run(algorithm=DM()), Evaluation(networks=("convnet", "vit")), "full")
        page = page_of(storage)
        assert "Small-budget" not in page.words
        assert facts(page) == {
            "DM distillation": "20,000 iterations",
            "Profile": "paper (where a run sets nothing else)",
            "Evaluation": "1,000 epochs from scratch, 5 repeats per network",
            "A variant of": "the protocol of GLaD",
            "Labels": "hard",
            "Augmentation": "DSA",
            "Schedule": "cosine",
            "Learning rates": "0.001, every network",
            "Test images": "all 1,000",
        }

    def test_a_part_of_the_test_images_is_said(self, storage):
        write_run(storage, Run(algorithm=DM(iterations=5)), Evaluation(networks=("vit",), test_images=200), "part")
        page = page_of(storage)
        assert "Small-budget numbers: a part of the test images." in page.words
        assert facts(page)["Test images"] == "200 of 1,000"

    def test_steps_are_said_where_they_are_not_the_iterations(self, storage):
        sweep = small_sweep(ipc=10, spaces=())
        write_run(storage, sweep.runs[1], EVALUATION, "ten")
        assert facts(page_of(storage))["DC distillation"] == "60 iterations (600 steps at ipc 10)"


class TestPage:
    def test_it_needs_nothing_but_itself(self, swept):
        storage, _, page = swept
        for element in page.elements:
            assert element["tag"] not in ("iframe", "object", "video", "audio", "base", "form")
            for name, value in element["attributes"].items():
                if name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
                    assert value.startswith(("data:", "#")), f"<{element['tag']} {name}={value[:60]}>"
                assert not name.startswith("on")
        (script,) = (e for e in page.elements if e["tag"] == "script")
        assert script["attributes"] == {}
        assert not page.foreign_scripts
        assert not re.search(r"fetch|XMLHttpRequest|WebSocket|import\(|sendBeacon|//[a-z]", "".join(script["text"]))
        text = storage.read_bytes(Storage.REPORT).decode()
        assert not re.search(r"@import|url\((?!#)", text)

    def test_the_browser_is_told_to_ask_nobody_and_to_run_no_other_script(self, swept):
        _, _, page = swept
        (policy,) = (
            e["attributes"]["content"]
            for e in page.all("meta")
            if e["attributes"].get("http-equiv") == "Content-Security-Policy"
        )
        (script,) = ("".join(e["text"]) for e in page.elements if e["tag"] == "script")
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert policy.split("; ") == [
            "default-src 'none'", "img-src data:", "style-src 'unsafe-inline'", f"script-src 'sha256-{digest}'",
            "base-uri 'none'", "form-action 'none'",
        ]  # fmt: skip

    def test_ids_are_unique_and_links_lead_somewhere(self, swept):
        _, _, page = swept
        ids = [element["attributes"]["id"] for element in page.elements if "id" in element["attributes"]]
        assert len(set(ids)) == len(ids)
        for element in page.elements:
            for name, value in element["attributes"].items():
                if name in ("href", "xlink:href") and value.startswith("#"):
                    assert value[1:] in ids
                if name == "aria-labelledby":
                    assert value in ids
                for target in re.findall(r"url\(#([^)]+)\)", value or ""):
                    assert target in ids

    def test_it_can_be_read_by_a_screen_reader(self, swept):
        _, _, page = swept
        assert page.all("html")[0]["attributes"]["lang"] == "en"
        assert len(page.all("h1")) == 1
        assert all(image["attributes"]["alt"] for image in page.all("img"))
        assert all(cell["attributes"].get("scope") for cell in page.all("th"))
        for figure in page.all("svg"):
            assert figure["attributes"]["role"] == "img"
            assert len(said(page.within(figure, "title")[0])) > 20

    def test_the_figure_tells_its_numbers_and_follows_the_theme(self, swept):
        _, _, page = swept
        figure = page.all("svg")[0]
        title = said(page.within(figure, "title")[0])
        (table, *_) = accuracy_tables(page)
        grid = page.grid(table)
        assert f"Random real images {grid[1][-2].partition(' ')[0]} %" in title
        pixel = next(row for row in grid if row[0] == "pixel")
        assert f"DC pixel {pixel[-2].partition(' ')[0]} %" in title
        labels = [said(text) for text in page.within(figure, "text")]
        assert [label for label in labels if label in ("pixel", "w+", "f4")] == ["pixel", "w+", "f4"]
        assert [label for label in labels if label in ("Random real images", "DC", "DM", "MTT")] == [
            "Random real images", "DC", "DM", "MTT",
        ]  # fmt: skip
        styles = " ".join(element["attributes"].get("style") or "" for element in page.within(figure, "path", "use"))
        assert {"var(--dc)", "var(--dm)", "var(--mtt)", "var(--random)", "var(--rule)"} <= set(
            re.findall(r"var\(--\w+\)", styles)
        )
        assert not re.search(r"#[0-9a-f]{6}", styles.replace("#ffffff", ""))

    def test_runs_pictures_losses_and_costs_are_there(self, swept):
        _, sweep, page = swept
        scored = sweep.runs[:-2]
        pictures = [image["attributes"] for image in page.all("img")]
        assert len(pictures) == len(scored)
        assert {picture["width"] for picture in pictures} == {"68"}
        captions = [said(caption) for caption in page.all("figcaption")]
        for run in scored:
            name = (
                "Random real images" if run.algorithm.name == "random" else f"{run.algorithm.name.upper()} {run.space}"
            )
            assert f"{name} {run.run_id}" in captions
            if run.steps:
                assert name in captions
        costs = next(page.grid(table) for table in page.all("table") if "Devices" in page.grid(table)[0])
        assert costs[2] == ["DC pixel", "60", "18 s", "0.3 s", "900 MiB", "3.5 s", "1.1 GiB", "cpu"]
        for run in sweep.runs:
            record, *_ = [pre for pre in page.within(page.run(run.run_id), "pre") if "record" in str(pre["attributes"])]
            assert Run(**json.loads("".join(record["text"]))).run_id == run.run_id
        assert "torch" in page.words

    def test_a_page_with_many_runs_has_the_pictures_of_their_first_seeds(self, storage, monkeypatch):
        for dataset in ("fashion-mnist-sample", "mnist"):
            for seed in (1, 0, 2):
                write_run(storage, Run(algorithm=DM(iterations=2), seed=seed, dataset=dataset), EVALUATION, "seeds")

        def shown():
            return [said(each) for each in page_of(storage).all("figcaption") if "seed" in said(each)]

        assert [caption.split()[3] for caption in shown()] == ["0", "1", "2"] * 2
        monkeypatch.setattr(runs, "MOST_PICTURES", 5)
        assert [caption.split()[3] for caption in shown()] == ["0", "1"] * 2
        assert page_of(storage).words.count("Of 3 runs those of the first seeds") == 2

    def test_how_far_the_sweep_got(self, swept):
        _, sweep, page = swept
        assert "8 of 10 runs scored, 1 failed, 1 not finished." in page.words
        assert f"MTT w+ Fashion-MNIST (bundled sample), 32 px, 1 image per class, {sweep.runs[-2].run_id}" in page.words
        assert "What a latent space does to three algorithms." in page.words

    def test_a_failure_is_told_with_its_traceback(self, swept):
        _, sweep, page = swept
        assert (
            "mtt f4 fashion-mnist-sample ipc 1 seed 0 failed while distilling: the loss is not finite at step 12"
            in page.words
        )
        assert f"run {sweep.runs[-1].run_id}, after step 12" in page.words
        details = page.all("details")[0]
        assert "RunError: the loss is <nan> at step 12" in "".join(details["text"])

    def test_written_again_it_is_the_same(self, swept):
        storage, _, _ = swept
        before = storage.read_bytes(Storage.REPORT), storage.read_bytes(Storage.REPORT_TABLE)
        write_report(storage)
        assert (storage.read_bytes(Storage.REPORT), storage.read_bytes(Storage.REPORT_TABLE)) == before


def test_the_csv_holds_every_table(swept):
    storage, sweep, page = swept
    lines = list(csv.DictReader(io.StringIO(storage.read_bytes(Storage.REPORT_TABLE).decode())))
    assert len(lines) == 3 * len(sweep.runs[:-2]) * 6
    means = {
        (line["algorithm"], line["space"]): f"{float(line['accuracy_percent']):.1f} ± {float(line['std_percent']):.1f}"
        for line in lines
        if line["selection"] == "last" and line["network"] == "mean of unseen"
    }
    grid = page.grid(accuracy_tables(page)[0])
    assert [row[-2] for row in grid[1:] if len(row) > 1] == list(means.values())
    assert {line["seen"] for line in lines if line["network"] == "convnet-w32"} == {"yes"}
    assert {line["steps"] for line in lines if line["selection"] == "last" and line["algorithm"] == "dm"} == {"100"}
