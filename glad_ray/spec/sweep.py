"""A named list of runs, how to evaluate them, and what resources each takes."""

import itertools
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from glad_ray.errors import UserError
from glad_ray.spec.experts import Experts, ExpertSet, check_judges
from glad_ray.spec.foreign_set import ForeignSet
from glad_ray.spec.images.augmentation import Augmentation, Mixing, Views, trained_with
from glad_ray.spec.metrics import MetricName
from glad_ray.spec.network import Network, NetworkByName
from glad_ray.spec.networks import ARCHITECTURES, PAPER_NETWORKS
from glad_ray.spec.precision import FP32Precision
from glad_ray.spec.record import Record
from glad_ray.spec.resources import Resources
from glad_ray.spec.run import Run

Selection = Literal["last", "held-out", "looks", "best-on-test"]
Labels = Literal["hard", "own", "teacher", "online"]
Regime = Literal["hard", "fixed-soft", "teacher"]
"""how networks are taught: the class alone; class probabilities that are fixed before training; by a teacher at every
step. Accuracies of two regimes say nothing of one another."""
REGIMES: tuple[Regime, ...] = get_args(Regime)
_REGIME_OF: Mapping[str, Regime] = {
    "hard": "hard",
    "own": "fixed-soft",
    "teacher": "fixed-soft",
    "online": "teacher",
}
Schedule = Literal["cosine", "step", "slow-cosine", "halving", "fifths"]


def regime_of(labels: str) -> Regime:
    """The regime of a training with such labels, one of `Labels`."""
    return _REGIME_OF[labels]


class Looks(Record):
    """Short trainings on every kept set of a run, tested on held-out training images alone: they choose the step whose
    set is evaluated in full.
    """

    networks: int = Field(default=1, ge=1)
    """the first so many of the evaluation's that the run does not distil with; its backbone is one more if it is among
    them"""
    epochs: int = Field(default=100, ge=1)
    """of each training"""
    repeats: int = Field(default=1, ge=1)
    """trainings of each network on each set; the step with the best mean accuracy is chosen, for all networks alike"""


