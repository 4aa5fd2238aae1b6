"""Networks trained on the real data: trajectories to match, features to choose images by, teachers of soft labels."""

from collections.abc import Collection, Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from glad_ray.errors import UserError
from glad_ray.spec.datasets import dataset_facts
from glad_ray.spec.images.augmentation import DSA, Augmentation, Mixing
from glad_ray.spec.images.whitening import Whitening
from glad_ray.spec.network import BackboneByName, Network
from glad_ray.spec.precision import FP32Precision
from glad_ray.spec.record import Record, Stored

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Flatness(Record):
    """Training towards flat minima, of two passes a step (FTD): the gradient is taken where the loss nearby is high.

    That gradient is GSAM's (Zhuang et al., 2022) at the point of adaptive SAM (Kwon et al., 2021).
    """

    rho: Positive = 0.01
    """how far away the second gradient is taken; with `adaptive` in units of the parameters' sizes"""
    alpha: float = Field(default=0.3, ge=0)
    """share of the first gradient's part across the second one that is taken away"""
    adaptive: bool = True
    """every parameter is moved in proportion to its size"""


class Experts(Record):
    """Networks trained on the real data, whose parameters after every epoch are the trajectories MTT matches."""

    count: Count = 100
    """number of trajectories"""
    epochs: Count = 15
    """epochs of each; epochs + 1 snapshots are kept, or fewer with keep_until"""
    lr: Positive = 0.01
    """of SGD"""
    lr_drops: tuple[Count, ...] = ()
    """epochs after each of which the learning rate is multiplied by `lr_factor`"""
    lr_factor: Positive = 0.2
    """by which the learning rate is multiplied at `lr_drops`"""
    batch_size: Count = 256
    """real images a step"""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """of SGD"""
    weight_decay: float = Field(default=0.0, ge=0)
    """of SGD"""
    augmentation: Augmentation = DSA
    """DSA operations, drawn per sample; empty: none"""
    mixing: Mixing | None = None
    """how images of a mini-batch are mixed with one another, after augmentation; None: they are not"""
    norm: Literal["instancenorm", "batchnorm"] | None = None
    """normalisation layer of the experts where it is not the backbone's; their parameters are the same"""
    flat: Flatness | None = None
    """train towards flat minima, as FTD does, which takes two passes a step; None: plain SGD"""
    keep_until: Count | None = None
    """last epoch whose parameters are kept, as far as the segments of MTT reach; None: all epochs are kept"""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """how parameters are stored; they are read as float32. bfloat16 takes half the bytes and keeps 8 significant bits:
    what an epoch of 16 steps changed in a ConvNet of width 32 (bundled sample) was 6 to 18 % off, in relative norm"""
    precision: FP32Precision = "tf32"
    """in which GPUs multiply while the experts are trained: tf32, or float32"""

    @model_validator(mode="after")
    def _kept_epochs_exist(self) -> Self:
        if self.keep_until is not None and self.keep_until >= self.epochs:
            raise UserError(
                f"keep_until is {self.keep_until} and the experts have {self.epochs} epochs: use less, or leave it out "
                "to keep all of them."
            )
        return self

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return self._at_default("lr_drops", "lr_factor", "mixing", "flat", "keep_until", "dtype", "precision")

    def _decisive(self, content: dict[str, Any]) -> dict[str, Any]:
        # Only how much is stored.
        return {name: value for name, value in content.items() if name != "keep_until"}

    def lr_in(self, epoch: int) -> float:
        """The learning rate in an epoch, counted from 0; the same however many epochs there are."""
        return self.lr * self.lr_factor ** sum(epoch >= drop for drop in self.lr_drops)

    @property
    def last_epoch(self) -> int:
        """The last epoch whose parameters are kept; `last_epoch` + 1 snapshots are."""
        return self.epochs if self.keep_until is None else self.keep_until


class ExpertSet(Stored):
    """The trajectories a run needs: which network, trained how, on which images.

    Expert k after epoch e is the same however many experts and epochs a set has, so sets that differ in nothing else
    have one id and share their files.
    """

    dataset: str
    resolution: int
    antialias: bool = True
    whitening: Whitening = "none"
    """of the images they are trained on"""
    held_out: int
    network: BackboneByName
    experts: Experts

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return self._at_default("antialias", "whitening") | set(super()._unsaid(identity=identity))

    def _decisive(self, content: dict[str, Any]) -> dict[str, Any]:
        return content | {"experts": without_size(content["experts"], "count", "epochs")}

    def covering(self, other: Self) -> Self:
        """The set with the more experts and the more kept epochs of two that have one id."""
        longer, shorter = (self, other) if self.experts.last_epoch >= other.experts.last_epoch else (other, self)
        count = max(longer.experts.count, shorter.experts.count)
        return longer if count == longer.experts.count else longer.replace(experts=longer.experts.replace(count=count))

    @property
    def parameters(self) -> int:
        """Number of parameters of each network."""
        facts = dataset_facts(self.dataset)
        shape = self.network.shape(channels=facts.channels, resolution=self.resolution, classes=facts.classes)
        return shape.parameters

    @property
    def kept_bytes(self) -> int:
        """Bytes of all parameters that are kept; their files take about a kilobyte a snapshot beyond them."""
        of_each = {"float32": 4, "bfloat16": 2}[self.experts.dtype]
        return self.experts.count * (self.experts.last_epoch + 1) * self.parameters * of_each

    @property
    def label(self) -> str:
        """One line for people."""
        flat = "" if self.experts.flat is None else " flat"
        experts = f"{self.experts.count}{flat} expert" + ("s" if self.experts.count > 1 else "")
        until = None if self.experts.keep_until is None else f"kept until {self.experts.keep_until}"
        stored = None if self.experts.dtype == "float32" else self.experts.dtype
        kept = ", ".join(filter(None, (until, stored)))
        epochs = f"{self.experts.epochs} epochs" + (f" ({kept})" if kept else "")
        white = "" if self.whitening == "none" else " whitened"
        return f"{experts} x {epochs}, {self.network.title} on {self.dataset}{white}"


def without_size(experts: dict[str, Any], *fields: str) -> dict[str, Any]:
    """The content of an `Experts` record, with fields that do not decide the numbers of interest at their defaults."""
    return experts | {name: Experts.model_fields[name].default for name in fields}


def merged(expert_sets: Iterable[ExpertSet]) -> tuple[ExpertSet, ...]:
    """One set for each id, which serves all that have it, in the order of their first."""
    covering: dict[str, ExpertSet] = {}
    for each in expert_sets:
        there = covering.get(each.stored_id)
        covering[each.stored_id] = each if there is None else there.covering(each)
    return tuple(covering.values())


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
            "soft labels nor features: use another norm, or hard labels, features=None and init=real."
        )
    if expert_set.experts.keep_until is not None:
        raise UserError(
            "Soft labels, features and init correct are of experts after their last epoch, which keep_until leaves "
            "out: leave keep_until out, or use hard labels, features=None and init=real."
        )
