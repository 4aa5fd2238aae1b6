"""Image files as pixels of 8 bits, in grey or colour.

As torchvision's `ImageFolder` reads them: palettes become their colours, alpha is dropped, EXIF orientation and colour
profiles are ignored. Unlike it, numbers of more than 8 bits are scaled by the range that the file states.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image, ImageFile

from glad_ray.errors import DataError
from glad_ray.spec.datasets.pictures import Pixels, opened, pixels_of

_LOW_BYTES: Mapping[str, str] = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}
"""Pillow keeps the high byte of each number of a colour image; read in the other byte order, it keeps the low one."""
_WHITE = 255
_FAINTEST = 4095
"""the least maximum of an image of 16 bits that uses its range: below it, 8 bits would hold 16 steps of brightness"""


def decode(content: bytes | Path, where: str, channels: int) -> UInt8[np.ndarray, "c h w"]:
    """An image file as 1 grey or 3 colour channels, 0..255; a grey image becomes colour by repetition.

    Raises `DataError`, calling the file `where`, if it is no whole image, its range is not known, or it is a colour
    image where grey is asked for.
    """
    with opened(content, where) as image:
        pixels = pixels_of(image, where)
        if channels == 1 and not pixels.grey:
            raise DataError(
                f"{where} is a colour image (mode {image.mode}), and its dataset was taken for grey by the images "
                "looked at first: make all of its images grey, or all colour."
            )
        deep = pixels.peak > _WHITE
        found = _deep(image, content, where, pixels) if deep else _eight_bits(image, pixels.grey)
    return np.broadcast_to(found, (channels, *found.shape[1:]))


def _eight_bits(image: Image.Image, grey: bool) -> UInt8[np.ndarray, "c h w"]:
    # Pillow knows no way from premultiplied grey to grey.
    whole = image.convert("LA") if image.mode == "La" else image
    return _channels_first(np.asarray(whole.convert("L" if grey else "RGB")))


def _deep(image: ImageFile.ImageFile, content: bytes | Path, where: str, pixels: Pixels) -> UInt8[np.ndarray, "c h w"]:
    """Of an image of more than 8 bits a channel."""
    if pixels.stored.startswith("LA;"):
        # Grey and alpha of two bytes each, read as if they were four channels of one.
        image.tile = [tile._replace(args="RGBA") for tile in image.tile]
        values = _of_bytes(np.asarray(image)[..., :1], np.asarray(image)[..., 1:2])
    elif pixels.grey:
        values = np.asarray(image).astype(np.uint16)
    else:
        values = _of_bytes(np.asarray(image), _low_bytes(content, where))
    largest = values.max()
    if pixels.peak > _FAINTEST >= largest > 0:
        raise DataError(
            f"{where} has 16 bits a channel and no value above {largest} of 65535, which 8 bits would show as almost "
            "black: stretch the images to the whole range, or save them with 8 bits."
        )
    if pixels.inverted:
        values = pixels.peak - values
    scaled = ((values.astype(np.uint32) * _WHITE + pixels.peak // 2) // pixels.peak).astype(np.uint8)
    if not pixels.grey and image.mode == "CMYK":
        scaled = np.asarray(Image.fromarray(scaled, "CMYK").convert("RGB"))
    return _channels_first(scaled)[: 1 if pixels.grey else 3]


def _low_bytes(content: bytes | Path, where: str) -> UInt8[np.ndarray, "h w c"]:
    with opened(content, where) as image:
        image.tile = [tile._replace(args=_in_other_order(tile.args)) for tile in image.tile]
        return np.asarray(image)


def _in_other_order(arguments: Any) -> Any:
    if isinstance(arguments, tuple):
        return (_in_other_order(str(arguments[0])), *arguments[1:])
    mode, _, order = arguments.partition(";")
    return f"{mode};{_LOW_BYTES[order]}"


def _of_bytes(high: UInt8[np.ndarray, "..."], low: UInt8[np.ndarray, "..."]) -> UInt16[np.ndarray, "..."]:
    return high.astype(np.uint16) << 8 | low


def _channels_first(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)