class Evaluation(Record):
    """How a synthetic set is scored: networks trained on it from scratch, tested on real images (section 4.1)."""

    networks: tuple[NetworkByName, ...] = tuple(Network(name=name) for name in PAPER_NETWORKS)
    """which are trained"""
    repeats: int = Field(default=5, ge=1)
    """networks trained per architecture, each from a fresh initialisation"""
    epochs: int = Field(default=1000, ge=1)
    """of each training"""
    plain_epochs: int | None = Field(default=None, ge=1)
    """epochs where there is no augmentation; None: as many (the original DC: 300, against 1000 with DSA)"""
    whole_dataset_epochs: int = Field(default=30, ge=1)
    """epochs on the whole dataset, whose last weights are tested: over so few, averaged ones would hold the first"""
    schedule: Schedule = "cosine"
    """of the learning rate: cosine (half linear warm-up, half cosine, as GLaD's code), step (a tenth after half the
    epochs, as the original algorithms), slow-cosine (a cosine that ends at one half, as RDED), halving (a half after
    every fifth of the epochs, as NCFM) or fifths (a fifth after two thirds and after five sixths, as IDC)"""
    batch_size: int = Field(default=256, ge=1)
    """images a step; a set that is smaller is one batch"""
    learning_rates: Mapping[str, float] = {name: ARCHITECTURES[name].learning_rate for name in PAPER_NETWORKS}
    """base learning rate per architecture name; of one that is not named here, and not one of the paper's five, its own
    standard one, or 0.001 of a foreign one"""
    learned_step_size: bool = False
    """train on the sets of trajectory matching at the step size they learned, as its original does"""
    optimiser: Literal["sgd", "adamw"] = "sgd"
    """sgd, or adamw with decays of 0.9 and 0.999"""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """of SGD"""
    weight_decay: float = Field(default=5e-4, ge=0)
    """added to the gradient by SGD; of AdamW the parameters shrink by it times the rate (RDED and NCFM: 0.01)"""
    decay_vectors: bool = True
    """whether AdamW decays biases and parameters of norms too, as NCFM does and RDED does not"""
    ema_decay: float = Field(default=0.995, ge=0, lt=1)
    """of the averaged weights that are tested, updated once per epoch; 0: the last weights are tested"""
    augmentation: Augmentation | None = None
    """DSA operations, a fresh draw per batch and per sample; None: those the run distilled with, or all of DSA where it
    distilled with a sequential augmentation; empty: none; `sequential:color_crop`: several in order"""
    views: Views | None = None
    """how each image is seen anew, before augmentation; None: as it is"""
    mixing: Mixing | None = None
    """how images of a mini-batch are mixed with one another, after augmentation; None: they are not"""
    labels: Literal["hard", "soft", "online"] = "hard"
    """hard: the class; soft: class probabilities fixed before training, those a set carries, else the teacher's;
    online: those that the teacher gives at every step to the augmented and mixed images. The whole dataset keeps its
    hard labels"""
    teacher: Experts = Experts(count=1)
    """networks trained on real data whose mean class probabilities are the soft labels of sets that carry none, and all
    online ones"""
    temperature: float = Field(default=20.0, gt=0)
    """with online labels: what the logits of teacher and network are divided by (RDED: 20; with MixUp 4)"""
    temperature_squared: bool = False
    """with online labels: whether the loss is multiplied by the temperature squared, as Hinton et al. (2015) have it
    and RDED has not"""
    seen_twice: bool = False
    """whether each mini-batch goes through the network once more without gradients, as in the code of RDED: statistics
    of batch norm move twice, and nothing else changes"""
    test_images: int | None = Field(default=None, ge=1)
    """test on this many images, evenly over classes; None: all"""
    precision: FP32Precision = "tf32"
    """in which GPUs multiply in trainings and tests: tf32, or float32"""

    metrics: tuple[MetricName, ...] = ()
    """what else each trained network is measured by on the test images: names of `METRICS`, such as per_class_accuracy,
    or `package.module:callable` of (network, images, labels), which returns a number or a mapping of names to numbers;
    each number is a column of the table"""
    looks: Looks | None = None
    """of a run that keeps several sets, evaluate in full only the one that looks choose, and the last; None: all"""

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return self._at_default(
            "precision", "metrics", "looks", "optimiser", "decay_vectors", "views", "mixing", "temperature",
            "temperature_squared", "seen_twice",
        )  # fmt: skip

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for network in self.networks:
            if network.name in PAPER_NETWORKS and network.name not in self.learning_rates:
                raise UserError(f"evaluation.learning_rates has no rate for {network.name}")
        keys = [network.key for network in self.networks]
        if len(set(keys)) != len(keys):
            raise UserError(f"evaluation.networks names one network twice: {', '.join(keys)}")
        if len(set(self.metrics)) != len(self.metrics):
            raise UserError(f"evaluation.metrics names one metric twice: {', '.join(self.metrics)}")
        of_teacher = {"temperature", "temperature_squared"} - self._at_default("temperature", "temperature_squared")
        if of_teacher and self.labels != "online":
            raise UserError(
                f"evaluation.{sorted(of_teacher)[0]} is of labels that a teacher gives at every step: use "
                "labels='online' with it, or leave it out."
            )
        if self.optimiser == "sgd" and not self.decay_vectors:
            raise UserError("evaluation.decay_vectors is of adamw: use optimiser='adamw' with it, or leave it out.")
        return self

    def unseen_by(self, run: Run) -> tuple[Network, ...]:
        """The networks that a run does not distil with; all where there is no other."""
        return tuple(network for network in self.networks if network.name != run.backbone.name) or self.networks

    def shortened(self, run: Run, networks: tuple[Network, ...], epochs: int, repeats: int) -> Self:
        """What is left of it for one run where trainings are short and tested on held-out images alone."""
        return self.decided_for(run).replace(networks=networks, epochs=epochs, repeats=repeats, looks=None)

    def looking(self, run: Run) -> Self | None:
        """The looks at the sets of a run; None: each is evaluated in full."""
        if self.looks is None or len(run.snapshot_steps) == 1:
            return None
        backbone = tuple(network for network in self.networks if network.key == run.backbone.key)
        unseen = [network for network in self.unseen_by(run) if network not in backbone][: self.looks.networks]
        short = self.shortened(run, (*backbone, *unseen), self.looks.epochs, self.looks.repeats)
        # What is done with test images is no part of it.
        return short.replace(test_images=None, metrics=())

    def learning_rate(self, network: Network) -> float:
        """Base learning rate of a network."""
        return self.learning_rates.get(network.name, network.architecture.learning_rate)

    def decided_for(self, run: Run | ForeignSet) -> Self:
        """What the training on one run's set is: augmentation, epochs and averaging decided."""
        ema_decay = 0.0 if run.ipc is None else self.ema_decay
        return self.replace(augmentation=self.augmentation_for(run), epochs=self.epochs_for(run), ema_decay=ema_decay)

    def augmentation_for(self, run: Run | ForeignSet) -> str:
        """The augmentation of the training on one run's set."""
        return trained_with(run.augmentation) if self.augmentation is None else self.augmentation

    def epochs_for(self, run: Run | ForeignSet) -> int:
        """Epochs of the training on one run's set."""
        if run.ipc is None:
            return self.whole_dataset_epochs
        plain = None if self.augmentation_for(run) else self.plain_epochs
        return self.epochs if plain is None else plain

    def labels_of(self, run: Run | ForeignSet) -> Labels:
        """Which labels are trained on: hard, the run's own soft ones, the teacher's, or the teacher's at every step."""
        if self.labels == "hard" or run.ipc is None:
            return "hard"
        if self.labels == "online":
            return "online"
        return "own" if run.soft_labels else "teacher"

    def regime_for(self, run: Run | ForeignSet) -> Regime:
        """How networks are taught on one run's set."""
        return regime_of(self.labels_of(run))

    def label_bytes(self, run: Run) -> int:
        """What is kept of the labels of a run's set that the set itself does not carry: a teacher's class
        probabilities as float32, or the parameters of the teachers as float32 where they are asked at every step.
        """
        match self.labels_of(run):
            case "teacher":
                return 4 * run.facts.classes**2 * run.training_images_per_class
            case "online":
                return 4 * self.teacher.count * run.experts_of(self.teacher).parameters
            case _:
                return 0

    def teachers_of(self, run: Run) -> ExpertSet | None:
        """The networks that label a run's set, if any do."""
        return run.experts_of(self.teacher) if self.labels_of(run) in ("teacher", "online") else None


