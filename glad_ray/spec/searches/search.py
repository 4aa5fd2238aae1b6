"""A search: which fields of a run may vary and how, what is wanted of it, and what is spent on telling good from bad.

Pure data; `glad_ray.spec.search_space` turns it into runs.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from glad_ray.errors import UserError
from glad_ray.spec.record import Record
from glad_ray.spec.resources import Resources
from glad_ray.spec.run import Run
from glad_ray.spec.sweep import Evaluation

Objective = Literal["accuracy", "seconds", "bytes"]
"""accuracy: the mean of the evaluation's networks on held-out training images, to be raised; seconds: of distilling, to
be lowered; bytes: of the synthetic set, to be lowered"""


class Range(Record):
    """What a field may be. `when`: only where other fields that vary have one of some values."""

    when: Mapping[str, tuple[Any, ...]] = {}


class Choice(Range):
    """One of some values; records too, an algorithm or a generator say."""

    kind: Literal["choice"] = "choice"
    values: tuple[Any, ...]

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.values:
            raise UserError("A Choice has no values: list at least one.")
        if any(value in self.values[:number] for number, value in enumerate(self.values)):
            raise UserError("A Choice names a value twice: leave one out.")
        return self


class Layers(Range):
    """Every space there is: pixels, and all legal ones of the run's generator."""

    kind: Literal["layers"] = "layers"
    pixel: bool = True


class FloatRange(Range):
    """A number from `low` to `high`, both included."""

    kind: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False
    """evenly over orders of magnitude"""

    @model_validator(mode="after")
    def _something(self) -> Self:
        _check_bounds(self.low, self.high, self.log)
        return self


class IntRange(Range):
    """A whole number from `low` to `high`, both included."""

    kind: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False
    """evenly over orders of magnitude"""

    @model_validator(mode="after")
    def _something(self) -> Self:
        _check_bounds(self.low, self.high, self.log)
        return self


def _check_bounds(low: float, high: float, log: bool) -> None:
    if low > high:
        raise UserError(f"The range from {low:g} to {high:g} is empty: low has to be at most high.")
    if log and low <= 0:
        raise UserError(f"A range over orders of magnitude begins above 0, not at {low:g}: set low, or log=False.")


AnyRange = Annotated[Choice | Layers | FloatRange | IntRange, Field(discriminator="kind")]


def _by_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class TPE(Record):
    """Tree-structured Parzen estimators, of all parameters together, by groups that occur together."""

    name: Literal["tpe"] = "tpe"
    startup: int = Field(default=10, ge=1)
    """trials at random before it begins to learn"""


class GP(Record):
    """A Gaussian process; it knows no conditional parameters, which it draws at random."""

    name: Literal["gp"] = "gp"
    startup: int = Field(default=10, ge=1)
    """trials at random before it begins to learn"""


class CMAES(Record):
    """Covariance matrix adaptation of the numbers; choices are drawn at random."""

    name: Literal["cma-es"] = "cma-es"
    startup: int = Field(default=1, ge=1)
    """trials at random before it begins to learn"""


class Random(Record):
    """Every trial at random."""

    name: Literal["random"] = "random"


class Grid(Record):
    """Every combination, of `points` values of each range of numbers; no trial more than there are."""

    name: Literal["grid"] = "grid"
    points: int = Field(default=3, ge=1)
    """values of each range of numbers"""


Sampler = Annotated[TPE | GP | CMAES | Random | Grid, Field(discriminator="name"), BeforeValidator(_by_name)]


class Rung(Record):
    """A cheap evaluation of a run that is under way, which decides whether the run goes on."""

    share: float = Field(gt=0, le=1)
    """of the run's steps, after which it is evaluated; a run that goes on goes on from there"""
    epochs: int = Field(default=100, ge=1)
    """of the training on the set as it is then"""
    repeats: int = Field(default=1, ge=1)
    """trainings of each network"""
    networks: int = Field(default=1, ge=1)
    """the first so many of the evaluation's that the run does not distil with"""


RUNGS = (Rung(share=0.1), Rung(share=0.3), Rung(share=1.0))


class Halving(Record):
    """Asynchronous successive halving (ASHA): of those that come to a rung, the best one in `keep` goes on."""

    name: Literal["halving"] = "halving"
    keep: int = Field(default=3, ge=2)
    """of so many that came to a rung, one goes on"""


class Hyperband(Record):
    """Successive halving in brackets, of which each begins to stop at another rung."""

    name: Literal["hyperband"] = "hyperband"
    keep: int = Field(default=3, ge=2)
    """of so many that came to a rung, one goes on"""


