"""Trainings of a few steps, and what they are given."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from glad_ray.data import load_dataset
from glad_ray.generator_training import Advance, make_generator
from glad_ray.results.generator_card import GeneratorCard
from glad_ray.spec.generator_training import GeneratorShape, GeneratorTraining
from glad_ray.spec.network import Network
from glad_ray.storage import Storage

SMALL = {
    "shape": GeneratorShape(z_dim=4, w_dim=6, channel_base=64, channel_max=8),
    "batch_size": 4,
    "classifier_steps": 2,
    "classifier_batch_size": 4,
    "feature_width": 4,
    "scorer": Network(name="resnet18", width=4),
    "autoencoder_steps": 2,
    "adversarial_steps": 2,
    "discriminator_width": 4,
    "score_images_per_class": 4,
    "score_epochs": 1,
}


def training_of(dataset: str = "fashion-mnist-sample", resolution: int = 16, **fields) -> GeneratorTraining:
    return GeneratorTraining(dataset=dataset, resolution=resolution, **SMALL | fields)


def made(training: GeneratorTraining, folder: Path, on_advance=lambda advance: True) -> GeneratorCard:
    return make_generator(
        training,
        load_dataset(training.dataset, resolution=training.resolution),
        Storage.open(folder),
        device=torch.device("cpu"),
        on_advance=on_advance,
        on_scored=lambda scores: None,
    )


def assignments(training: GeneratorTraining) -> list[str]:
    """The fields of SMALL as options of the command."""
    flat = {name: value for name, value in SMALL.items() if not hasattr(value, "model_dump")}
    flat |= {
        f"shape.{name}": getattr(training.shape, name) for name in ("z_dim", "w_dim", "channel_base", "channel_max")
    }
    flat["scorer.width"] = training.scorer.width
    return [part for name, value in flat.items() for part in ("--set", f"{name}={value}")]


def write_folders(root: Path, counts: dict[str, tuple[int, int]], side: int = 64, colour: bool = True) -> str:
    """Random pictures in folders by class, so many to train and to test on; the name of the dataset."""
    rng = np.random.default_rng(0)
    for number, (name, (train, test)) in enumerate(counts.items()):
        for split, count in (("train", train), ("test", test)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                shape = (side, side, 3) if colour else (side, side)
                pixels = rng.integers(60 * number, 60 * number + 80, shape, dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return f"folder:{root}"


class StopAtEachStep:
    """Stops the training after every step of a call, and remembers how far the stages were."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def __call__(self, advance: Advance) -> bool:
        self.seen.append((advance.stage, advance.step))
        return False
