"""Methods of a sweep beside one another under three regimes of labels."""

import importlib
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from glad_ray import load
from glad_ray.plan import make_plan, write_plan
from glad_ray.spec import DM, NCFM, Evaluation, Experts, Network, RandomReal, Run, Sweep
from glad_ray.storage import Storage
from tests.exchange.sets import made_set
from tests.kept_results import keep

BACKBONE = Network(name="convnet", width=32)
HARD = Evaluation(networks=(BACKBONE, Network(name="vgg11"), Network(name="resnet18")))
REGIMES = {
    "hard": HARD,
    "fixed-soft": HARD.replace(labels="soft", teacher=Experts(count=1)),
    "teacher": HARD.replace(labels="online", teacher=Experts(count=1)),
}
BASE = Run(algorithm=RandomReal(), dataset="fashion-mnist-sample", resolution=32, backbone=BACKBONE)
DISTILLED, FORMED = BASE.replace(algorithm=DM()), BASE.replace(algorithm=NCFM())


@pytest.fixture
def methods(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "benchmarks"))
    return importlib.import_module("methods")


def kept(storage, runs):
    """Keep runs by seed with the accuracy of each network of a regime; those of soft labels are a fifth more. One that
    the sweep does not have is kept too.
    """
    of_seeds = [run.replace(seed=seed) for run, seeds in runs.items() for seed in seeds]
    write_plan(make_plan(Sweep(name="kept", runs=tuple(of_seeds), evaluations=tuple(REGIMES.values()))), storage)
    keep(storage, HARD, DISTILLED.replace(algorithm=DM(iterations=7)), (0.1, 0.1, 0.1))
    keep(storage, HARD.replace(epochs=7), DISTILLED, (0.1, 0.1, 0.1))
    for run, of_seeds in runs.items():
        for seed, accuracies in of_seeds.items():
            for regime, evaluation in REGIMES.items():
                more = 1 if regime == "hard" else 1.2
                keep(storage, evaluation, run.replace(seed=seed), [more * each for each in accuracies])


def test_methods_stand_beside_random_images_of_the_same_seed(methods, tmp_path, monkeypatch, capsys):
    storage = Storage.open(tmp_path)
    kept(
        storage,
        {
            BASE: {0: (0.7, 0.4, 0.6), 1: (0.5, 0.2, 0.4)},
            BASE.replace(images_per_class=4): {0: (0.7, 0.55, 0.65)},
            FORMED: {0: (0.6, 0.5, 0.6), 1: (0.6, 0.3, 0.5)},
            DISTILLED: {0: (0.6, 0.4, 0.4), 1: (0.6, 0.6, 0.6)},
        },
    )
    compared = methods.compare(load(tmp_path))
    of_counts = methods.at_equal_images(compared)
    assert list(of_counts) == [1]
    dm, ncfm, random = of_counts[1]
    assert [each.method.name for each in (dm, ncfm)] == ["DM", "NCFM, 4 images in one"]
    assert methods.is_random(random)
    assert dm.mean("hard") == pytest.approx((60, 50))
    assert dm.mean("teacher") == pytest.approx((72, 60))
    assert methods.above_random(dm, random, "hard") == (pytest.approx(10), 1)
    assert methods.above_random(ncfm, random, "hard") == (pytest.approx(7.5), 2)
    pictures = [tmp_path / "picture.png", tmp_path / "images.png"]
    named = ["--picture", str(pictures[0]), "--images", str(pictures[1])]
    monkeypatch.setattr(sys, "argv", ["methods", str(tmp_path), *named])
    methods.main()
    printed = capsys.readouterr().out
    assert "| DM | 2 | 50.0 | 60.0 | +10.0 (1 of 2) | 60.0 | 72.0 |" in printed
    assert "| 4 | 60.0 | 72.0 | 72.0 |" in printed
    assert all(each.read_bytes().startswith(b"\x89PNG") for each in pictures)


def test_how_far_images_of_a_class_are_from_one_another(methods, tmp_path):
    storage, run = Storage.open(tmp_path), BASE.replace(images_per_class=2)
    made = made_set(2)
    images = torch.zeros_like(made.images)
    # The two of each class differ by 3 and by 1 in turn, in every pixel.
    images[1::2] = torch.tensor([3.0, 1.0] * 5).view(-1, 1, 1, 1)
    storage.write_bytes(storage.synthetic_set_path(run.run_id), replace(made, images=images).to_bytes())
    assert methods.spread_of(storage, run) == pytest.approx(2)
    assert methods.spread_of(storage, BASE) is None


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_what_has_no_results_is_refused_in_one_sentence(methods, folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(sys, "argv", ["methods", str(tmp_path / folder)])
    with pytest.raises(SystemExit) as ended:
        methods.main()
    assert ended.value.code == 2
    assert re.fullmatch(r"There (is|are) no .*\n", capsys.readouterr().err)
