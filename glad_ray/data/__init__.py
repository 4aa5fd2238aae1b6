"""Real images: the bundled sample of Fashion-MNIST, the whole of it, and draws from them."""

from glad_ray.data.dataset import Dataset
from glad_ray.data.draws import (
    by_index,
    denormalise,
    draw_class_members,
    network_inputs,
    normalise,
    real_images,
    test_subset,
    unit_inputs,
)
from glad_ray.data.load import find_dataset, load_dataset

__all__ = [
    "Dataset",
    "by_index",
    "denormalise",
    "draw_class_members",
    "find_dataset",
    "load_dataset",
    "network_inputs",
    "normalise",
    "real_images",
    "test_subset",
    "unit_inputs",
]
