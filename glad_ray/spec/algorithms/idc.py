"""Gradient matching along the training of networks on real images: IDC (Kim et al., ICML 2022), and DREAM (Liu et al.,
ICCV 2023), which chooses its real images by clusters.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field
from typing_extensions import override

from glad_ray.spec.algorithms.base import (
    FORWARD,
    INPUT_GRADIENT,
    SECOND_ORDER,
    TRAINING,
    ChoosingRealImages,
    FigureStyle,
    LearningRates,
)
from glad_ray.spec.datasets import DATASETS
from glad_ray.spec.experts import Count, Positive
from glad_ray.spec.images.augmentation import SEQUENTIAL, Augmentation, Mixing

Distance = Literal["mse", "l1", "l1_mean", "cos"]
_OTHERS = "cifar10"


class Released(NamedTuple):
    """What the authors' code sets for a dataset."""

    distance: Distance
    rate: float
    """of pixels in [0, 1] at ten images per class; in proportion to these elsewhere"""
    network_images: int
    iterations: int = 2000
    network_epochs: int = 0
    network_mixing: float = 0.5
    """probability of CutMix"""

    def fields(self, variance: float, images_per_class: int) -> dict[str, Any]:
        """The fields of the algorithm. Pixels are normalised here: what moves them as far as a rate of the code does is
        larger by 1 / `variance`, the mean over channels of the dataset's.
        """
        return {
            "distance": self.distance,
            "learning_rates": _rates(self.rate / variance * images_per_class / 10),
            "network_images": self.network_images,
            "iterations": self.iterations,
            "network_epochs": self.network_epochs,
            "network_mixing": Mixing(probability=self.network_mixing),
        }


def _rates(pixels: float) -> LearningRates:
    """As with the other algorithms: of F that of pixels, and of style codes a tenth."""
    rounded = float(f"{pixels:.3g}")
    return LearningRates(pixels=rounded, f=rounded, w=rounded / 10)


_IMAGENET = Released("l1", 3e-3, 500, iterations=500, network_epochs=10, network_mixing=1.0)
RELEASED: Mapping[str, Released] = {
    "cifar10": Released("mse", 5e-3, 2000),
    "cifar100": Released("mse", 5e-3, 2000),
    "svhn": Released("mse", 5e-3, 500),
    "mnist": Released("l1", 1e-4, 500),
    # The code's rate for 32 pixels, at 28.
    "fashion-mnist": Released("l1", 1e-4 * (28 / 32) ** 2, 500),
    "fashion-mnist-sample": Released("l1", 1e-4 * (28 / 32) ** 2, 500),
}
"""by dataset; those of ImageNet's subsets are `_IMAGENET`, and others have those of CIFAR-10"""


def released(dataset: str, images_per_class: int) -> dict[str, Any]:
    """The fields that the authors' code sets for a dataset."""
    facts = DATASETS.get(dataset, DATASETS[_OTHERS])
    variance = sum(std**2 for std in facts.std) / len(facts.std)
    of = RELEASED.get(dataset, _IMAGENET if facts.imagenet_indices else RELEASED[_OTHERS])
    return of.fields(variance, images_per_class)


class StepPlace(NamedTuple):
    """Where a step stands."""

    network: int
    """number of the network, from 0"""
    iteration: int
    """over all networks, from 0: of the network's training"""
    first_of_network: bool
    first_of_iteration: bool


