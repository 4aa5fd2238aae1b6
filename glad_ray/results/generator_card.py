"""The card of a generator that was trained here: data, recipe, scores, cost."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from glad_ray.errors import DataError
from glad_ray.spec.generator_training import GeneratorTraining
from glad_ray.spec.record import Record
from glad_ray.storage import Storage

CARD = "card.json"
"""the name of a card, in the folder of its generator"""
Share = Annotated[float, Field(ge=0, le=1)]


class GeneratorScores(Record):
    """How good images of asked-for classes are, by networks that were trained on the real ones.

    Precision and recall are those of Kynkäänniemi et al. (2019) within each class, with three neighbours, in the
    features of the network that only scores; recall is the share of real test images that have a sample near them.
    """

    source: str
    """what made the images: the generator of a stage, without or with truncation; `random weights`; or `real training
    images` for comparison"""
    images_per_class: int
    as_asked: Share
    """share of images whose class the network that only scores names"""
    as_asked_by_class: tuple[Share, ...]
    accuracy: Share
    """on real test images, of a ConvNet that was trained on these images alone"""
    precision: Share
    """mean over classes"""
    recall: Share
    """mean over classes"""
    recall_by_class: tuple[Share, ...]
    frechet: float
    """Frechet distance of normal distributions of features from that of real test images (Heusel et al., 2017,
    equation 6)"""


class GeneratorCard(Record):
    """What is known of a trained generator."""

    training: GeneratorTraining
    """the recipe"""
    title: str
    """of the dataset"""
    class_names: tuple[str, ...]
    train_images: int
    test_images: int
    classifier_accuracies: Mapping[str, Share]
    """on real test images, of the networks that the stages `features` and `scorer` trained"""
    scores: tuple[GeneratorScores, ...]
    """the trained generator's first, then those that it is to be compared with"""
    seconds: Mapping[str, float]
    """by stage, over interruptions; and of scoring"""
    device: str
    versions: Mapping[str, str]
    """of the packages that did it"""
    parameters: int
    sha256: str
    """of the generator file, by which runs know it"""


def write_card(storage: Storage, path: str, card: GeneratorCard) -> None:
    """Write it at a path."""
    storage.write_bytes(path, card.model_dump_json(indent=1).encode() + b"\n")


def read_card(storage: Storage, path: str) -> GeneratorCard | None:
    """The card at a path; None: there is none, or it is damaged."""
    try:
        return GeneratorCard.model_validate_json(storage.read_bytes(path))
    except (DataError, ValidationError):
        return None


def read_card_beside(generator: Path, sha256: str) -> GeneratorCard | None:
    """The card in the folder of a generator's file; None: there is none, or it is that of a file with another SHA-256.

    Raises `DataError` if it is damaged.
    """
    path = generator.with_name(CARD)
    if not path.is_file():
        return None
    try:
        card = GeneratorCard.model_validate_json(path.read_bytes())
    except (ValidationError, ValueError) as error:
        raise DataError(f"{path} is not a whole card of a generator: train the generator again.") from error
    return card if card.sha256 == sha256 else None