def _one_or_several(value: Any) -> Any:
    return (value,) if isinstance(value, Evaluation) else value


class Sweep(Record):
    """A named list of runs."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    """of its storage, runs/<name>, and in its tables"""
    runs: tuple[Run, ...]
    """in any order: a plan starts the longest first"""
    evaluations: Annotated[tuple[Evaluation, ...], BeforeValidator(_one_or_several)] = (Evaluation(),)
    """how every run is scored; one or several, each with rows of its own"""
    resources: Resources = Resources()
    """what units of work take of machines; no part of what they are"""
    first: tuple[str, ...] = ()
    """conditions, each on a field of a run (`algorithm.name=mtt`, `space=f12`): runs that have the first start before
    those that have the second, and so on, all others after them; among equals the longest starts first"""
    description: str = ""
    """told at the head of the report"""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        seen: dict[str, Run] = {}
        for run in self.runs:
            if run.run_id in seen:
                raise UserError(f"Two runs of the sweep are the same: {run.label}")
            seen[run.run_id] = run
        if not self.evaluations:
            raise UserError("A sweep needs at least one evaluation: leave evaluations out for the standard one")
        if len({evaluation.content_id for evaluation in self.evaluations}) < len(self.evaluations):
            raise UserError("Two evaluations of the sweep are the same: leave one out")
        for run in self.runs:
            if any(evaluation.looking(run) for evaluation in self.evaluations) and not run.held_out:
                raise UserError(
                    f"{run.label} keeps no training images for looks to test on: set held_out, images of a class that "
                    "it is not distilled from."
                )
            for teachers in filter(None, (evaluation.teachers_of(run) for evaluation in self.evaluations)):
                check_judges(teachers)
        return self


def grid(base: Run, **axes: Iterable[Any]) -> tuple[Run, ...]:
    """Every combination of the values of `axes` over `base`, the last axis varying fastest.

    An axis is a field of `Run`; a value that is a mapping sets several fields together, whatever the axis is called:
    `grid(base, algorithm=[DC(), DM()], where=[{"space": "pixel"}, {"space": "f4", "generator": g}])`.
    """
    combinations = itertools.product(*([(name, value) for value in values] for name, values in axes.items()))
    return tuple(
        base.replace(**{
            key: field
            for name, value in combination
            for key, field in (value.items() if isinstance(value, Mapping) else [(name, value)])
        })
        for combination in combinations
    )  # fmt: skip
