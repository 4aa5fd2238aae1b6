"""The scores of DD-Ranking (0.2.0), which set the labels and the augmentation of an evaluation apart from the images.

Accuracies are fractions. Where this departs from DD-Ranking: the accuracies given to these functions are those of the
last step's sets, tested once at the end of training; they are not the best over epochs on the test set, and no learning
rate is searched on the test set.
"""

import math


def hard_label_recovery(real: float, synthetic: float) -> float:
    """HLR: accuracy on the whole dataset minus that on the synthetic set, both with hard labels; lower is better."""
    return real - synthetic


def improvement_over_random(synthetic: float, random: float) -> float:
    """IOR: accuracy on the synthetic set minus that on as many random real images, both with any labels, but under the
    same evaluation; higher is better.
    """
    return synthetic - random


def label_robust_score(ior: float, hlr: float, weight: float = 0.5) -> float:
    """LRS, 0 to 1, higher is better: alpha = weight IOR - (1 - weight) HLR, mapped from [-1, 1]."""
    return _from_0_to_1(weight * ior - (1 - weight) * hlr)


def augmentation_robust_score(with_augmentation: float, without_augmentation: float, weight: float = 0.5) -> float:
    """ARS, higher is better: the improvements over random with and without augmentation, mapped from [-1, 1].

    beta = weight with_augmentation + (1 - weight) without_augmentation.
    """
    return _from_0_to_1(weight * with_augmentation + (1 - weight) * without_augmentation)


def _from_0_to_1(value: float) -> float:
    """(e^value - e^-1) / (e - e^-1): 0 of -1, 1 of 1, and steeper towards 1."""
    return (math.exp(value) - math.exp(-1)) / (math.e - math.exp(-1))
