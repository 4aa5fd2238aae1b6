"""Labels of synthetic sets as the older code keeps them: classes, or soft labels as DATM and TESLA learn them.

A file does not say which of them it holds, and nothing is guessed: whoever reads it names the kind.
"""

import math
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.errors import DataError, UserError
from glad_ray.exchange.torch_files import is_plain, read_tensors, told
from glad_ray.spec import DatasetFacts

FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)

LabelKind = Literal["hard", "probabilities", "logits"]
"""hard: a class for each image; probabilities: a row for each image, with the probability of each class; logits: the
same before the softmax"""

_SUM_TOLERANCE = {torch.bfloat16: 1e-2}
_SUM_TOLERANCE_OF_OTHERS = 1e-3
"""of probabilities, which may have been rounded"""


def read_labels(
    path: Path, kind: LabelKind, images: int, facts: DatasetFacts, *, temperature: float = 1.0
) -> tuple[Int64[Tensor, " n"], Float[Tensor, "n k"] | None]:
    """The classes of a set's images, and their soft labels if the file holds such: then the classes are the most
    probable ones.

    Probabilities are softmax(logits / `temperature`). Raises `DataError` if the file holds labels of another kind, or
    of other images or classes; `UserError` for a temperature that is not above 0.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise UserError(
            f"The temperature is {temperature:g}: use a finite number above 0; 1 leaves logits as they are."
        )
    labels = read_tensors(path)
    if kind == "hard":
        return _classes(labels, path, images, facts), None
    soft = read_probabilities(labels, path, images, facts, logits_at=temperature if kind == "logits" else None)
    if images % facts.classes:
        raise DataError(
            f"{path} has {images} labels and {facts.name} has {facts.classes} classes: a set has equally many images "
            "of each."
        )
    return soft.argmax(1), soft


def read_probabilities(
    soft: object, path: Path, images: int, facts: DatasetFacts, *, logits_at: float | None
) -> Float[Tensor, "n k"]:
    """What was read from `path` as class probabilities, at least 0 and 1 in sum: given as such, or where `logits_at` is
    a temperature, as logits. Raises `DataError`.
    """
    kind = "class probabilities" if logits_at is None else "logits"
    if not is_plain(soft, *FLOATS) or soft.shape != (images, facts.classes):
        hint = ""
        if is_plain(soft, *_INTEGERS) and soft.shape == (images,):
            hint = " It looks like hard labels: name that kind (--label-kind hard)."
        raise DataError(
            f"{path} holds {told(soft)}, not {kind}: those are a float tensor of {images} x {facts.classes}.{hint}"
        )
    rows = soft.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    if not bool(rows.isfinite().all()):
        raise DataError(f"{path} has values that are not finite: nothing can be trained on them, name other labels.")
    if _are_probabilities(soft):
        if logits_at is None:
            return rows
        raise DataError(
            f"{path} holds no logits: its rows are class probabilities, at least 0 and 1 in sum; name that kind "
            "(--label-kind probabilities)."
        )
    if logits_at is None:
        raise DataError(
            f"{path} has rows that are no probabilities, at least 0 and 1 in sum: if they are logits, name that kind "
            "(--label-kind logits), else save the softmax of them."
        )
    return (rows / logits_at).softmax(1)


def _classes(labels: object, path: Path, images: int, facts: DatasetFacts) -> Int64[Tensor, " n"]:
    if not is_plain(labels, *_INTEGERS) or labels.shape != (images,):
        hint = f"name the labels of these images, an integer tensor of {images}, one an image."
        if is_plain(labels, *FLOATS) and labels.shape == (images, facts.classes):
            kind = "probabilities" if _are_probabilities(labels) else "logits"
            hint = f"they look like {kind}; if they are, name that kind (--label-kind {kind})."
        raise DataError(f"{path} holds {told(labels)}, not hard labels: {hint}")
    classes = labels.to(torch.int64, copy=True, memory_format=torch.contiguous_format)
    lowest, highest = int(classes.min()), int(classes.max())
    if lowest < 0 or highest >= facts.classes:
        raise DataError(
            f"{path} has labels {lowest} to {highest} and those of {facts.name} are 0 to {facts.classes - 1}: name the "
            "dataset they were made for."
        )
    per_class = classes.bincount(minlength=facts.classes)
    if int(per_class.min()) != int(per_class.max()):
        raise DataError(
            f"{path} has {int(per_class.min())} images of one class and {int(per_class.max())} of another: a set has "
            "equally many of each."
        )
    return classes


def _are_probabilities(rows: Tensor) -> bool:
    """Whether all are at least 0 and every row's sum is 1, but for rounding."""
    tolerance = _SUM_TOLERANCE.get(rows.dtype, _SUM_TOLERANCE_OF_OTHERS)
    # A value that is not a number fails both comparisons.
    return bool((rows >= 0).all()) and bool(((rows.double().sum(1) - 1).abs() <= tolerance).all())
