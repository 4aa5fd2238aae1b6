"""What is chosen from a search for a prior's layers, and how settings are compared with pixels."""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t

from glad_ray.errors import UserError
from glad_ray.results import SearchTrial, write_trials
from glad_ray.spec import DM, Evaluation, LearningRates, Network, RandomReal
from glad_ray.storage import Storage
from tests.kept_results import keep

ROOT = Path(__file__).parent.parent
EVALUATION = Evaluation(networks=(Network(name="convnet", width=32), Network(name="vgg11"), Network(name="resnet18")))


@pytest.fixture
def prior(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setattr(sys, "path", sys.path.copy())
    return importlib.import_module("prior")


def _run(prior, generator=None, space="pixel", rate=1.0, seed=0):
    part = "pixels" if generator is None else "f"
    algorithm = DM(iterations=80, learning_rates=LearningRates(**({"pixels": 1.0, "f": 1.0, "w": 0.01} | {part: rate})))
    where = {"space": space}
    if generator is not None:
        where["generator"], where["init"] = prior.search_prior.GENERATORS[generator]
    return prior.search_prior.base(algorithm=algorithm, seed=seed, **where)


def test_the_best_rate_of_pixels_and_two_layers_of_each_generator_are_chosen(prior, tmp_path):
    storage = Storage.open(tmp_path)
    tried = [
        ((None, "pixel", 0.2), 0.61),
        ((None, "pixel", 1.0), 0.63),
        ((None, "pixel", 5.0), 0.62),
        (("bundled", "f1", 0.2), 0.60),
        (("bundled", "f1", 1.0), 0.58),
        (("bundled", "f3", 0.2), 0.64),
        (("bundled", "f5", 0.2), 0.59),
        (("random weights", "f5", 5.0), 0.5),
    ]
    trials = [
        SearchTrial(number=number, state="complete", run=_run(prior, *given), parameters={}, rung_accuracies=(found,))
        for number, (given, found) in enumerate(tried)
    ]
    write_trials(storage, trials)
    chosen = prior.choose(storage)
    assert [(each["generator"], each["space"], each["learning_rate"]) for each in chosen] == [
        (None, "pixel", 1.0),
        ("bundled", "f3", 0.2),
        ("bundled", "f1", 0.2),
        ("random weights", "f5", 5.0),
    ]
    write_trials(storage, [*trials[:-1], trials[-1].replace(state="running", rung_accuracies=())])
    with pytest.raises(UserError, match="not complete"):
        prior.choose(storage)


@pytest.mark.parametrize("command", ["choose", "compare"])
@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_what_has_no_results_is_refused_in_one_sentence(prior, command, folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(sys, "argv", ["prior", command, str(tmp_path / folder)])
    with pytest.raises(SystemExit) as ended:
        prior.main()
    assert ended.value.code == 2
    assert re.fullmatch(r"There (is|are) no .*\n", capsys.readouterr().err)


def test_settings_are_compared_with_pixels_of_the_same_seed(prior, tmp_path, monkeypatch, capsys):
    storage = Storage.open(tmp_path)
    gains = {1: 0.03, 2: 0.01, 3: 0.02}
    for seed, gain in gains.items():
        level = 0.5 + 0.05 * seed
        keep(storage, EVALUATION, _run(prior, seed=seed), (0.9, level, level))
        keep(storage, EVALUATION, _run(prior, "bundled", "f1", seed=seed), (0.1, level + gain, level + gain))
        keep(storage, EVALUATION, _run(prior, "autoencoder", "f3", seed=seed), (0.1, level - 0.1 - gain, level - 0.1))
        keep(
            storage, EVALUATION, _run(prior, "random weights", "f3", seed=seed), (0.1, level + seed * 0.1 - 0.2, level)
        )
        keep(storage, EVALUATION, prior.search_prior.base(algorithm=RandomReal(), seed=seed), (0.1, 0.2, 0.4))
    found = {each.setting.generator: each for each in prior.compare([storage]) if each.setting.algorithm == "dm"}
    bundled, pixels = found["bundled"], found["pixels"]
    assert pixels.unseen.mean == pytest.approx(60)
    assert pixels.difference is None
    assert not pixels.verdict
    assert pixels.deviation == pytest.approx(3, rel=0.05)
    assert bundled.differences == pytest.approx([3, 1, 2])
    assert bundled.difference.half == pytest.approx(t.ppf(0.975, 2) * np.std([3, 1, 2], ddof=1) / 3**0.5)
    assert {name: each.verdict for name, each in found.items() if name != "pixels"} == {
        "bundled": "undecided",
        "autoencoder": "below",
        "random weights": "undecided",
    }
    picture = tmp_path / "picture.png"
    monkeypatch.setattr(sys, "argv", ["prior", "compare", str(tmp_path), "--picture", str(picture)])
    prior.main()
    printed = capsys.readouterr().out
    assert "+2.0 ± 2.5" in printed
    assert "random" in printed
    assert picture.read_bytes().startswith(b"\x89PNG")
