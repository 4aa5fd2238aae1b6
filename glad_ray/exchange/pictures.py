"""Synthetic images as PNG files, and what is said of them: what 8 bits leave out, and where the set comes from."""

import io
import json
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from PIL import Image

from glad_ray.errors import DataError, UserError
from glad_ray.synthetic_set import SyntheticSet

EIGHT_BIT_NOTE = (
    "8 bits a channel: values were clipped to [0, 1], multiplied by 255 and rounded; the set itself has float32 values "
    "that are not clipped"
)


WHITENED_NOTE = (
    "the set was made of whitened images (ZCA of pixels in [0, 1], with 0.1 added to the variances, fitted to the "
    "training images); here the whitening is undone, and to train on the pictures as the set was meant they have to be "
    "whitened again"
)


def png_files(synthetic: SyntheticSet) -> list[bytes]:
    """Every image as a PNG file of 8 bits a channel, grey or RGB; raises `UserError` for other channels, and
    for a whitened set that has no pictures (`with_pictures`).
    """
    channels = synthetic.images.shape[1]
    if channels not in (1, 3):
        raise UserError(f"Images of {channels} channels cannot be pictures: export them as tensors.")
    pixels = (synthetic.unit_images() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return [_png(image.squeeze(2) if channels == 1 else image) for image in pixels]


def published_record(synthetic: SyntheticSet) -> dict[str, Any]:
    """The record of the set's run without the folders of the machine that it ran on; raises `DataError`."""
    try:
        record = json.loads(synthetic.run)
    except ValueError:
        record = None
    if not isinstance(record, dict) or "dataset" not in record:
        raise DataError("The set's record of its run is damaged: distil the run again.")
    generator = record.get("generator")
    if isinstance(generator, dict) and "path" in generator:
        record["generator"] = generator | {"path": PurePath(generator["path"]).name}
    own = record.pop("own_dataset", None)
    if isinstance(own, dict) and "title" in own:
        record["dataset"] = own["title"]
    return record


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
