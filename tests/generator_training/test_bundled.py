"""The generator that comes with the package: what it weighs, what its card says, and that runs know it by name."""

import json
import re
from pathlib import Path

import pytest
import torch

from glad_ray import DM, Run
from glad_ray.cli import main
from glad_ray.data import load_dataset
from glad_ray.generators import build_generator
from glad_ray.results.generator_card import GeneratorCard, read_card_beside
from glad_ray.stylegan.bundled import BUNDLED, generator_path
from glad_ray.stylegan.files import read_settings

PAGE = Path(__file__).parents[2] / "docs" / "generator_training.md"
NAME = "fashion-mnist-prior"
MOST_BYTES = 4 * 2**20


@pytest.fixture(scope="module")
def card() -> GeneratorCard:
    path = generator_path(NAME)
    found = read_card_beside(path, read_settings(path).sha256)
    assert found is not None
    return found


def test_it_is_small():
    for name in BUNDLED:
        assert sum(file.stat().st_size for file in generator_path(name).parent.iterdir()) <= MOST_BYTES


def test_a_run_names_it_and_keeps_no_path_of_this_machine(card):
    run = Run(algorithm=DM(), resolution=32, space="f2", generator=NAME)
    assert run.generator.path == NAME
    assert run.generator.sha256 == card.sha256
    assert run.generator.classes_known == 10
    assert "real" in run.generator.inits


def test_later_versions_train_it_with_the_same_draws(card):
    """A field that is added to the recipe must not change the id of a training that does not set it."""
    settings = json.loads(generator_path(NAME).read_text())
    assert card.training.stored_id == settings["trained_by"]["id"]


def test_its_scores_are_not_those_of_random_weights(card):
    trained, random = (next(each for each in card.scores if each.source == source) for source in (
        card.scores[0].source,
        "random weights",
    ))  # fmt: skip
    assert trained.as_asked > 0.5 > random.as_asked
    assert trained.accuracy > random.accuracy
    assert trained.recall > random.recall
    assert trained.frechet < random.frechet


def test_latents_of_real_images_decode_nearer_to_them_than_samples_of_their_classes():
    dataset = load_dataset("fashion-mnist-sample", resolution=32)
    index = torch.arange(0, 1000, 10)
    labels = torch.tensor(dataset.test_labels[index])
    images = torch.tensor(dataset.test_images[index]).float() / 127.5 - 1
    generator = build_generator(Run(algorithm=DM(), resolution=32, space="w+", generator=NAME).generator)
    rng = torch.Generator().manual_seed(0)
    errors = [
        float((generator.decode("w+", generator.init("w+", labels, rng, how, images)) - images).abs().mean())
        for how in ("real", "sampled")
    ]
    assert errors[0] < errors[1]


def test_the_page_tells_the_scores_of_its_card(card):
    page = PAGE.read_text()
    for each in card.scores:
        shares = f"{100 * each.as_asked:.1f} | {100 * each.accuracy:.1f}"
        row = f"| {each.source} | {shares} | {each.precision:.2f} | {each.recall:.2f} | {each.frechet:.2f} |"
        assert row in page
    for name, recall in zip(card.class_names, card.scores[0].recall_by_class, strict=True):
        assert re.search(rf"{re.escape(name)} {recall:.2f}", page)


def test_inspect_takes_its_name(capsys):
    assert main(["generator", "inspect", NAME]) == 0
    shown = capsys.readouterr().out
    assert "compact StyleGAN, 32 x 32 pixels, 1 channel, 10 classes" in shown
    assert "classified as asked" in shown
