"""A page with every kind of row: baselines, equal bytes, soft labels, no augmentation, published numbers."""

import csv
import io

import pytest

from glad_ray.report.tables.accuracy import sections
from glad_ray.report.tables.conditions import evaluation_names
from glad_ray.report.tables.sizes import sizes
from glad_ray.spec import DSA
from glad_ray.storage import Storage
from tests.report.parsed import accuracy_tables, page_of, said
from tests.report.rows import row
from tests.report.sample import write_rich_sweep


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    storage = Storage.open(tmp_path_factory.mktemp("rich"))
    sweep = write_rich_sweep(storage)
    return storage, sweep, page_of(storage)


def lines_of(storage, path):
    return list(csv.DictReader(io.StringIO(storage.read_bytes(path).decode())))


def tables_under(page, heading):
    """The tables between a heading of level 3 and the next heading, once for every time that it is there."""
    found, here = [], False
    for element in page.elements:
        if element["tag"] in ("h2", "h3"):
            here = said(element) == heading
        elif here and element["tag"] == "table":
            found.append(page.grid(element))
    return found


SAMPLE = "Fashion-MNIST (bundled sample), 32 px, 1 image per class"


class TestSections:
    def test_headings_name_what_distinguishes_evaluations(self, rich):
        _, _, page = rich
        headings = [said(heading) for heading in page.all("h2")]
        assert headings[1:6] == [
            "Fashion-MNIST, 28 px, 1 image per class hard labels, each run’s augmentation, 300 epochs",
            "Fashion-MNIST, 28 px, 10 images per class hard labels, each run’s augmentation, 300 epochs",
            f"{SAMPLE} hard labels, DSA, 150 epochs",
            f"{SAMPLE} hard labels, no augmentation, 150 epochs",
            f"{SAMPLE} fixed soft labels, DSA, 150 epochs",
        ]

    def test_baselines_first_and_the_whole_dataset_last(self, rich):
        _, _, page = rich
        for table in accuracy_tables(page)[2:5]:
            names = [cells[0] for cells in page.grid(table)[1:]]
            assert names[:3] == [f"{name} 2 seeds" for name in ("Random real images", "Herding", "K-means")]
            assert names[-1] == "Whole dataset upper bound 2 seeds"

    def test_labels_are_always_named(self, rich):
        _, _, page = rich
        *hard, soft = accuracy_tables(page)
        for table in hard:
            assert [said(caption) for caption in page.within(table, "caption")] == ["Labels in every row: hard."]
        header, *rows = [cells for cells in page.grid(soft) if len(cells) > 1]
        labels = [cells[header.index("Labels")] for cells in rows]
        assert labels[:3] == ["teacher’s soft"] * 3
        assert labels[-1] == "hard"
        assert labels.count("own soft") == 2
        # Hard against soft is not compared: the whole dataset has no distance to random images there.
        assert rows[-1][-1] == ""
        assert rows[1][-1] != ""

    def test_baselines_of_as_many_bytes_have_no_section_and_are_in_the_csv(self, rich):
        storage, _, page = rich
        lines = [line for line in lines_of(storage, Storage.REPORT_TABLE) if line["dataset"] == "fashion-mnist-sample"]
        per_class = {line["ipc"] for line in lines}
        assert {"", "1", "4"} < per_class
        assert len(accuracy_tables(page)) == 5
        for line in lines:
            if line["ipc"] not in ("", "1"):
                assert line["algorithm"] in ("random", "herding", "kmeans")
                headings = " ".join(said(heading) for level in ("h2", "h3") for heading in page.all(level))
                assert f"(bundled sample), 32 px, {line['ipc']} images" not in headings
        assert len({tuple(line.values()) for line in lines}) == len(lines)


