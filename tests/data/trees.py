"""Folders of small image files, as ImageNet, Tiny ImageNet and users have them."""

import io

import numpy as np
from PIL import Image

from glad_ray.spec.datasets.imagenet import IMAGENET_CLASSES


def noise(size, seed=0, grey=False):
    """A picture that no other seed gives; size is width and height."""
    width, height = size
    shape = (height, width) if grey else (height, width, 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def encoded(picture, form="PNG"):
    """The bytes of its file."""
    buffer = io.BytesIO()
    picture.save(buffer, form)
    return buffer.getvalue()


def write_classes(root, splits, size=(12, 9), form="PNG"):
    """By split, folder names with their numbers of images."""
    seed = 0
    for split, classes in splits.items():
        for name, count in classes.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                seed += 1
                (folder / f"{name.partition('/')[0]}_{number}.{form.lower()}").write_bytes(
                    encoded(noise(size, seed), form)
                )


def wnids(facts):
    """The folders of a dataset's classes, in their order."""
    return [IMAGENET_CLASSES[index].wnid for index in facts.imagenet_indices]
