"""The synthetic images of a run at one of its kept steps, as a PNG that is made without PyTorch."""

import io
import json
from typing import Any

import numpy as np
from PIL import Image

from glad_ray.errors import DataError
from glad_ray.results.parquet import damaged
from glad_ray.serve.tensors import Part, read_tensors
from glad_ray.spec import Run
from glad_ray.storage import Storage

_PNG = b"\x89PNG\r\n\x1a\n"
_COLUMNS, _ROWS = 10, 100
_MARGIN = 2
_SMALL_SIDE = 64
_MOST_BYTES = 2**25
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def final_picture(storage: Storage, run: Run) -> bytes:
    """The picture that was written after a run's last step; raises `DataError` if there is none, or it is no PNG."""
    path = storage.images_path(run.run_id)
    if storage.size(path) > _MOST_BYTES:
        raise DataError(f"{path} in {storage} is too large to be shown here.")
    data = storage.read_bytes(path)
    if not data.startswith(_PNG):
        raise damaged(storage, path)
    return data


def picture_at(storage: Storage, run: Run, step: int) -> bytes:
    """A row a class with its first ten images, of the set that was kept after a step.

    Raises `DataError` if that is not there, damaged, or of images that cannot be drawn.
    """
    path = storage.set_path(run.run_id, step)
    part = read_tensors(storage, path, ("images", "labels", "pictures"))
    try:
        return _png(*_pixels(part))
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise DataError(f"{path} in {storage} has no images that can be drawn.") from error


def _pixels(part: Part) -> tuple[Pixels, np.ndarray[Any, Any]]:
    """Images of 8 bits, channels last, and their labels; a whitened set has its pictures beside its images."""
    labels = part.tensors["labels"]
    if part.metadata.get("whitening", "none") != "none":
        images = part.tensors["pictures"]
    else:
        normalisation = json.loads(part.metadata["normalisation"])
        mean, std = (np.asarray(normalisation[name], np.float32).reshape(-1, 1, 1) for name in ("mean", "std"))
        images = (np.nan_to_num(part.tensors["images"] * std + mean).clip(0, 1) * 255).round().astype(np.uint8)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.dtype != np.uint8 or len(labels) != len(images):
        raise ValueError("no images of one or three channels")
    return images.transpose(0, 2, 3, 1), labels


def _png(images: Pixels, labels: np.ndarray[Any, Any]) -> bytes:
    """The images side by side, as the picture after the last step has them."""
    rows = [images[labels == label][:_COLUMNS] for label in np.unique(labels)[:_ROWS]]
    scale = 2 if images.shape[1] <= _SMALL_SIDE else 1
    height, width = (scale * side + _MARGIN for side in images.shape[1:3])
    columns = max(len(row) for row in rows)
    grid = np.full((height * len(rows) + _MARGIN, width * columns + _MARGIN, 3), 255, np.uint8)
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            tile = image.repeat(scale, 0).repeat(scale, 1)
            top, left = r * height + _MARGIN, c * width + _MARGIN
            grid[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    buffer = io.BytesIO()
    Image.fromarray(grid).save(buffer, "PNG")
    return buffer.getvalue()
