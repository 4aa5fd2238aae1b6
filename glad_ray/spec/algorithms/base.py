"""What the rest of the package asks of an algorithm: its settings, and all that is to be known of it without running
it. What it computes is the class that `implementation` names.

An algorithm is either a matching algorithm (`Matching`), which makes steps on the latents, or a baseline, real images
as they are.
"""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal, NamedTuple, Self

from typing_extensions import override

from glad_ray.spec.experts import Count, Experts, Positive
from glad_ray.spec.images.augmentation import DSA
from glad_ray.spec.optimisers import SGD, AnyOptimiser
from glad_ray.spec.record import Record

# Passes through the backbone, counted in forward passes of the same images.
FORWARD = 1
INPUT_GRADIENT = 2
"""forward, and backward to the images alone (a frozen network)"""
TRAINING = 3
"""forward, and backward to the parameters"""
SECOND_ORDER = 8
"""forward, backward to the parameters, and backward through both to the images"""
SECOND_ORDER_ADJOINT = 9
"""the same, and to the parameters as well"""
_CLUSTERED_EVERY = 10
"""iterations, in DREAM's settings"""


class FigureStyle(NamedTuple):
    """How an algorithm is drawn in figures and tables."""

    light: str
    """colour on a light page, `#rrggbb`"""
    dark: str
    """colour on a dark page"""
    marker: str = "."
    """as matplotlib names them"""
    dashes: tuple[float, tuple[float, ...]] | None = None
    """of a line across the figure, as matplotlib has them; None: it is drawn as points"""


class StepSize(NamedTuple):
    """The step size of a student that is learned with the latents."""

    initial: float
    lr: float


class AlgorithmSettings(Record):
    """One algorithm's settings."""

    name: str
    """as tables, files and commands have it"""
    title: ClassVar[str]
    """in full, for people: what it is called, a comma, what it does, unless the name says it"""
    printed_as: ClassVar[str | None] = None
    """what the published tables call it; None: its name"""
    implementation: ClassVar[str]
    """module:callable that computes it"""
    figure_style: ClassVar[FigureStyle]
    distils: ClassVar[bool] = False
    """whether it makes steps on latents; otherwise it is a baseline"""
    whole_dataset: ClassVar[bool] = False
    """whether it is all training images, which have no number of images per class"""
    usual_augmentation: ClassVar[str] = DSA
    """the augmentation of a run that names none"""
    usual_formation: ClassVar[int] = 1
    """the factor of formation of a run that names none"""
    paper_layer: ClassVar[str | None] = None
    """the layer whose latents did best for unseen networks at 128 pixels (GLaD, Figure 3)"""
    start_from_real: ClassVar[Literal["real", "clustered", "correct"]] = "real"
    """which init a run has that starts from real images and says no other"""

    @classmethod
    def name_of(cls) -> str:
        """The name of the algorithm itself."""
        name: str = cls.model_fields["name"].default
        return name

    @classmethod
    def title_of(cls, name: str) -> str:
        """In full, for people, of an algorithm that tables call so."""
        return cls.title

    @classmethod
    def label_of(cls, name: str) -> str:
        """In short, for people."""
        return name.upper() if cls.distils else cls.title.partition(",")[0]

    @classmethod
    def marker_of(cls, name: str) -> str:
        """Its mark in figures."""
        return cls.figure_style.marker

    @classmethod
    def original(cls) -> Self | None:
        """The settings of its authors, which are its defaults; None where there are none."""
        return cls(name=cls.name_of())

    @property
    def experts_needed(self) -> Experts | None:
        """Networks that are trained on the real data first: to follow their trajectories, or for their features."""
        return None

    @property
    def soft_labels(self) -> bool:
        """Whether the synthetic set has soft labels of its own."""
        return False

    @property
    def learned_step_size(self) -> StepSize | None:
        """Of a student's step size that is learned with the latents; None: none is."""
        return None

    @property
    def real_images(self) -> int | None:
        """Real images per class that a step sends through the backbone, at most; None: none."""
        return None

    def steps(self, images_per_class: int, classes: int) -> int:
        """Steps on the latents."""
        return 0

    def class_of_step(self, step: int, classes: int) -> int | None:
        """The class whose images alone are matched at a step, counted from 0; None: the images of all classes."""
        return None

    def clips(self, step: int, classes: int) -> bool:
        """Whether pixels are brought back into the range of real images before a step, counted from 0."""
        return False

    def smallest_batch(self, images_per_class: int, classes: int) -> int:
        """Fewest images that the backbone is given at once."""
        return 2

    def network_passes(self, *, real: int, synthetic: int, images_per_class: int) -> float:
        """Forward passes of one image through the backbone that one step amounts to, on average over the steps;
        `real` and `synthetic`: images that a step has, of all its classes.
        """
        return 0.0

    @property
    def clustered_every(self) -> int | None:
        """Iterations after which real images are chosen anew, by clusters of features; None: they are not chosen so."""
        return None

    def further_passes(self, *, classes: int, train_images: int) -> float:
        """Forward passes that a step amounts to, on average, on other real images than those that it compares;
        `train_images`: as many as there are.
        """
        return 0.0

    def implied_by(self, dataset: str, images_per_class: int) -> Mapping[str, Any]:
        """Values of fields that depend on the set to be made, for a run that does not set them."""
        return {}

    def implied(self, field: str, images_per_class: int) -> str | None:
        """What a field that is None stands for, as text; None: it stands for the backbone's own value."""
        return None

    def small(self) -> Self:
        """The same at the least budget, to see that it runs."""
        return self


class LearningRates(Record):
    """One learning rate per kind of latent; a space uses those of the latents it has."""

    pixels: Positive
    """of the pixels, in normalised units (pixel space)"""
    f: Positive
    """of a feature map F_n (f<n> spaces)"""
    w: Positive
    """of the style codes (w+ and f<n> spaces)"""
    g: Positive = 1e-4
    """of the generator's weights, where a run learns them"""


class Matching(AlgorithmSettings):
    """An algorithm that makes steps on latents, each with the gradient of a matching loss."""

    distils: ClassVar[bool] = True
    iterations: Count
    learning_rates: LearningRates
    optimiser: AnyOptimiser = SGD()
    """of what is optimised: sgd or adamw"""

    @override
    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return self._at_default("optimiser")

    @override
    def steps(self, images_per_class: int, classes: int) -> int:
        return self.iterations


class MatchingRealImages(Matching):
    """One whose steps send real images through the backbone."""

    real_batch_size: Count = 256
    """real images per class and step"""

    @property
    @override
    def real_images(self) -> int | None:
        return self.real_batch_size


class ChoosingRealImages(MatchingRealImages):
    """One whose real images may be chosen by clusters, as DREAM does it."""

    real_batches: Literal["random", "clustered"] = "random"
    """random: others at every step; clustered: every ten iterations, of each class the images nearest to the centres of
    as many clusters as there are images in a batch, by features of the network of that step"""

    @override
    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return {*super()._unsaid(identity=identity), *self._at_default("real_batches")}

    @property
    @override
    def clustered_every(self) -> int | None:
        return _CLUSTERED_EVERY if self.real_batches == "clustered" else None

    @override
    def further_passes(self, *, classes: int, train_images: int) -> float:
        # Features of all real images, over the steps between two choices.
        return 0.0 if self.clustered_every is None else train_images * FORWARD / self.clustered_every


def small_experts(experts: Experts, *, count: int, epochs: int) -> Experts:
    """Experts at the least budget."""
    return experts.replace(count=count, epochs=epochs, batch_size=256)
