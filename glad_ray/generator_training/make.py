"""From a record to a generator file with its card: the stages, the scores, the files."""

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from glad_ray.data import Dataset
from glad_ray.generator_training.base import Setting, Tensors, of_prefix
from glad_ray.generator_training.checkpoint import Checkpoint
from glad_ray.generator_training.classifier import trained_classifier
from glad_ray.generator_training.samples import real_grid, sample_grid
from glad_ray.generator_training.scores import accuracy_on_test_images, score_real, score_weights
from glad_ray.generator_training.train import OnAdvance, train_stages, trained_weights
from glad_ray.generator_training.weights import new_weights, with_average_codes
from glad_ray.machine import device_name, fp32_precision
from glad_ray.networks import Classifier
from glad_ray.results import package_versions
from glad_ray.results.generator_card import GeneratorCard, GeneratorScores, read_card, write_card
from glad_ray.spec import dataset_facts
from glad_ray.spec.generator_training import GeneratorTraining, Stage
from glad_ray.spec.networks.convnet import standard_depth
from glad_ray.storage import Storage
from glad_ray.stylegan.checks import ENCODER
from glad_ray.stylegan.converted import DESCRIPTION, WEIGHTS, TrainingOrigin
from glad_ray.stylegan.files import write_trained
from glad_ray.stylegan.settings import EncoderSettings

RANDOM, REAL = "random weights", "real training images"
"""what trained generators are compared with"""
OnScored = Callable[[GeneratorScores], None]


def make_generator(
    training: GeneratorTraining,
    dataset: Dataset,
    storage: Storage,
    *,
    device: torch.device,
    on_advance: OnAdvance,
    on_scored: OnScored,
) -> GeneratorCard:
    """Train a generator, or go on with it, score it, and write its file, card and samples; what is done already is not
    done again.

    Raises what `glad_ray.generator_training.train.train_stages` raises.
    """
    setting = Setting(training, dataset, device)
    identity = training.stored_id
    storage.write_bytes(storage.generator_training_path(identity), training.model_dump_json(indent=1).encode() + b"\n")
    # TF32 would make the features that scores are in another network's.
    with fp32_precision("float32", device):
        done = train_stages(setting, storage, on_advance)
        final: Stage = "adversarial" if training.adversarial_steps else "autoencoder"
        started = time.monotonic()
        scorer = trained_classifier(setting, "scorer", done["scorer"].tensors)
        scores = tuple(
            _scored(setting, storage, done, scorer, source, on_scored) for source in _sources(training, final)
        )
        accuracies = {
            stage: accuracy_on_test_images(setting, trained_classifier(setting, stage, done[stage].tensors))
            for stage in ("features", "scorer")
        }
        for source in _controls(final):
            path = storage.generator_control_path(identity, source)
            _write_generator(setting, storage, path, _weights_of(setting, done, source), done["autoencoder"].tensors)
        path = storage.generator_file_path(identity)
        encoder = done[final].tensors if training.autoencoder_weight else done["autoencoder"].tensors
        sha256 = _write_generator(setting, storage, path, _weights_of(setting, done, final), encoder)
    kept = read_card(storage, storage.generator_card_path(identity))
    # Cards of earlier versions lack samples with truncation.
    whole = kept is not None and [each.source for each in kept.scores] == [each.source for each in scores]
    if kept is not None and whole and (kept.training, kept.sha256) == (training, sha256):
        return kept
    facts = dataset_facts(training.dataset)
    seconds = {stage: kept.seconds for stage, kept in done.items()} | {"scores": time.monotonic() - started}
    card = GeneratorCard(
        training=training,
        title=facts.title,
        class_names=dataset.class_names,
        train_images=len(dataset.train_images),
        test_images=len(dataset.test_images),
        classifier_accuracies=accuracies,
        scores=scores,
        seconds=seconds,
        device=device_name(device),
        versions=package_versions(),
        parameters=training.mapping_settings.parameter_count + training.synthesis_settings.parameter_count,
        sha256=sha256,
    )
    write_card(storage, storage.generator_card_path(identity), card)
    return card


def _controls(final: Stage) -> tuple[str, ...]:
    """Generators that the result is to be compared with."""
    return ("autoencoder", RANDOM) if final == "adversarial" else (RANDOM,)


class _Source(NamedTuple):
    """Images that are scored."""

    name: str
    """in the card"""
    of: str
    """the stage whose generator makes them, `RANDOM` or `REAL`"""
    truncation: float = 1.0


def _sources(training: GeneratorTraining, final: Stage) -> list[_Source]:
    """What is scored: the result first, the same with truncation, then what it is to be compared with."""
    psi = training.score_truncation
    truncated = [] if psi == 1 else [_Source(f"{final} at truncation {psi:g}", final, psi)]
    return [_Source(final, final), *truncated, *(_Source(each, each) for each in (*_controls(final), REAL))]


def _scored(
    setting: Setting,
    storage: Storage,
    done: Mapping[Stage, Checkpoint],
    scorer: Classifier,
    source: _Source,
    on_scored: OnScored,
) -> GeneratorScores:
    """The scores of one source, and a picture of its images, which are kept."""
    identity = setting.training.stored_id
    picture = storage.generator_samples_path(identity, source.name)
    if source.of == REAL:
        storage.write_bytes(picture, real_grid(setting))
        scores = score_real(setting, scorer, source.name)
    else:
        weights = _weights_of(setting, done, source.of)
        storage.write_bytes(picture, sample_grid(setting, weights, source.truncation))
        scores = score_weights(setting, scorer, weights, source.name, source.truncation)
    on_scored(scores)
    return scores


def _weights_of(setting: Setting, done: Mapping[Stage, Checkpoint], source: str) -> Tensors:
    if source == RANDOM:
        return with_average_codes(setting, new_weights(setting))
    return trained_weights(setting, done, "adversarial" if source == "adversarial" else "autoencoder")


def _write_generator(
    setting: Setting, storage: Storage, to: str, weights: Tensors, with_encoder: Mapping[str, Tensor]
) -> str:
    """Write a generator, with the encoder of a stage's tensors, as a pair of files; returns their SHA-256."""
    training = setting.training
    encoder = {f"{ENCODER}{name}": value for name, value in of_prefix("encoder", with_encoder).items()}
    arrays = {name: value.detach().float().cpu().contiguous().numpy() for name, value in (weights | encoder).items()}
    path = Path(to)
    with tempfile.TemporaryDirectory() as folder:
        pair = write_trained(
            Path(folder) / path.name,
            mapping=training.mapping_settings,
            synthesis=training.synthesis_settings,
            encoder=EncoderSettings(
                width=training.feature_width,
                depth=standard_depth(training.resolution),
                mean=setting.dataset.mean,
                std=setting.dataset.std,
            ),
            weights=arrays,
            origin=TrainingOrigin(id=training.stored_id, dataset=dataset_facts(training.dataset).title),
        )
        # The description last: it is what says that the weights are whole.
        storage.upload(pair.weights, str(path.with_suffix(WEIGHTS)))
        storage.upload(pair.description, str(path.with_suffix(DESCRIPTION)))
    return pair.sha256
