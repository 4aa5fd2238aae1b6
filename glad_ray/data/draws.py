"""Draws from a dataset in memory, and the step from 8-bit images to what networks see.

Every draw is made on the CPU from the `rng` given; images leave as float32, normalised, or whitened where the dataset
is.
"""

import functools
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from glad_ray.data.dataset import Dataset, Split
from glad_ray.errors import UserError
from glad_ray.machine import upload

_CPU = torch.device("cpu")
KEPT_ON_GPU_BYTES = 2**30


def normalise(
    images: UInt8[Tensor, "n c h w"] | UInt8[np.ndarray, "n c h w"], mean: tuple[float, ...], std: tuple[float, ...]
) -> Float[Tensor, "n c h w"]:
    """8-bit images as (x / 255 - mean) / std per channel, float32, on the device they are on."""
    # A copy of an array: arrays shared between processes are read-only, and tensors cannot be.
    pixels = images if isinstance(images, Tensor) else torch.tensor(images)
    assert pixels.dtype == torch.uint8, "normalised once only"
    return pixels.float().div_(255).sub_(_per_channel(mean, pixels.device)).div_(_per_channel(std, pixels.device))


def network_inputs(
    images: UInt8[Tensor, "n c h w"] | UInt8[np.ndarray, "n c h w"], dataset: Dataset
) -> Float[Tensor, "n c h w"]:
    """8-bit images of a dataset as networks see them: whitened if the dataset is, else normalised; float32, on the
    device they are on.
    """
    if dataset.whitening is None:
        return normalise(images, dataset.mean, dataset.std)
    pixels = images if isinstance(images, Tensor) else torch.tensor(images)
    assert pixels.dtype == torch.uint8, "whitened once only"
    return dataset.whitening.whiten(pixels.float().div_(255))


def unit_inputs(images: Float[Tensor, "n c h w"], dataset: Dataset) -> Float[Tensor, "n c h w"]:
    """Images with values in [0, 1] as networks see those of a dataset: whitened if it is, else normalised."""
    if dataset.whitening is None:
        return (images - _per_channel(dataset.mean, images.device)) / _per_channel(dataset.std, images.device)
    return dataset.whitening.whiten(images)


def denormalise(
    images: Float[Tensor, "n c h w"], mean: tuple[float, ...], std: tuple[float, ...]
) -> Float[Tensor, "n c h w"]:
    """Normalised images as values in [0, 1], clipped."""
    return (images * _per_channel(std, images.device) + _per_channel(mean, images.device)).clamp(0, 1)


def by_index(
    images: UInt8[np.ndarray, "n c h w"], dataset: Dataset, device: torch.device = _CPU
) -> Callable[[Int64[Tensor, " b"]], Float[Tensor, "b c h w"]]:
    """Images of a split as networks see them, on `device`, by their indices, which are on the CPU.

    They stay where they are, which processes may share, and only those asked for are copied; on a GPU they are kept as
    bytes if there is no more than a GiB of them.
    """
    kept = torch.tensor(images, device=device) if device.type != "cpu" and images.nbytes <= KEPT_ON_GPU_BYTES else None

    def batch(index: Int64[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        # Moved as bytes: a quarter of what the floats take.
        chosen = (
            upload(torch.from_numpy(images[index.numpy()]), device) if kept is None else kept[upload(index, device)]
        )
        return network_inputs(chosen, dataset)

    return batch


def draw_class_members(dataset: Dataset, images_per_class: int, rng: torch.Generator) -> list[Int64[Tensor, " m"]]:
    """Per class, in their order, indices of training images of it.

    Each class gives the first `images_per_class` of a random permutation of its images: none twice, and all of them
    where it has fewer, as DC and DM do it.
    """
    return [
        torch.from_numpy(members)[torch.randperm(len(members), generator=rng)[:images_per_class]]
        for members in dataset.class_indices
    ]


def real_images(dataset: Dataset, labels: Int64[Tensor, " n"], rng: torch.Generator) -> Float[Tensor, "n c h w"]:
    """A training image of each label as networks see it, drawn independently: one image may be drawn twice, as in the
    paper's code.
    """
    index = []
    for label in labels.tolist():
        members = dataset.class_indices[label]
        index.append(members[int(torch.randint(len(members), (), generator=rng))])
    return network_inputs(torch.from_numpy(dataset.train_images[np.array(index)]), dataset)


def test_subset(dataset: Dataset, count: int | None) -> Split:
    """The first `count` test images, evenly over classes, and their labels; None: all, and no copy.

    What does not divide evenly goes to the first classes. Raises `UserError` if the test set has not that many.
    """
    labels = dataset.test_labels
    if count is None:
        return Split(dataset.test_images, labels)
    classes = len(dataset.class_names)
    members = [np.flatnonzero(labels == label) for label in range(classes)]
    shares = [count // classes + (label < count % classes) for label in range(classes)]
    if any(share > len(own) for share, own in zip(shares, members, strict=True)):
        most = classes * min(len(own) for own in members)
        raise UserError(f"{count} test images were asked for and {dataset.name} has {most}: ask for {most} or fewer.")
    index = np.concatenate([own[:share] for share, own in zip(shares, members, strict=True)])
    return Split(dataset.test_images[index], labels[index])


test_subset.__test__ = False  # type: ignore[attr-defined]  # its name is not that of a test


@functools.lru_cache(maxsize=16)
def _per_channel(values: tuple[float, ...], device: torch.device) -> Float[Tensor, "1 c 1 1"]:
    return torch.tensor(values, device=device).view(1, -1, 1, 1)
