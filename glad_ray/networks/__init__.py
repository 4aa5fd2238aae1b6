"""The classifiers: the backbone that distils and the unseen networks that evaluate (section 4.1 of the paper)."""

from glad_ray.networks.activations import activation_bytes
from glad_ray.networks.batches import batch_sizes, takes_one_image
from glad_ray.networks.build import build_network, check_network, set_dropout_rng
from glad_ray.networks.ensemble import Ensemble
from glad_ray.networks.flat import (
    flat_parameters,
    flat_parameters_of_each,
    load_flat_parameters,
    move,
    split_parameters,
)
from glad_ray.networks.layers import Classifier, DrawingClassifier, MaskedClassifier, fuse
from glad_ray.networks.reference import REFERENCE_NETWORKS, build_reference_network

__all__ = [
    "REFERENCE_NETWORKS",
    "Classifier",
    "DrawingClassifier",
    "Ensemble",
    "MaskedClassifier",
    "activation_bytes",
    "batch_sizes",
    "build_network",
    "build_reference_network",
    "check_network",
    "flat_parameters",
    "flat_parameters_of_each",
    "fuse",
    "load_flat_parameters",
    "move",
    "set_dropout_rng",
    "split_parameters",
    "takes_one_image",
]
