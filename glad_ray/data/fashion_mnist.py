"""The whole of Fashion-MNIST (Xiao et al., 2017) from its four IDX files, wherever they lie."""

from pathlib import Path

from glad_ray.data.mnist import find_mnist, read_mnist
from glad_ray.spec import dataset_facts

read_fashion_mnist = read_mnist


def find_fashion_mnist(root: Path | None = None) -> Path:
    """The folder with the IDX files, under `root`, else $GLAD_RAY_DATA, else the usual places.

    Raises `UserError` that says where it looked and how to get them.
    """
    return find_mnist(dataset_facts("fashion-mnist"), root)
