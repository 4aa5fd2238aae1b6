"""The synthetic set: what a run makes, with everything needed to use it without this package.

A safetensors file holds the tensors; its metadata says in JSON what they mean (classes, normalisation, the run).
"""

import io
import json
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from glad_ray.errors import DataError, UserError
from glad_ray.spec.images.whitening import Whitening

FORMAT = "glad-ray synthetic set 1"
WHITENED_FORMAT = "glad-ray synthetic set 2"
"""of whitened sets, so that versions that do not know of whitening refuse them"""
_MARGIN = 2  # pixels between the tiles of a grid


@dataclass(frozen=True, kw_only=True)
class SyntheticSet:
    """Synthetic images with their labels, and how they came about."""

    images: Float[Tensor, "n c h w"]
    """as networks see them, not clipped: (x - mean) / std per channel for x in [0, 1], or x whitened"""
    labels: Int64[Tensor, " n"]
    soft_labels: Float[Tensor, "n k"] | None = None
    """class probabilities that are part of the set, if it has any"""
    latents: dict[str, Tensor]
    """what was optimised: pixels, w, or f and w"""
    step_size: float | None
    """the student's learned step size (trajectory matching)"""
    step: int
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    whitening: Whitening = "none"
    """zca: the images are whitened, and not normalised with mean and std"""
    pictures: UInt8[Tensor, "n c h w"] | None = None
    """of a whitened set, its images as 8-bit pixels that are not whitened; None where they are not known"""
    run: str
    """the run's record as JSON"""
    stored_images: Float[Tensor, "k c h w"] | None = None
    """of a set whose images were cut out of others, in order of classes: those, as networks see them"""

    def unit_images(self) -> Float[Tensor, "n c h w"]:
        """The images in [0, 1], clipped, and not whitened; of a whitened set rounded to 8 bits.

        Raises `UserError` if the set is whitened and has no pictures.
        """
        if self.whitening != "none":
            if self.pictures is None:
                raise UserError("The set is whitened and has no pictures: its dataset is needed to make them.")
            return self.pictures.cpu().float() / 255
        mean = torch.tensor(self.mean).view(1, -1, 1, 1)
        std = torch.tensor(self.std).view(1, -1, 1, 1)
        return (self.images.cpu() * std + mean).clamp(0, 1)

    def as_stored(self) -> "SyntheticSet":
        """A set of the images that the images were cut out of; the set itself where there are none."""
        if self.stored_images is None:
            return self
        classes = len(self.class_names)
        labels = torch.arange(classes).repeat_interleave(len(self.stored_images) // classes)
        return replace(self, images=self.stored_images, labels=labels, soft_labels=None, stored_images=None)

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        tensors = {"images": self.images, "labels": self.labels}
        if self.soft_labels is not None:
            tensors["soft_labels"] = self.soft_labels
        if self.pictures is not None:
            tensors["pictures"] = self.pictures
        if self.stored_images is not None:
            tensors["stored_images"] = self.stored_images
        tensors |= {f"latents/{name}": value for name, value in self.latents.items()}
        metadata = {
            "format": FORMAT if self.whitening == "none" else WHITENED_FORMAT,
            "step": str(self.step),
            "class_names": json.dumps(self.class_names),
            "normalisation": json.dumps({"mean": self.mean, "std": self.std}),
            "run": self.run,
        }
        if self.whitening != "none":
            metadata["whitening"] = self.whitening
        if self.step_size is not None:
            metadata["step_size"] = repr(self.step_size)
        return _ordered(save({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, metadata))

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> "SyntheticSet":
        """From a safetensors file called `name`; raises `DataError` if it is damaged or of another kind."""
        try:
            tensors = load(data)
            header = int.from_bytes(data[:8], "little")
            metadata = json.loads(data[8 : 8 + header]).get("__metadata__", {})
            whitening = metadata.get("whitening", "none")
            if (metadata.get("format"), whitening) not in ((FORMAT, "none"), (WHITENED_FORMAT, "zca")):
                raise KeyError("format")
            normalisation = json.loads(metadata["normalisation"])
            return cls(
                images=tensors["images"],
                labels=tensors["labels"],
                soft_labels=tensors.get("soft_labels"),
                latents={k.removeprefix("latents/"): v for k, v in tensors.items() if k.startswith("latents/")},
                step_size=float(metadata["step_size"]) if "step_size" in metadata else None,
                step=int(metadata["step"]),
                class_names=tuple(json.loads(metadata["class_names"])),
                mean=tuple(normalisation["mean"]),
                std=tuple(normalisation["std"]),
                whitening=whitening,
                pictures=tensors.get("pictures"),
                run=metadata["run"],
                stored_images=tensors.get("stored_images"),
            )
        except (SafetensorError, KeyError, ValueError) as error:
            raise DataError(
                f"{name} is not a whole synthetic set ({error}): distil the run again, or name the right file."
            ) from error

    def png_grid(self, columns: int = 10, scale: int = 2) -> bytes:
        """A PNG: one row a class, its first `columns` images side by side, each pixel `scale` pixels wide."""
        images = (self.unit_images() * 255).round().to(torch.uint8).numpy()
        if images.shape[1] not in (1, 3):
            raise ValueError(f"cannot draw images of {images.shape[1]} channels")
        rows = [images[(self.labels == label).numpy()][:columns] for label in range(len(self.class_names))]
        columns = max(len(row) for row in rows)
        side = images.shape[-1] * scale
        tile = side + _MARGIN
        grid = Image.new("RGB", (columns * tile + _MARGIN, len(rows) * tile + _MARGIN), "white")
        for r, row in enumerate(rows):
            for c, image in enumerate(row):
                rgb = np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0)
                tile_image = Image.fromarray(np.ascontiguousarray(rgb)).resize((side, side), Image.Resampling.NEAREST)
                grid.paste(tile_image, (_MARGIN + c * tile, _MARGIN + r * tile))
        buffer = io.BytesIO()
        grid.save(buffer, "PNG", optimize=True)
        return buffer.getvalue()


def _ordered(data: bytes) -> bytes:
    """The same safetensors file with its header in order: the library writes metadata in an order drawn at random."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[end:]
