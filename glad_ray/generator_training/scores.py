"""Scores of images of asked-for classes, from networks that were trained here on the real ones; no download."""

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from glad_ray.data import by_index, network_inputs
from glad_ray.evaluation import accuracy, train_network
from glad_ray.generator_training.base import Setting, Tensors
from glad_ray.generator_training.distances import frechet_distance, precision_and_recall
from glad_ray.generator_training.samples import samples
from glad_ray.networks import Classifier, build_network
from glad_ray.results.generator_card import GeneratorScores
from glad_ray.spec import Evaluation, Network

_AT_ONCE = 256
_JUDGE = Network(name="convnet", width=32)
"""what is trained on samples alone"""
_JUDGE_LR = 0.01
Images = UInt8[np.ndarray, "n c h w"]


def images_per_class(setting: Setting) -> int:
    """Images of each class that scores are of: as many as are asked for, and as every class has real test images."""
    fewest = int(np.bincount(setting.dataset.test_labels, minlength=setting.training.classes).min())
    return min(setting.training.score_images_per_class, fewest)


def score_weights(
    setting: Setting, scorer: Classifier, weights: Tensors, source: str, truncation: float
) -> GeneratorScores:
    """Scores of samples of a generator."""
    labels = torch.arange(setting.training.classes).repeat_interleave(images_per_class(setting))
    made = samples(setting, weights, labels, setting.rng("scored samples"), truncation)
    return score_images(setting, scorer, made, source)


def score_real(setting: Setting, scorer: Classifier, source: str) -> GeneratorScores:
    """Scores of as many real training images, for comparison; a class with fewer has some more than once."""
    members = [np.resize(own, images_per_class(setting)) for own in setting.dataset.class_indices]
    return score_images(setting, scorer, setting.dataset.train_images[np.concatenate(members)], source)


def score_images(setting: Setting, scorer: Classifier, images: Images, source: str) -> GeneratorScores:
    """Scores of images that are sorted by class, `images_per_class` of each."""
    each, classes = images_per_class(setting), setting.training.classes
    labels = torch.arange(classes).repeat_interleave(each)
    named, features = _seen_by(scorer, images, setting)
    test, truths = setting.dataset.test_images, setting.dataset.test_labels
    real = np.concatenate([np.flatnonzero(truths == label)[:each] for label in range(classes)])
    _, real_features = _seen_by(scorer, test[real], setting)
    near = [
        precision_and_recall(made, of_class)
        for made, of_class in zip(features.split(each), real_features.split(each), strict=True)
    ]
    right = (named == labels).double().view(classes, each).mean(dim=1)
    recall = tuple(recall for _, recall in near)
    return GeneratorScores(
        source=source,
        images_per_class=each,
        as_asked=float(right.mean()),
        as_asked_by_class=tuple(right.tolist()),
        accuracy=_accuracy_after(setting, images, labels),
        precision=sum(precision for precision, _ in near) / classes,
        recall=sum(recall) / classes,
        recall_by_class=recall,
        frechet=frechet_distance(features, real_features),
    )


def accuracy_on_test_images(setting: Setting, network: torch.nn.Module) -> float:
    """Accuracy of a network on the real test images, in [0, 1]."""
    images = by_index(setting.dataset.test_images, setting.dataset, setting.device)
    return accuracy(network, images, torch.tensor(setting.dataset.test_labels, device=setting.device))


@torch.no_grad()
def _seen_by(
    scorer: Classifier, images: Images, setting: Setting
) -> tuple[Int64[Tensor, " n"], Float[Tensor, "n features"]]:
    """The classes that a network names, and its features in float64, on the CPU."""
    named, features = [], []
    for start in range(0, len(images), _AT_ONCE):
        inputs = network_inputs(images[start : start + _AT_ONCE], setting.dataset).to(setting.device)
        named.append(scorer(inputs).argmax(1).cpu())
        features.append(scorer.embed(inputs).double().cpu())
    return torch.cat(named), torch.cat(features)


def _accuracy_after(setting: Setting, images: Images, labels: Int64[Tensor, " n"]) -> float:
    """Accuracy on real test images of a network that is trained on these images alone, in [0, 1]."""
    training, rng = setting.training, setting.rng("network of samples")
    network = build_network(
        _JUDGE, channels=training.channels, resolution=training.resolution, classes=training.classes, rng=rng
    ).to(setting.device)
    recipe = Evaluation(
        networks=(_JUDGE,), epochs=training.score_epochs, augmentation=training.augmentation, ema_decay=0.0
    )
    inputs = network_inputs(images, setting.dataset).to(setting.device)
    trained = train_network(network, inputs, labels.to(setting.device), recipe, lr=_JUDGE_LR, rng=rng)
    return accuracy_on_test_images(setting, trained)