class MatchingAlongTraining(ChoosingRealImages):
    """Gradients of the loss on synthetic images should be those on real ones, class by class, along the training of
    networks on real images. Each synthetic image holds four training images (`Run.formation`), unless a run says else.

    What depends on dataset and images per class is, where a run does not set it, what the authors' code sets
    (`RELEASED`). The defaults that stand here are those of CIFAR-10 at one image per class.
    """

    implementation: ClassVar[str] = "glad_ray.algorithms.idc:RealTrainingMatching"
    usual_augmentation: ClassVar[str] = SEQUENTIAL + "color_crop_cutout"
    usual_formation: ClassVar[int] = 2

    iterations: Count = 2000
    """networks drawn"""
    inner_steps: Count = 100
    """times that each network's gradients are matched; between two of them it is trained on real images"""
    classes: Literal["together", "in turn"] = "together"
    """together: a step moves the images of all classes; in turn: it moves those of one class by its gradient, while
    those of the others go on along their momenta, as the released code does it"""
    real_batch_size: Count = 64
    """real images per class and step; also those of a mini-batch of the network's training, of any class"""
    synthetic_batch_size: Count = 128
    """training images per class and step that gradients are taken of: by chance so many where there are more"""
    matched: Literal["gradients", "features", "both"] = "gradients"
    """gradients of parameters; mean features before the last layer; or the sum of both distances, as DREAM+ has it"""
    distance: Distance = "mse"
    """of gradients: mse, the sum of squared differences; l1, of absolute ones; l1_mean, the mean over each row of a
    weight, summed; cos, one cosine for each row, subtracted from 1 and summed. Rows are output channels"""
    vectors: bool = False
    """compare gradients of biases and norms too"""
    linear: bool = False
    """compare gradients of linear layers too; those of convolutions always are"""
    network_lr: Positive = 0.01
    """of the networks' training, by SGD"""
    network_momentum: float = Field(default=0.9, ge=0, lt=1)
    """of the networks' training"""
    network_weight_decay: float = Field(default=5e-4, ge=0)
    """of the networks' training"""
    network_images: Count = 2000
    """real images that a network is trained on between two steps, in whole mini-batches"""
    network_epochs: int = Field(default=0, ge=0)
    """epochs that each network is trained on the real images before it is matched"""
    network_augmentation: Augmentation = SEQUENTIAL + "color_crop"
    """of the networks' training"""
    network_mixing: Mixing | None = Mixing(probability=0.5)
    """of the images of a mini-batch in the networks' training; None: they are not mixed"""
    learning_rates: LearningRates = _rates(5e-4 / 0.0405)
    """of what is optimised"""

    def place(self, step: int, classes: int) -> StepPlace:
        """Where a step stands, counted from 0."""
        iteration, rest = divmod(step, self._of_iteration(classes))
        network, inner = divmod(iteration, self.inner_steps)
        return StepPlace(network, iteration, inner == rest == 0, rest == 0)

    def _of_iteration(self, classes: int) -> int:
        return classes if self.classes == "in turn" else 1

    @override
    def steps(self, images_per_class: int, classes: int) -> int:
        return self.iterations * self.inner_steps * self._of_iteration(classes)

    @override
    def class_of_step(self, step: int, classes: int) -> int | None:
        return step % classes if self.classes == "in turn" else None

    @override
    def clips(self, step: int, classes: int) -> bool:
        return self.place(step, classes).first_of_network

    @override
    def implied_by(self, dataset: str, images_per_class: int) -> Mapping[str, Any]:
        return released(dataset, images_per_class)

    @override
    def smallest_batch(self, images_per_class: int, classes: int) -> int:
        # Those of one class.
        return min(images_per_class, self.synthetic_batch_size, self.real_batch_size)

    @override
    def network_passes(self, *, real: int, synthetic: int, images_per_class: int) -> float:
        features = 0 if self.matched == "gradients" else real * FORWARD + synthetic * INPUT_GRADIENT
        gradients = 0 if self.matched == "features" else real * TRAINING + synthetic * SECOND_ORDER
        return features + gradients

    @override
    def further_passes(self, *, classes: int, train_images: int) -> float:
        trained = self.network_images * (self.inner_steps - 1) + self.network_epochs * train_images
        choosing = super().further_passes(classes=classes, train_images=train_images)
        return (trained / self.inner_steps * TRAINING + choosing) / self._of_iteration(classes)

    @override
    def small(self) -> Self:
        return self.replace(
            iterations=1,
            inner_steps=2,
            classes="together",
            real_batch_size=8,
            network_images=16,
            network_epochs=min(self.network_epochs, 1),
        )


class IDC(MatchingAlongTraining):
    """Kim et al., "Dataset Condensation via Efficient Synthetic-Data Parameterization"."""

    name: Literal["idc"] = "idc"
    title: ClassVar[str] = "IDC, gradients along training on real images"
    figure_style: ClassVar[FigureStyle] = FigureStyle("#5e43a0", "#d67bfd", marker="v")


class DREAM(MatchingAlongTraining):
    """IDC whose real images, those that it starts from and those of its steps, are the nearest to centres of clusters:
    Liu et al., "DREAM: Efficient Dataset Distillation by Representative Matching".
    """

    name: Literal["dream"] = "dream"
    title: ClassVar[str] = "DREAM, IDC with representative real images"
    figure_style: ClassVar[FigureStyle] = FigureStyle("#80335b", "#f5a3fc", marker="<")
    start_from_real: ClassVar[Literal["real", "clustered"]] = "clustered"

    real_batch_size: Count = 128
    """real images per class and step; also those of a mini-batch of the network's training, of any class"""
    real_batches: Literal["random", "clustered"] = "clustered"
    """clustered: every ten iterations, of each class the images nearest to the centres of as many clusters as there are
    images in a batch, by features of the network of that step; random: others at every step"""
