"""Fashion-MNIST in the format of its four files, written small: real images of the bundled sample."""

import gzip
import struct
from functools import cache

import numpy as np

from glad_ray.data.readers.png_table import SAMPLE, read_png_table
from glad_ray.spec import dataset_facts

FACTS = dataset_facts("fashion-mnist")
NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@cache
def _sample():
    facts = dataset_facts("fashion-mnist-sample")
    return {split: read_png_table(SAMPLE, split, facts) for split in ("train", "test")}


def few_images(train=20, test=4):
    """The four arrays: `train` and `test` images of every class, shuffled."""
    arrays = []
    for split, count in (("train", train), ("test", test)):
        images, labels = _sample()[split]
        chosen = np.concatenate([np.flatnonzero(labels == label)[:count] for label in range(10)])
        chosen = np.random.default_rng(0).permutation(chosen)
        arrays += [images[chosen, 0], labels[chosen].astype(np.uint8)]
    return arrays


def idx_bytes(array, magic=None):
    """An array of bytes as an IDX file."""
    return struct.pack(f">{array.ndim + 1}I", magic or 0x800 + array.ndim, *array.shape) + array.tobytes()


def write_files(folder, arrays, gz):
    """All four files, as they are or gzipped."""
    folder.mkdir(parents=True)
    for name, array in zip(NAMES, arrays, strict=True):
        data = idx_bytes(array)
        (folder / (f"{name}.gz" if gz else name)).write_bytes(gzip.compress(data) if gz else data)
