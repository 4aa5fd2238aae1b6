"""Image grids made to travel inside a page."""

import base64
import io
import json
from dataclasses import dataclass

import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load

from glad_ray.results.parquet import damaged
from glad_ray.storage import Storage

_LARGE_BYTES = 200_000
_WIDEST = 720
_COLUMNS, _MARGIN, _SMALL_SIDE = 10, 2, 64


@dataclass(frozen=True)
class Picture:
    """A picture as a `data:` URI, and its size in pixels."""

    uri: str
    width: int
    height: int


def inline(png: bytes) -> Picture:
    """A PNG as it is, or, where it would weigh a page down, a smaller one in a format with loss.

    Raises whatever Pillow raises for one that is damaged.
    """
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        # Loading alone passes over checksums and a missing end.
        image.verify()
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        image.load()
        if len(png) <= _LARGE_BYTES:
            return Picture(_uri("png", png), image.width, image.height)
        small = image.convert("RGB")
        small.thumbnail((_WIDEST, _WIDEST * image.height // image.width), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=88)
    return Picture(_uri("webp", buffer.getvalue()), small.width, small.height)


def read_picture(storage: Storage, path: str) -> Picture:
    """A PNG on storage, see `inline`; raises `DataError` if it is damaged."""
    data = storage.read_bytes(path)
    try:
        return inline(data)
    except Exception as error:  # a damaged file breaks the reader in any way
        raise damaged(storage, path) from error


def read_set_picture(storage: Storage, path: str) -> Picture:
    """The images of a synthetic set on storage, a row per class; raises `DataError` if it is damaged."""
    data = storage.read_bytes(path)
    try:
        return inline(_grid(data))
    except (SafetensorError, KeyError, ValueError, IndexError, TypeError) as error:
        raise damaged(storage, path) from error


def _grid(data: bytes) -> bytes:
    """A synthetic set's images as a PNG, a row per class, by what its file says of their normalisation."""
    tensors = load(data)
    header = int.from_bytes(data[:8], "little")
    normalisation = json.loads(json.loads(data[8 : 8 + header])["__metadata__"]["normalisation"])
    mean, std = (np.array(normalisation[name]).reshape(-1, 1, 1) for name in ("mean", "std"))
    # A whitened set has its images as pixels too.
    images = tensors.get("pictures")
    if images is None:
        images = np.round(255 * np.clip(tensors["images"] * std + mean, 0, 1)).astype(np.uint8)
    labels = tensors["labels"]
    rows = [images[labels == label][:_COLUMNS] for label in np.unique(labels)]
    side = images.shape[-1] * (2 if images.shape[-1] < _SMALL_SIDE else 1)
    tile = side + _MARGIN
    sheet = Image.new("RGB", (max(map(len, rows)) * tile + _MARGIN, len(rows) * tile + _MARGIN), "white")
    for row, of_class in enumerate(rows):
        for column, image in enumerate(of_class):
            rgb = np.ascontiguousarray(np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0))
            drawn = Image.fromarray(rgb).resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(drawn, (_MARGIN + column * tile, _MARGIN + row * tile))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
