"""Synthetic sets as the older code (GLaD and its kin) keeps them: `images_best.pt` and `labels_best.pt`.

Images are a float32 tensor and not clipped, as ours are: normalised with the dataset's mean and deviation, or whitened
where the older code was run with `--zca`, which only its user knows. Labels are int64. Neither says what made them: a
set that is read has a `ForeignSet` where ours have their run. Images that GLaD's code decoded with a generator were
normalised with constants of its own; for those its networks saw shifted images.
"""

import hashlib
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.errors import DataError
from glad_ray.exchange.folders import whole_folder
from glad_ray.exchange.torch_files import is_plain, read_tensors
from glad_ray.spec import DSA, DatasetFacts
from glad_ray.spec.foreign_set import ForeignSet
from glad_ray.spec.whitening import Whitening, check_whitening
from glad_ray.synthetic_set import SyntheticSet

IMAGES, LABELS, SOFT_LABELS = "images_best.pt", "labels_best.pt", "soft_labels_best.pt"
_SUM_TOLERANCE = 1e-3  # of probabilities, which may have been rounded


def read_image_tensors(
    images: Path,
    labels: Path,
    *,
    facts: DatasetFacts,
    soft_labels: Path | None = None,
    augmentation: str = DSA,
    whitening: Whitening = "none",
) -> SyntheticSet:
    """The synthetic set in files of tensors: images n x c x h x w (float32; normalised, or whitened), labels n (int64).

    `soft_labels`, if any, are class probabilities n x k (float32). `augmentation` is the one the set was made for, and
    is evaluated with. Raises `UserError` if images of this size cannot be whitened, `DataError` if the tensors are not
    a set of equally many images of each class of `facts`.
    """
    pixels = _read_images(images, facts)
    check_whitening(whitening, facts.channels, pixels.shape[-1])
    classes = _read_labels(labels, len(pixels), facts)
    soft = None if soft_labels is None else _read_soft_labels(soft_labels, len(pixels), facts)
    record = ForeignSet(
        dataset=facts.name,
        resolution=pixels.shape[-1],
        whitening=whitening,
        images_per_class=len(pixels) // facts.classes,
        soft_labels=soft is not None,
        augmentation=augmentation,
        sha256=_sha256(pixels, classes, *([] if soft is None else [soft])),
    )
    return SyntheticSet(
        images=pixels,
        labels=classes,
        soft_labels=soft,
        latents={},
        step_size=None,
        step=0,
        class_names=facts.class_names,
        mean=facts.mean,
        std=facts.std,
        whitening=whitening,
        run=record.model_dump_json(),
    )


def write_image_tensors(synthetic: SyntheticSet, folder: Path) -> None:
    """Write the set as files of tensors to a new folder, bit for bit; soft labels too, if it has any.

    Raises `UserError` if the folder is there and not empty, or cannot be written.
    """
    tensors = {IMAGES: synthetic.images, LABELS: synthetic.labels, SOFT_LABELS: synthetic.soft_labels}
    with whole_folder(folder) as aside:
        for name, tensor in tensors.items():
            if tensor is not None:
                # A view would be saved with all that it is a view of.
                torch.save(tensor.detach().cpu().clone(memory_format=torch.contiguous_format), aside / name)


def _read_images(path: Path, facts: DatasetFacts) -> Float[Tensor, "n c h w"]:
    images = read_tensors(path)
    if not is_plain(images, torch.float32) or images.ndim != 4:
        raise DataError(f"{path} is not a float32 tensor of images x channels x height x width: name an {IMAGES}.")
    count, channels, height, width = images.shape
    if channels != facts.channels or height != width:
        raise DataError(
            f"{path} has images of {channels} x {height} x {width} and {facts.name} has square ones with channels: "
            f"{facts.channels}; name the dataset they were made for."
        )
    if not count or not height:
        raise DataError(f"{path} has no images: name another {IMAGES}.")
    if not bool(images.isfinite().all()):
        raise DataError(f"{path} has values that are not finite: nothing can be trained on it, name another set.")
    return images.clone()


def _read_labels(path: Path, images: int, facts: DatasetFacts) -> Int64[Tensor, " n"]:
    labels = read_tensors(path)
    if not is_plain(labels, torch.int64) or labels.shape != (images,):
        raise DataError(f"{path} is not an int64 tensor of {images} labels, one an image: name the {LABELS} beside it.")
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= facts.classes:
        raise DataError(
            f"{path} has labels {lowest} to {highest} and those of {facts.name} are 0 to {facts.classes - 1}: name the "
            "dataset they were made for."
        )
    per_class = labels.bincount(minlength=facts.classes)
    if int(per_class.min()) != int(per_class.max()):
        raise DataError(
            f"{path} has {int(per_class.min())} images of one class and {int(per_class.max())} of another: a set has "
            "equally many of each."
        )
    return labels.clone()


def _read_soft_labels(path: Path, images: int, facts: DatasetFacts) -> Float[Tensor, "n k"]:
    soft = read_tensors(path)
    if not is_plain(soft, torch.float32) or soft.shape != (images, facts.classes):
        raise DataError(f"{path} is not a float32 tensor of {images} x {facts.classes} class probabilities.")
    # Written so that a value that is not a number fails too.
    if not (bool((soft >= 0).all()) and bool(((soft.sum(1) - 1).abs() <= _SUM_TOLERANCE).all())):
        raise DataError(
            f"{path} has rows that are no probabilities, at least 0 and 1 in sum: save the softmax of them."
        )
    return soft.clone()


def _sha256(*tensors: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