class TestPublished:
    def test_matched_cells_and_their_verdict(self, rich):
        storage, _, page = rich
        one, ten = (grid for grid in tables_under(page, "Beside published numbers") if "Ours" in grid[0])
        assert [cells[0] for cells in one[1:]] == ["DC pixelaugmentation none", "DC pixelaugmentation DSA"]
        assert [cells[4] for cells in one[1:]] == ["70.5 ± 0.6", "70.6 ± 0.6"]
        assert all("more than two deviations apart" in cells[6] for cells in [*one[1:], *ten[1:]])
        lines = lines_of(storage, Storage.REPORT_PUBLISHED)
        assert [(line["ipc"], line["augmentation"], line["source"][:3]) for line in lines] == [
            ("1", "", "DC,"), ("1", DSA, "DSA"), ("10", DSA, "DSA"),
        ]  # fmt: skip
        for line in lines:
            difference = float(line["accuracy_percent"]) - float(line["published_percent"])
            combined = (float(line["std_percent"]) ** 2 + float(line["published_std_percent"]) ** 2) ** 0.5
            assert float(line["difference_points"]) == pytest.approx(difference, abs=2e-4)
            assert float(line["combined_deviations"]) == pytest.approx(difference / combined, rel=1e-3)

    def test_a_smaller_budget_is_said_before_the_numbers(self, rich):
        _, _, page = rich
        said_first = "Not made like theirs: 300 evaluation epochs (theirs: 1,000); 3 trainings (GLaD: 5)"
        assert page.words.index(said_first) < page.words.index("In combined deviations")

    def test_peers_are_context(self, rich):
        _, _, page = rich
        peers = [grid for grid in tables_under(page, "Beside published numbers") if "Optimised" in grid[0]]
        sources = [cells[0] for cells in peers[0][1:]]
        assert sources == ["KIP to NN, KIP Table 2", "IDC-I, IDC readme", "IDC, IDC readme", "FreD (TM), FreD readme"]


class TestBytes:
    def test_every_set_is_there_the_smallest_first(self, rich):
        _, sweep, page = rich
        (grid, *_) = tables_under(page, "Fashion-MNIST (bundled sample), 32 px hard labels, DSA, 150 epochs")
        assert grid[0][:6] == ["Set", "Imagesper class", "Labels", "Set", "Generator", "Together"]
        f4 = next(run for run in sweep.runs if run.space == "f4")
        cells = next(cells for cells in grid if cells[0].startswith("DC f4"))
        million = f"{f4.set_bytes / 1e6:.1f} MB", f"{f4.generator_bytes / 1e6:.1f} MB"
        assert tuple(cells[3:5]) == million
        # Ten images of 32 x 32 real pixels, and the same of float32.
        assert grid[1][:6] == ["Random real images 2 seeds", "1", "hard", "10 kB", "–", "10 kB"]
        assert next(cells for cells in grid if cells[0].startswith("DC pixel"))[3] == "41 kB"
        assert grid[-1][0].startswith("Whole dataset")

    def test_the_figure_tells_its_numbers(self, rich):
        _, _, page = rich
        titles = [said(page.within(figure, "title")[0]) for figure in page.all("svg")]
        figures = [title for title in titles if title.startswith("Accuracy against bytes")]
        assert len(figures) == 4
        assert "Whole dataset 4.1 MB" in figures[1].replace("  ", " ")

    def test_one_size_for_all_is_nothing_to_compare(self):
        rows = [row("vit", 0.5, run_id="a"), row("vit", 0.6, run_id="b", algorithm="dm")]
        assert sizes(sections(rows, {"a": "", "b": ""})) == ()
        rows[1]["set_bytes"] = 4001
        (of,) = sizes(sections(rows, {"a": "", "b": ""}))
        assert [row.total_bytes for row in of.rows] == [4000, 4001]


