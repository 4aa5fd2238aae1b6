"""benchmarks/letters.py: the images it draws, what it searches, what it chooses, and the table of what came out."""

import importlib
import shutil
import sys
from pathlib import Path

import matplotlib
import pytest

from glad_ray import RandomStyleGAN, Results
from glad_ray.results import SearchTrial, write_trials
from glad_ray.spec import Evaluation, Network, dataset_facts
from glad_ray.spec.search_space import first_points, representatives
from glad_ray.spec.searches.check import check_search
from glad_ray.storage import Storage
from tests.kept_results import keep

ROOT = Path(__file__).parent.parent
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
EVALUATION = Evaluation(networks=(Network(name="convnet", width=32, depth=4), Network(name="vgg11")))


@pytest.fixture
def letters(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setattr(sys, "path", sys.path.copy())
    return importlib.import_module("letters")


@pytest.fixture
def images(letters, tmp_path):
    """A dataset of four fonts of which one is for test images, for its family is."""
    for family, font in (("a", "DejaVuSans"), ("b", "DejaVuSerif"), ("c", "DejaVuSansMono"), ("f", "DejaVuSerif-Bold")):
        (tmp_path / "fonts" / family).mkdir(parents=True)
        shutil.copy(FONTS / f"{font}.ttf", tmp_path / "fonts" / family)
    said = letters.make_images(tmp_path / "fonts", tmp_path / "images")
    return f"folder:{tmp_path / 'images'}", said


def test_letters_are_a_dataset_in_colour_whose_test_images_are_of_other_fonts(letters, images):
    dataset, said = images
    folder = Path(dataset.removeprefix("folder:"))
    train, test = ({path.stem[:-2] for path in (folder / split).rglob("*.png")} for split in ("train", "test"))
    assert train
    assert test
    assert not train & test
    counts = {split: len(list((folder / split).rglob("*.png"))) for split in ("train", "test")}
    assert sum(counts.values()) == 4 * len(letters.LETTERS) * letters.COLOURINGS
    assert f"{counts['train']} training and {counts['test']} test images, of 4 fonts of 4 families" in said
    facts = dataset_facts(dataset)
    assert (facts.class_names, facts.channels) == (tuple(letters.LETTERS), 3)


def test_a_font_without_the_letters_is_left_out(letters, tmp_path):
    (tmp_path / "symbols").mkdir()
    for font in ("STIXSizOneSymReg", "DejaVuSans"):
        shutil.copy(FONTS / f"{font}.ttf", tmp_path / "symbols")
    (tmp_path / "symbols" / "broken.ttf").write_bytes(b"no font")
    shutil.copy(FONTS / "DejaVuSans.ttf", tmp_path / "symbols" / "DejaVuSans.otf")  # the same in another format
    assert letters.families(tmp_path) == {"symbols": [tmp_path / "symbols" / "DejaVuSans.ttf"]}


@pytest.fixture
def search(letters, images):
    return letters.search(images[0], RandomStyleGAN(image_channels=3, resolution=64))


def test_pixels_and_latents_have_as_many_settings(search):
    check_search(search)
    assert representatives(search)
    spaces = [point["space"] for point in first_points(search)[: search.trials]]
    assert spaces.count("pixel") == sum(space != "pixel" for space in spaces) == search.trials / 2


def test_the_best_settings_are_compared_with_other_seeds(letters, images, search, tmp_path):
    kept = Storage.open(tmp_path / "search")
    points = [("pixel", 0.2, 0.3), ("pixel", 5.0, 0.4), ("f3", 0.2, 0.5), ("f5", 1.0, 0.6), ("f5", 5.0, 0.1)]
    trials = []
    for number, (space, rate, accuracy) in enumerate(points):
        rates = search.base.algorithm.learning_rates.replace(pixels=rate, f=rate)
        where = {} if space != "pixel" else {"generator": None, "init": "real"}
        run = search.base.replace(algorithm=search.base.algorithm.replace(learning_rates=rates), space=space, **where)
        trials.append(SearchTrial(number=number, state="complete", run=run, parameters={}, rung_accuracies=(accuracy,)))
    write_trials(kept, trials)
    best = letters.chosen(Results(kept))
    assert [(run.space, letters.rate_of(run)) for run in best] == [("pixel", "5"), ("f5", "1")]

    made = letters.sweep(images[0], best)
    assert {run.seed for run in made.runs} == set(letters.SEEDS)
    assert not any(run.held_out for run in made.runs)
    swept = Storage.open(tmp_path / "sweep")
    for run in made.runs:
        gain = {"pixel": 0.0, "f5": 0.02 + 0.001 * run.seed}[run.space] if run.algorithm.name == "dm" else -0.2
        keep(swept, EVALUATION, run, (0.9, 0.5 + 0.05 * run.seed + gain))
    rows = [line.split(" | ") for line in letters.table(Results(swept)).splitlines()]
    of = {(cells[0].strip("| "), cells[1]): cells for cells in rows[2:]}
    assert of["dm", "f5"][-2:] == ["+2.3 ± 0.2", "above |"]
    assert of["dm", "pixel"][2:4] == ["5", "90.0"]
    assert of["random", "pixel"][-2:] == ["-20.0 ± 0.0", "below |"]


def test_what_is_not_there_is_refused_in_one_sentence(letters, tmp_path, monkeypatch, capsys):
    for arguments in (["images", "none", "made"], ["compare", "none", "none.json", "made"]):
        monkeypatch.setattr(sys, "argv", ["letters", *(str(tmp_path / each) for each in arguments[1:])])
        sys.argv.insert(1, arguments[0])
        with pytest.raises(SystemExit) as ended:
            letters.main()
        assert ended.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1
