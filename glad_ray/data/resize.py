"""Images brought to one resolution, on 8-bit values: squares padded or resized, others resized and cropped.

The same picture becomes the same pixels whatever dataset it comes with.

The resizing is torch's bilinear one, as torchvision does it to tensors. The paper's code does it after normalisation
and never rounds; here the values are rounded to 8 bits, as all real data are kept.
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8

PADDED_UP_TO = 32
"""Smaller images are padded, not resized, up to this side in pixels."""
_RESIZED_AT_ONCE = 512


def fit(images: UInt8[np.ndarray, "n c h w"], resolution: int, antialias: bool = True) -> UInt8[np.ndarray, "n c r r"]:
    """Square images at another resolution, values 0..255.

    Up to 32 pixels larger ones are made by black pixels all around (28 -> 32: two on each side; an odd one goes right
    and below), as is customary for MNIST and its kin. Any other size is resized: bilinear, rounded, and with
    antialiasing unless that is turned off.
    """
    side = images.shape[-1]
    if resolution == side:
        return images
    if side < resolution <= PADDED_UP_TO:
        before = (resolution - side) // 2
        after = resolution - side - before
        return np.pad(images, ((0, 0), (0, 0), (before, after), (before, after)))
    resized = np.empty((*images.shape[:2], resolution, resolution), np.uint8)
    for start in range(0, len(images), _RESIZED_AT_ONCE):
        chunk = slice(start, start + _RESIZED_AT_ONCE)
        resized[chunk] = _resized(images[chunk], resolution, resolution, antialias)
    return resized


def fit_picture(
    picture: UInt8[np.ndarray, "c h w"], resolution: int, antialias: bool = True
) -> UInt8[np.ndarray, "c r r"]:
    """An image of any size: a square one as by `fit`; of another the shorter side is resized to `resolution`, bilinear,
    and the middle of the longer kept.
    """
    height, width = picture.shape[1:]
    if height == width:
        return fit(picture[None], resolution, antialias)[0]
    shorter = min(height, width)
    if shorter != resolution:
        height, width = (int(resolution * side / shorter) for side in (height, width))
        picture = _resized(picture[None], height, width, antialias)[0]
    top, left = round((height - resolution) / 2), round((width - resolution) / 2)
    return picture[:, top : top + resolution, left : left + resolution]


def _resized(
    images: UInt8[np.ndarray, "n c h w"], height: int, width: int, antialias: bool
) -> UInt8[np.ndarray, "n c r s"]:
    pixels = torch.tensor(images).float()
    pixels = F.interpolate(pixels, size=(height, width), mode="bilinear", antialias=antialias)
    return pixels.round_().to(torch.uint8).numpy()
