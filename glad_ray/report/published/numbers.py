"""Published numbers, and what print says of each: `published.csv`, and `published_successors.csv` for later methods.

A line has where a number is printed and what it is of. What its columns have no place for stands in its note, and is
read from there: whitening, augmentation, kinds of labels, how many images a stored one is decoded to.
"""

import csv
import functools
import importlib.resources
import re
from dataclasses import dataclass

from glad_ray.report.tables.accuracy import Score
from glad_ray.spec import DSA, Network, Regime, WholeDataset
from glad_ray.spec.networks.convnet import standard_depth

MEAN_OF_UNSEEN = "mean of 4 unseen"
NOT_STATED = "not stated"
_FILES = ("published.csv", "published_successors.csv")
_WITHOUT_AUGMENTATION = "without augmentation"
_WITH_AUGMENTATION = "with DSA"
_WHITENED = "ZCA whitening"
# Their code whitens where it is asked to, and print does not say for which numbers on CIFAR it was.
_MAY_WHITEN = ("mtt", "tesla", "ftd", "datm")
_FORMED = ("idc", "ncfm")
"""algorithms whose stored images are each decoded to several"""
_MODIFIED_RESNET_PIXELS = 64
"""up to here the ResNet18 of RDED has the stem of ours"""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published number."""

    source: str
    table: str
    dataset: str
    resolution: int
    ipc: int | None
    """None of the whole dataset, and where it is not stated"""
    algorithm: str
    parameterisation: str
    """pixel, latent, real images or other"""
    generator: str
    layer: str
    """empty without latents, and where it is not stated"""
    network: str
    """a network's key, `mean of 4 unseen`, `not stated`, or what print calls a network that there is not here"""
    score: Score
    """its deviation is None where none is printed"""
    note: str

    @property
    def paper_protocol(self) -> bool:
        """Whether the step was chosen on the test set, as GLaD's code does."""
        return self.source.startswith("GLaD")

    @property
    def whitening(self) -> str | None:
        """Of its images: zca or none; None where it is not stated."""
        if _WHITENED in self.note:
            return "zca"
        may_be = self.algorithm in _MAY_WHITEN and self.dataset.startswith("cifar") and not self.paper_protocol
        return None if may_be else "none"

    @property
    def augmentation(self) -> str | None:
        """DSA operations of distillation and training, where it is one of the paper's algorithms; None where it is not
        stated.
        """
        if _WITHOUT_AUGMENTATION in self.note:
            return ""
        stated = self.algorithm != "dc" or self.paper_protocol or self.of_schedule or _WITH_AUGMENTATION in self.note
        return DSA if stated else None

    @property
    def regime(self) -> Regime | None:
        """How networks were taught; None where it is not stated."""
        if self.algorithm == "rded":
            return "teacher"
        if self.algorithm == "datm":
            return "fixed-soft"
        return None if "use of soft labels" in self.note else "hard"

    @property
    def formation(self) -> int | None:
        """Pieces along a side of a stored image, each of which is a training image; None where it is not stated."""
        stated = re.search(r"multi-formation factor (\d+)", self.note)
        if stated:
            return int(stated[1])
        return None if self.algorithm in _FORMED and "no multi-formation" not in self.note else 1

    @property
    def of_pixels(self) -> bool:
        """Whether pixels were optimised, be they those of images that are decoded to several."""
        return self.parameterisation == "pixel" or (self.parameterisation == "other" and self.algorithm in _FORMED)

    @property
    def of_schedule(self) -> bool:
        """Whether latents went from layer to layer of a generator, as H-GLaD's (H-PD's) do."""
        return self.source.startswith("H-GLaD")

    @property
    def whole(self) -> bool:
        """Whether it is of the whole dataset, which has no images per class to state."""
        return self.algorithm == WholeDataset.printed_as

    def may_have(self, ipc: int | None) -> bool:
        """Whether it is of so many images per class, or may be for all that is stated."""
        if self.ipc is None and not self.whole:
            return ipc in _stated_ipcs(self.source)
        return self.ipc == ipc


@functools.cache
def published_numbers() -> tuple[Published, ...]:
    """All of both files, in their order."""
    folder = importlib.resources.files("glad_ray.report.published")
    return tuple(
        Published(
            source=line["source"],
            table=line["table"],
            dataset=line["dataset"],
            resolution=int(line["resolution"]),
            ipc=int(line["ipc"]) if line["ipc"] else None,
            algorithm=line["algorithm"],
            parameterisation=line["parameterisation"],
            generator=line["generator"],
            layer=line["layer"],
            network=_network(line),
            score=Score(
                mean=float(line["accuracy_percent"]) / 100,
                std=float(line["std_percent"]) / 100 if line["std_percent"] else None,
            ),
            note=line["note"],
        )
        for file in _FILES
        for line in csv.DictReader((folder / file).read_text("utf-8").splitlines())
    )


def _network(line: dict[str, str]) -> str:
    """The key of a network where it is one of ours, else what print calls it."""
    printed, pixels = line["network"], int(line["resolution"])
    if not line["source"].startswith("RDED"):
        return printed
    # All of RDED's have batch norm.
    depth = re.fullmatch(r"convnet depth (\d+)", printed)
    if depth:
        deep = None if int(depth[1]) == standard_depth(pixels) else int(depth[1])
        return Network(depth=deep, norm="batchnorm").key
    if printed.startswith("resnet18") and pixels <= _MODIFIED_RESNET_PIXELS:
        return Network(name="resnet18", norm="batchnorm").key
    return f"{printed}, batch norm" if printed == "resnet18" else printed


@functools.cache
def _stated_ipcs(source: str) -> frozenset[int | None]:
    """The images per class that a source states anywhere."""
    return frozenset(of.ipc for of in published_numbers() if of.source == source and of.ipc is not None)
