"""Samples of a generator in training: images for given classes, and a picture of some of every class."""

import io

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from PIL import Image
from torch import Tensor

from glad_ray.generator_training.base import Setting, Tensors
from glad_ray.generator_training.weights import generated

_AT_ONCE = 64
_COLUMNS = 12
_MOST_ROWS = 20
_SCALED_UP_TO = 40
"""pixels of a side below which every pixel is drawn as two by two"""


@torch.no_grad()
def samples(
    setting: Setting, weights: Tensors, labels: Int64[Tensor, " n"], rng: torch.Generator, truncation: float = 1.0
) -> UInt8[np.ndarray, "n c h w"]:
    """An image for each class, 8 bits a channel; `labels` on the CPU; `truncation` as for `generated`."""
    z = torch.randn(len(labels), setting.training.shape.z_dim, generator=rng)
    made = [
        as_bytes(generated(setting.training, weights, part.to(setting.device), own.to(setting.device), truncation))
        for part, own in zip(z.split(_AT_ONCE), labels.split(_AT_ONCE), strict=True)
    ]
    return np.concatenate(made)


def as_bytes(images: Float[Tensor, "n c h w"]) -> UInt8[np.ndarray, "n c h w"]:
    """Images in [-1, 1] as 8-bit pixels, clipped and rounded."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu().numpy()


def sample_grid(setting: Setting, weights: Tensors, truncation: float = 1.0) -> bytes:
    """A PNG with a row of samples for each of the first classes; the same draws at every call."""
    rows = min(setting.training.classes, _MOST_ROWS)
    labels = torch.arange(rows).repeat_interleave(_COLUMNS)
    return png_grid(samples(setting, weights, labels, setting.rng("sample grid"), truncation), _COLUMNS)


def real_grid(setting: Setting) -> bytes:
    """A PNG of the same form with training images."""
    rows = min(setting.training.classes, _MOST_ROWS)
    members = setting.dataset.class_indices[:rows]
    index = np.concatenate([np.resize(own, _COLUMNS) for own in members])
    return png_grid(setting.dataset.train_images[index], _COLUMNS)


def png_grid(images: UInt8[np.ndarray, "n c h w"], columns: int) -> bytes:
    """A PNG of images side by side, `columns` in a row, grey or in colour."""
    _, channels, side, _ = images.shape
    tiled = images.reshape(-1, columns, channels, side, side).transpose(0, 3, 1, 4, 2)
    tiled = tiled.reshape(tiled.shape[0] * side, columns * side, channels)
    picture = Image.fromarray(np.ascontiguousarray(tiled[..., 0] if channels == 1 else tiled))
    if side <= _SCALED_UP_TO:
        picture = picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