class Median(Record):
    """What is below the median of all that came to a rung stops there; the first `startup` trials never do."""

    name: Literal["median"] = "median"
    startup: int = Field(default=5, ge=1)
    """trials that are never stopped"""


class Never(Record):
    """Every trial goes on to its end."""

    name: Literal["never"] = "never"


Stopping = Annotated[Halving | Hyperband | Median | Never, Field(discriminator="name"), BeforeValidator(_by_name)]


def check_distils(run: Run) -> None:
    """Raise `UserError` for a baseline."""
    if not run.distils:
        raise UserError(f"Baseline {run.algorithm.name} has nothing to search: name an algorithm that distils.")


class Search(Record):
    """What may vary, what is wanted, and what may be spent on it."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    """of its storage, runs/<name>"""
    base: Run
    """the run that varies; its `held_out` training images tell good from bad, and no test image does"""
    vary: Mapping[str, AnyRange]
    """ranges by fields of the run, `space` or `algorithm.learning_rates.f`; one that a run does not have (another
    algorithm's, or the rate of latents that its space lacks) is left out of it"""
    trials: int = Field(default=50, ge=1)
    """configurations that are begun"""
    objectives: tuple[Objective, ...] = ("accuracy",)
    """accuracy, or with it others, for which nothing is stopped early and the report has those that no other beats in
    all
    """
    sampler: Sampler = TPE()
    """of Optuna, or its name: tpe, gp, cma-es, random, grid"""
    rungs: tuple[Rung, ...] = RUNGS
    """at which each run is evaluated, in order; the sampler learns from the last rung that a trial reached"""
    stopping: Stopping = Halving()
    """which trials go on after a rung; none stops where there are several objectives"""
    finalists: int = Field(default=4, ge=1)
    """the best, evaluated in full on held-out images"""
    controls: int = Field(default=2, ge=0)
    """of those that were stopped, so many at random, distilled to their end and evaluated in full too: they tell how
    well the rungs rank trials"""
    evaluation: Evaluation = Evaluation()
    """in full, and of the winner on test images"""
    seeds: int = Field(default=3, ge=1)
    """fresh ones, with which the winner is distilled anew and scored on test images, once"""
    first: tuple[Mapping[str, Any], ...] = ()
    """points to begin with, by the fields that vary; the paper's own follow, where they are in range"""
    seed: int = Field(default=0, ge=0)
    """of the sampler"""
    resources: Resources = Resources()
    """what units of work take of machines"""
    description: str = ""
    """told at the head of the report"""

    def step_of(self, run: Run, rung: Rung) -> int:
        """The step after which a run is evaluated at a rung."""
        return max(1, round(rung.share * run.steps))

    def evaluation_at(self, run: Run, rung: Rung | None) -> Evaluation:
        """How a run is evaluated: at a rung, or, without one, in full."""
        unseen = self.evaluation.unseen_by(run)
        if rung is None:
            return self.evaluation.decided_for(run).replace(networks=unseen, looks=None)
        return self.evaluation.shortened(run, unseen[: rung.networks], rung.epochs, rung.repeats)

    def winner_runs(self, run: Run) -> tuple[Run, ...]:
        """The winning run with fresh seeds, which is what is scored on test images."""
        return tuple(run.replace(seed=run.seed + 1 + index) for index in range(self.seeds))

    @property
    def evaluated_rungs(self) -> tuple[Rung, ...]:
        """The rungs at which trials are evaluated: all, or the last alone if there are several objectives."""
        return self.rungs if len(self.objectives) == 1 else self.rungs[-1:]

    @field_validator("objectives")
    @classmethod
    def _with_accuracy(cls, objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
        if "accuracy" not in objectives or len(set(objectives)) < len(objectives):
            raise UserError(
                f"Objectives are accuracy, alone or with seconds and bytes, each once, not {', '.join(objectives)}."
            )
        return objectives

    @field_validator("rungs")
    @classmethod
    def _ascending(cls, rungs: tuple[Rung, ...]) -> tuple[Rung, ...]:
        shares = [rung.share for rung in rungs]
        if not shares or shares[-1] != 1 or sorted(set(shares)) != shares:
            raise UserError(f"Rungs ascend and end with share=1, not {shares}: list them in order.")
        return rungs

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.vary:
            raise UserError("Nothing varies in the search: name at least one field of the run in vary.")
        check_distils(self.base)
        if not self.base.held_out:
            raise UserError(
                "A search tells good from bad by training images that distillation does not see: set held_out of the "
                "base run, to 20 per class for instance."
            )
        return self
