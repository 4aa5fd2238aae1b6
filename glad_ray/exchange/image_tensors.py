"""Synthetic sets as the older code (GLaD and its kin) keeps them: `images_best.pt` and `labels_best.pt`.

Images are a float tensor and not clipped, as ours are: normalised with the dataset's mean and deviation, or whitened
where the older code was run with `--zca`, which only its user knows. Labels are integers, or soft labels
(`label_tensors`). Neither says what made them: a set that is read has a `ForeignSet` where ours have their run. Images
that GLaD's code decoded with a generator were normalised with constants of its own; for those its networks saw shifted
images.
"""

import hashlib
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from glad_ray.errors import DataError, UserError
from glad_ray.exchange.folders import whole_folder
from glad_ray.exchange.label_tensors import FLOATS, LabelKind, read_labels, read_probabilities
from glad_ray.exchange.torch_files import is_plain, read_tensors, told
from glad_ray.spec import DSA, DatasetFacts
from glad_ray.spec.foreign_set import ForeignSet
from glad_ray.spec.images.whitening import Whitening, check_whitening
from glad_ray.synthetic_set import SyntheticSet

IMAGES, LABELS, SOFT_LABELS = "images_best.pt", "labels_best.pt", "soft_labels_best.pt"
_IMAGES_PREFIX, _LABELS_PREFIX = "images_", "labels_"


def labels_beside(images: Path) -> Path:
    """The file of labels that older code writes beside a file of images: `labels_best.pt`, `labels_1000.pt`.

    Raises `UserError` if the name of the images is none of its names, or there is no such file.
    """
    beside = images.with_name(_LABELS_PREFIX + images.name.removeprefix(_IMAGES_PREFIX))
    if not images.name.startswith(_IMAGES_PREFIX):
        raise UserError(f"{images.name} is not named images_<...>.pt, which tells where its labels are: add --labels.")
    if images.exists() and not beside.exists():
        raise UserError(f"There is no {beside.name} beside {images}: name the labels of these images with --labels.")
    return beside


def read_image_tensors(
    images: Path,
    labels: Path,
    *,
    facts: DatasetFacts,
    label_kind: LabelKind = "hard",
    temperature: float = 1.0,
    soft_labels: Path | None = None,
    augmentation: str = DSA,
    whitening: Whitening = "none",
) -> SyntheticSet:
    """The synthetic set in files of tensors: images n x c x h x w (float, normalised or whitened), labels n (integers).

    Soft labels come in place of the labels, n x k as `label_kind` says, or beside them in `soft_labels`, as class
    probabilities n x k; see `read_labels`. `augmentation` is the one the set was made for, and is evaluated with.
    Raises `UserError` if images of this size cannot be whitened, `DataError` if the tensors are not a set of equally
    many images of each class of `facts`.
    """
    pixels = _read_images(images, facts)
    check_whitening(whitening, facts.channels, pixels.shape[-1])
    classes, soft = read_labels(labels, label_kind, len(pixels), facts, temperature=temperature)
    if soft_labels is not None:
        soft = read_probabilities(read_tensors(soft_labels), soft_labels, len(pixels), facts, logits_at=None)
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
    if not is_plain(images, *FLOATS) or images.ndim != 4:
        raise DataError(
            f"{path} holds {told(images)}; the images of a set are one float tensor of images x channels x height x "
            f"width, normalised with the dataset's mean and deviation: {_remedy(images)}."
        )
    if images.shape[1] != facts.channels or images.shape[2] != images.shape[3]:
        sides = " x ".join(map(str, images.shape[1:]))
        remedy = "name the dataset they were made for"
        if images.shape[3] == facts.channels and images.shape[1] == images.shape[2]:
            remedy = "their channels come last, so save images.permute(0, 3, 1, 2)"
        raise DataError(
            f"{path} has images of {sides} and {facts.name} has square ones with channels: {facts.channels}; {remedy}."
        )
    if not images.numel():
        raise DataError(f"{path} has no images: name another {IMAGES}.")
    pixels = images.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    if not bool(pixels.isfinite().all()):
        raise DataError(f"{path} has values that are not finite: nothing can be trained on it, name another set.")
    return pixels


def _remedy(images: object) -> str:
    """How what is no tensor of images could become one."""
    if isinstance(images, dict):
        return "save the tensor of the images alone"
    if isinstance(images, list | tuple):
        return "save them as one tensor (torch.stack, or torch.cat of batches)"
    if isinstance(images, Tensor) and not images.is_floating_point():
        return "divide values of 0 to 255 by 255, normalise them by channel, and save that"
    return f"name an {IMAGES}"


def _sha256(*tensors: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
