"""The newest synthetic images of a trial, which may have been stopped on its way."""

import io
import json

import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load

from glad_ray.report.pictures import Picture, inline, read_picture
from glad_ray.results import SearchTrial
from glad_ray.results.parquet import damaged
from glad_ray.storage import Storage

_COLUMNS, _MARGIN, _SMALL_SIDE = 10, 2, 64


def newest_images(storage: Storage, trial: SearchTrial) -> tuple[Picture, int] | None:
    """Its images after the last step or, of one that is not distilled whole, in the newest set that was kept, and the
    step of that set; None if there is none.

    Raises `DataError` naming a set or a picture that is damaged.
    """
    run_id = trial.run.run_id
    if storage.exists(storage.images_path(run_id)):
        return read_picture(storage, storage.images_path(run_id)), trial.run.steps
    sets = [path for path in storage.list(storage.set_folder(run_id)) if path.endswith(".safetensors")]
    if not sets:
        return None
    newest = max(sets, key=storage.step_of)
    try:
        picture = inline(_grid(storage.read_bytes(newest)))
    except (SafetensorError, KeyError, ValueError, IndexError, TypeError) as error:
        raise damaged(storage, newest) from error
    return picture, storage.step_of(newest)


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