def test_scores_are_told_for_the_backbone_and_the_unseen(rich):
    storage, _, page = rich
    lines = {
        (line["algorithm"], line["space"], line["variant"], line["network"]): line
        for line in lines_of(storage, Storage.REPORT_SCORES)
        if line["augmentation"] == DSA and line["labels"] == "hard" and line["dataset"] == "fashion-mnist-sample"
    }
    # Networks are five, and their unseen four have a mean.
    assert len(lines) == 6 * 6
    grid = tables_under(page, "Scores of DD-Ranking")[2]
    assert grid[0] == ["Set", "Backbone", "Mean of unseen"]
    dc = next(cells for cells in grid if cells[0].startswith("DC f4"))
    for network, cells in (("convnet-w32", dc[1:5]), ("mean of unseen", dc[5:])):
        line = lines["dc", "f4", "", network]
        points = [f"{float(line[key]):+.1f}".replace("-", "−") for key in ("ior_points", "hlr_points")]
        assert cells == [*points, *(f"{float(line[key]):.3f}" for key in ("lrs", "ars"))]


def test_what_has_no_pictures_is_left_out(rich):
    _, sweep, page = rich
    shown = [image["attributes"]["alt"] for image in page.all("img")]
    of_tables = [run for run in sweep.runs if run.ipc == 1 or (run.ipc == 10 and run.dataset == "fashion-mnist")]
    assert len(shown) == len(of_tables)
    assert not any("Whole dataset" in alt for alt in shown)


class TestEvaluationNames:
    def names(self, *rows):
        return list(evaluation_names(rows).values())

    def test_one_needs_no_name(self):
        assert self.names(row("vit", 0.5)) == [""]

    def test_what_is_the_same_is_not_named(self):
        other = row("vit", 0.5, evaluation_id="o", evaluation_schedule="step")
        assert self.names(row("vit", 0.5), other) == ["cosine schedule", "step schedule"]

    def test_runs_that_one_evaluation_has_not_scored_yet_do_not_count(self):
        soft = row("vit", 0.5, evaluation_id="o", labels="own")
        assert self.names(row("vit", 0.5), row("vit", 0.5, run_id="p", augmentation=""), soft) == [
            "hard labels",
            "fixed soft labels",
        ]

    def test_the_whole_dataset_does_not_count(self):
        whole = {"run_id": "w", "algorithm": "whole", "ipc": None}
        rows = [
            row("vit", 0.5, evaluation_epochs=100), row("vit", 0.5, evaluation_epochs=10, **whole),
            row("vit", 0.5, evaluation_id="o", evaluation_epochs=200),
            row("vit", 0.5, evaluation_id="o", evaluation_epochs=20, **whole),
        ]  # fmt: skip
        assert self.names(*rows) == ["100 epochs", "200 epochs"]

    def test_regimes_optimisers_and_mixing_are_named(self):
        online = row("vit", 0.5, evaluation_id="o", labels="online", evaluation_optimiser="adamw")
        assert self.names(row("vit", 0.5), online | {"evaluation_mixing": "cutmix 0.5"}) == [
            "hard labels",
            "a teacher at every step, AdamW, cutmix 0.5",
        ]

    def test_what_is_usual_is_named_only_if_it_must(self):
        rows = [
            row("vit", 0.5),
            row("vit", 0.5, evaluation_id="o", evaluation_mixing="mixup"),
            row("vit", 0.5, evaluation_id="s", labels="own", evaluation_schedule="step"),
        ]
        assert self.names(*rows) == [
            "hard labels, no mixing",
            "hard labels, mixup",
            "fixed soft labels, step schedule, no mixing",
        ]

    def test_the_long_ones_are_named_only_if_they_must(self):
        rates = row("vit", 0.5, evaluation_id="o", evaluation_learning_rate=0.1)
        assert self.names(row("vit", 0.5), rates) == ["learning rates ViT 0.01", "learning rates ViT 0.1"]
        assert self.names(row("vit", 0.5), rates | {"labels": "own"}) == ["hard labels", "fixed soft labels"]

    def test_networks_are_named_before_the_rates_that_follow_from_them(self):
        other = row("resnet18-w16", 0.5, evaluation_id="o", evaluation_learning_rate=0.1)
        assert self.names(row("vit", 0.5), other) == ["networks ViT", "networks ResNet18 width 16"]

    def test_what_rows_do_not_tell_is_told_by_the_id(self):
        assert self.names(row("vit", 0.5), row("vit", 0.5, evaluation_id="o")) == ["evaluation v", "evaluation o"]
