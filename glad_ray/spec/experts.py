"""Networks trained on the real data: trajectories to match, features to choose images by, teachers of soft labels."""

from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from glad_ray.errors import UserError
from glad_ray.spec.network import BackboneByName, Network
from glad_ray.spec.record import Record
from glad_ray.spec.whitening import Whitening

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]

DSA = "color_crop_cutout_flip_scale_rotate"
"""the operations of differentiable siamese augmentation, which every algorithm uses"""


class Experts(Record):
    """Networks trained on the real data, whose parameters after every epoch are the trajectories MTT matches."""

    count: Count = 100
    """number of trajectories"""
    epochs: Count = 15
    """epochs of each; epochs + 1 snapshots are kept, or fewer with keep_until"""
    lr: Positive = 0.01
    batch_size: Count = 256
    momentum: float = Field(default=0.0, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    augmentation: str = DSA
    """DSA operations, drawn per sample; empty: none"""
    norm: Literal["instancenorm", "batchnorm"] | None = None
    """normalisation layer of the experts where it is not the backbone's; their parameters are the same"""
    keep_until: Count | None = None
    """last epoch whose parameters are kept, as far as the segments of MTT reach; None: all epochs are kept"""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """how parameters are stored; they are read as float32. bfloat16 takes half the bytes and keeps 8 significant bits:
    what an epoch of 16 steps changed in a ConvNet of width 32 (bundled sample) was 6 to 18 % off, in relative norm"""

    @model_validator(mode="after")
    def _kept_epochs_exist(self) -> Self:
        if self.keep_until is not None and self.keep_until >= self.epochs:
            raise UserError(
                f"keep_until is {self.keep_until} and the experts have {self.epochs} epochs: use less, or leave it out "
                "to keep all of them."
            )
        return self

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return self._at_default("keep_until", "dtype")

    @property
    def last_epoch(self) -> int:
        """The last epoch whose parameters are kept; `last_epoch` + 1 snapshots are."""
        return self.epochs if self.keep_until is None else self.keep_until


class ExpertSet(Record):
    """The trajectories a run needs: which network, trained how, on which images."""

    dataset: str
    resolution: int
    antialias: bool = True
    whitening: Whitening = "none"
    """of the images they are trained on"""
    held_out: int
    network: BackboneByName
    experts: Experts

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return self._at_default("antialias", "whitening")

    @property
    def label(self) -> str:
        """One line for people."""
        experts = f"{self.experts.count} expert" + ("s" if self.experts.count > 1 else "")
        until = None if self.experts.keep_until is None else f"kept until {self.experts.keep_until}"
        stored = None if self.experts.dtype == "float32" else self.experts.dtype
        kept = ", ".join(filter(None, (until, stored)))
        epochs = f"{self.experts.epochs} epochs" + (f" ({kept})" if kept else "")
        white = "" if self.whitening == "none" else " whitened"
        return f"{experts} x {epochs}, {self.network.title} on {self.dataset}{white}"


def expert_network(backbone: Network, experts: Experts) -> Network:
    """The network that is trained: the backbone, with the experts' norm if they have one of their own."""
    if experts.norm is None or experts.norm == backbone.norm:
        return backbone
    return backbone.replace(norm=experts.norm)


def check_judges(expert_set: ExpertSet) -> None:
    """Raise `UserError` if these experts cannot be asked about images, only followed."""
    if expert_set.network.norm == "batchnorm":
        raise UserError(
            "Trajectories keep parameters and not the statistics of batch norm, so that such experts can give neither "
            "soft labels nor features: use another norm, or hard labels and features=None."
        )
    if expert_set.experts.keep_until is not None:
        raise UserError(
            "Soft labels and features are those of experts after their last epoch, which keep_until leaves out: leave "
            "keep_until out, or use hard labels and features=None."
        )
