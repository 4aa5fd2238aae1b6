"""The matching algorithms and their hyper-parameters, one record each.

Defaults are those of the profile `paper`: GLaD's, and where it says nothing those of the original algorithms, DC and
DSA (Zhao et al., 2021), DM (Zhao and Bilen, 2023), MTT (Cazenavette et al., 2022). `glad_ray.spec.profiles` has what
GLaD's released code does instead.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from glad_ray.errors import UserError
from glad_ray.spec.coreset import Herding, KMeans, RandomReal, WholeDataset
from glad_ray.spec.experts import Count, Experts, Positive, without_size
from glad_ray.spec.record import Record

REAL_BATCH_BYTES = 2**31
"""On a GPU, the real images of DC and DM go through the network in parts whose activations take no more than this."""


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


_INNER_LOOPS = {1: 1, 10: 50, 20: 25, 30: 20, 40: 15, 50: 10}
"""of the original, by images per class; its outer loops are as many as the images per class"""


class DC(Record):
    """Gradient matching: equation (1) of GLaD; Zhao et al., "Dataset Condensation with Gradient Matching"."""

    name: Literal["dc"] = "dc"
    iterations: Count = 1000
    """networks drawn; each serves for `outer_loops` steps on the images"""
    real_batch_size: Count = 256
    """real images per class and step"""
    network_lr: Positive = 0.01
    """of the network trained on the synthetic images between outer loops"""
    outer_loops: Count | None = None
    """steps on the images per network; None: by images per class, as the original table has it"""
    inner_loops: Count | None = None
    """epochs of network training between outer loops; None: by images per class"""
    matching: Literal["cosine", "layerwise", "squared"] = "cosine"
    """cosine: one over all parameters, as equation (1) has it; layerwise: one per output row of each weight, as the
    original and GLaD's code have it, for which the usual rates were made: its gradients are some 300 times larger;
    squared: the squared difference of all parameters"""
    learning_rates: LearningRates = LearningRates(pixels=0.1, f=0.1, w=0.01)

    def loops(self, images_per_class: int) -> tuple[int, int]:
        """Outer loops (steps per network) and inner loops (epochs of network training between two of them).

        The original's table where it has an entry; elsewhere the outer loops are the images per class, and the inner
        loops keep the product at 500 (below 10 images they are interpolated).
        """
        ipc = images_per_class
        inner = _INNER_LOOPS.get(ipc) or (round(500 / ipc) if ipc > 10 else 1 + round(49 * (ipc - 1) / 9))
        return self.outer_loops or ipc, self.inner_loops or max(1, inner)

    def steps(self, images_per_class: int) -> int:
        """Steps on the images."""
        return self.iterations * self.loops(images_per_class)[0]

    def smallest_batch(self, images_per_class: int, classes: int) -> int:
        """Fewest images that the backbone is given at once: those of one class."""
        return min(images_per_class, self.real_batch_size)


class DM(Record):
    """Distribution matching: equation (2) of GLaD; Zhao and Bilen, "Condensation with Distribution Matching"."""

    name: Literal["dm"] = "dm"
    iterations: Count = 20000
    real_batch_size: Count = 256
    """real images per class and step"""
    learning_rates: LearningRates = LearningRates(pixels=1.0, f=1.0, w=0.1)

    def steps(self, images_per_class: int) -> int:
        """Steps on the images."""
        return self.iterations

    def smallest_batch(self, images_per_class: int, classes: int) -> int:
        """Fewest images that the backbone is given at once: those of all classes."""
        return classes * min(images_per_class, self.real_batch_size)


class MTT(Record):
    """Trajectory matching: equation (3) of GLaD; Cazenavette et al., "Dataset Distillation by Matching Training
    Trajectories", in the constant-memory form of TESLA (Cui et al., 2023).
    """

    name: Literal["mtt"] = "mtt"
    iterations: Count = 5000
    synthetic_steps: Count = 10
    """N: steps of the student on the synthetic images"""
    expert_epochs: Count = 2
    """M: epochs of the expert between start and target"""
    max_start_epoch: int = Field(default=2, ge=0)
    """T+: the start epoch is drawn from 0 .. T+ - 1 (0: always epoch 0)"""
    batch_size: Count | None = None
    """synthetic images per student step; None: all"""
    step_size: Positive = 0.01
    """initial value of the student's learned step size"""
    step_size_lr: float = Field(default=1e-6, ge=0)
    """learning rate of the step size"""
    gradient: Literal["tesla", "exact"] = "tesla"
    """tesla: each student step's effect through later steps is left out, as TESLA does; exact: it is not"""
    experts: Experts = Experts()
    labels: Literal["hard", "soft"] = "hard"
    """what the student is taught: classes, or the experts' mean class probabilities on the initial images (TESLA's
    option, which GLaD leaves out); soft labels belong to the synthetic set and are counted in its bytes"""
    learning_rates: LearningRates = LearningRates(pixels=1000.0, f=1000.0, w=100.0, g=0.1)

    def _decisive(self, content: dict[str, Any]) -> dict[str, Any]:
        if self.labels == "soft":
            return content
        # Segments end long before the last epoch, which only soft labels come from.
        return content | {"experts": without_size(content["experts"], "epochs")}

    def steps(self, images_per_class: int) -> int:
        """Steps on the images."""
        return self.iterations

    def smallest_batch(self, images_per_class: int, classes: int) -> int:
        """Fewest images that the student is given at once; a single one left over joins others if it must."""
        images = classes * images_per_class
        return min(self.batch_size or images, images)

    @model_validator(mode="after")
    def _segments_exist(self) -> Self:
        last, experts = max(0, self.max_start_epoch - 1) + self.expert_epochs, self.experts
        needed = f"MTT needs expert epoch {last} (max_start_epoch and expert_epochs) and its experts"
        if last > experts.epochs:
            raise UserError(f"{needed} have {experts.epochs}: set algorithm.experts.epochs to {last} or more.")
        if last > experts.last_epoch:
            raise UserError(
                f"{needed} are kept until {experts.last_epoch}: set algorithm.experts.keep_until to {last} or more, or "
                "leave it out."
            )
        return self


def _by_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


Algorithm = Annotated[
    RandomReal | Herding | KMeans | WholeDataset | DC | DM | MTT, Field(discriminator="name"), BeforeValidator(_by_name)
]
ALGORITHM_NAMES: tuple[str, ...] = ("random", "herding", "kmeans", "dc", "dm", "mtt", "whole")
"""in the order of tables: the baselines, what is distilled, the upper bound"""
CORESET_NAMES: tuple[str, ...] = ("random", "herding", "kmeans")
"""baselines of as many real images as a synthetic set has"""

__all__ = [
    "ALGORITHM_NAMES",
    "CORESET_NAMES",
    "DC",
    "DM",
    "MTT",
    "REAL_BATCH_BYTES",
    "Algorithm",
    "Herding",
    "KMeans",
    "LearningRates",
    "RandomReal",
    "WholeDataset",
]
