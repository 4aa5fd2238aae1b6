"""What is known of a run while it goes on: its distillation and losses, the networks trained so far, its failure."""

import functools
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Literal

import pyarrow as pa
from pydantic import AwareDatetime, Field

from glad_ray.errors import DataError, UserError
from glad_ray.results.ledger import damage, evaluated
from glad_ray.results.parquet import Tell, damaged, read_or_tell, read_table, to_parquet
from glad_ray.spec.precision import FP32Precision
from glad_ray.spec.record import Record
from glad_ray.spec.run import Run
from glad_ray.spec.sweep import Evaluation
from glad_ray.storage import Storage
from glad_ray.version import __version__

TRAININGS_SCHEMA = pa.schema(
    [
        pa.field("step", pa.int64(), nullable=False),
        pa.field("network", pa.string(), nullable=False),
        pa.field("repeat", pa.int32(), nullable=False),
        pa.field("accuracy", pa.float64(), nullable=False),
        pa.field("held_out_accuracy", pa.float64()),
        pa.field("learning_rate", pa.float64(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("peak_memory_bytes", pa.int64(), nullable=False),
        pa.field("device", pa.string(), nullable=False),
        pa.field("precision", pa.string()),
        pa.field("metrics", pa.map_(pa.string(), pa.float64())),
    ]
)

LOSSES_SCHEMA = pa.schema(
    [
        pa.field("step", pa.int64(), nullable=False),
        pa.field("loss", pa.float64(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
    ]
)

_QUESTIONS_AT_ONCE = 16
_PACKAGES = ("torch", "torchvision", "kornia", "numpy", "pyarrow", "ray")


@dataclass(frozen=True, kw_only=True)
class Training:
    """One network trained from scratch on a synthetic set, and its score."""

    step: int
    """the synthetic set after this many steps"""
    network: str
    """`Network.key`"""
    repeat: int
    accuracy: float
    """top-1 on test images, 0 to 1"""
    held_out_accuracy: float | None
    """top-1 on held-out training images, 0 to 1; None if the run keeps none"""
    learning_rate: float
    """base rate"""
    seconds: float
    peak_memory_bytes: int
    device: str
    precision: FP32Precision | None = None
    """in which float32 numbers were multiplied; None: not known, an earlier version left it to PyTorch"""
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    """what the evaluation's metrics came to, by their columns' names"""

    def __post_init__(self) -> None:
        for value in (self.accuracy, self.held_out_accuracy):
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"An accuracy lies from 0 to 1, not at {value}")


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """What making the synthetic set took."""

    seconds: float
    """wall time of all steps, over interruptions, without evaluation"""
    peak_memory_bytes: int
    device: str
    versions: Mapping[str, str]
    """of the packages that did it"""
    precision: FP32Precision | None = None
    """in which float32 numbers were multiplied; None: not known, an earlier version left it to PyTorch"""


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    step: int
    steps: int
    loss: float
    seconds: float
    """since the run first began, pauses left out"""


@dataclass(frozen=True)
class LossCurve:
    """The matching loss at every step, from the first, and the seconds since the run began."""

    losses: tuple[float, ...]
    seconds: tuple[float, ...]

    @property
    def steps(self) -> range:
        """Numbers of the steps, from 1."""
        return range(1, len(self.losses) + 1)


class Failure(Record):
    """Why a run did not end: a recorded result, never a zero and never silence."""

    run_id: str
    stage: Literal["experts", "distill", "evaluate"]
    error: str
    """one line"""
    traceback: str
    step: int | None = None
    """steps made before it, if it was distilling"""
    finished_at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))


class Look(Record):
    """What a search saw of a run after some steps, by one network."""

    accuracies: tuple[float, ...] = ()
    """on held-out training images, in [0, 1], one a repeat"""
    seconds: float = 0.0
    """of training and testing, not of distilling"""


def write_look(storage: Storage, path: str, seen: Look) -> None:
    """Keep what was seen, at a `Storage.look_path`."""
    storage.write_bytes(path, seen.model_dump_json(indent=1).encode())


def read_look(storage: Storage, path: str) -> Look:
    """What was seen so far; nothing if the file is not there, or damaged."""
    try:
        return Look.model_validate_json(storage.read_bytes(path))
    except (UserError, ValueError):
        return Look()


def read_run(storage: Storage, run_id: str) -> Run:
    """A run's record; raises `DataError` if there is none, or it is damaged."""
    path = storage.run_path(run_id)
    try:
        return Run.model_validate_json(storage.read_bytes(path)).stored_as(run_id)
    except DataError:
        raise
    except (UserError, ValueError) as error:
        raise damaged(storage, path) from error


def read_looks(storage: Storage, run: Run, looking: Evaluation) -> dict[tuple[int, str], Look]:
    """What was seen so far of a run by the looks at it (`Evaluation.looking`), by step and the network's key."""
    return {
        (step, network.key): read_look(storage, storage.look_path(run.run_id, step, looking.content_id, network.key))
        for step in run.snapshot_steps
        for network in looking.networks
    }


def package_versions() -> dict[str, str]:
    """Versions of Python, this package and those it computes with, as installed; what is not installed is left out."""
    versions = {"glad_ray": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def write_distillation(storage: Storage, run_id: str, distillation: Distillation) -> None:
    """Record what a distillation took; it is the last file of one, so that it also says that the run is distilled."""
    storage.write_bytes(storage.distillation_path(run_id), json.dumps(asdict(distillation), indent=1).encode())


def read_distillation(storage: Storage, run_id: str) -> Distillation:
    """What a distillation took; raises `DataError` if it has not ended or the file is damaged."""
    path = storage.distillation_path(run_id)
    try:
        return Distillation(**json.loads(storage.read_bytes(path)))
    except (ValueError, TypeError) as error:
        raise damaged(storage, path) from error


def write_losses(storage: Storage, run_id: str, losses: Sequence[float], seconds: Sequence[float]) -> None:
    """Write the matching loss of every step, from the first, and the seconds since the run began."""
    columns = {"step": list(range(1, len(losses) + 1)), "loss": list(losses), "seconds": list(seconds)}
    storage.write_bytes(storage.losses_path(run_id), to_parquet(pa.table(columns, schema=LOSSES_SCHEMA)))


def read_losses(storage: Storage, run_id: str) -> LossCurve | None:
    """The loss curve of a run, None if it was not distilled; raises `DataError` if the file is damaged."""
    path = storage.losses_path(run_id)
    if not storage.exists(path):
        return None
    table = read_table(storage, path, LOSSES_SCHEMA)
    return LossCurve(tuple(table["loss"].to_pylist()), tuple(table["seconds"].to_pylist()))


def write_trainings(
    storage: Storage, run_id: str, evaluation_id: str, network_key: str, trainings: Sequence[Training]
) -> None:
    """Record the trainings of one network made so far, so that they are not made again."""
    rows = [asdict(training) | {"metrics": list(training.metrics.items()) or None} for training in trainings]
    table = pa.Table.from_pylist(rows, schema=TRAININGS_SCHEMA)
    storage.write_bytes(storage.trainings_path(run_id, evaluation_id, network_key), to_parquet(table))


def read_trainings(storage: Storage, run_id: str, evaluation_id: str, network_key: str) -> list[Training]:
    """The recorded trainings of one network, none if there is no record; raises `DataError` if it is damaged."""
    path = storage.trainings_path(run_id, evaluation_id, network_key)
    if not storage.exists(path):
        return []
    rows = read_table(storage, path, TRAININGS_SCHEMA).to_pylist()
    return [Training(**row | {"metrics": dict(row["metrics"] or ())}) for row in rows]


def sound_trainings(
    storage: Storage, run_id: str, evaluation_id: str, network_key: str
) -> tuple[list[Training], str | None]:
    """The recorded trainings of one network; none, and in a few words why, if they are not what was written."""
    wrong = damage(storage, run_id, evaluated(evaluation_id, network_key))
    if wrong is not None:
        return [], wrong
    try:
        return read_trainings(storage, run_id, evaluation_id, network_key), None
    except DataError:
        return [], f"{storage.trainings_path(run_id, evaluation_id, network_key)} is damaged"


def write_failure(storage: Storage, failure: Failure) -> None:
    """Record why a run failed, in place of an earlier failure of it."""
    storage.write_bytes(storage.failure_path(failure.run_id), failure.model_dump_json(indent=1).encode())


def read_failures(storage: Storage, tell: Tell | None = None) -> tuple[Failure, ...]:
    """The failures of all runs, by run id.

    Raises `DataError` naming a file that is damaged; with `tell`, that is told of each, and the others are read.
    """
    paths = [storage.failure_path(folder.rpartition("/")[2]) for folder in storage.list(storage.RUNS)]
    # An object store takes its time over each question.
    with ThreadPoolExecutor(_QUESTIONS_AT_ONCE) as pool:
        there = list(pool.map(storage.exists, paths))
    found = [path for path, exists in zip(paths, there, strict=True) if exists]
    failures = [read_or_tell(functools.partial(_read_failure, storage, path), tell) for path in found]
    return tuple(failure for failure in failures if failure is not None)


def read_failure(storage: Storage, run_id: str) -> Failure | None:
    """Why a run failed, None if it did not; raises `DataError` if the file is damaged."""
    path = storage.failure_path(run_id)
    return _read_failure(storage, path) if storage.exists(path) else None


def clear_failure(storage: Storage, run_id: str) -> None:
    """Forget why a run failed, when it is tried again."""
    storage.delete(storage.failure_path(run_id))


def _read_failure(storage: Storage, path: str) -> Failure:
    try:
        return Failure.model_validate_json(storage.read_bytes(path))
    except (UserError, ValueError) as error:
        raise damaged(storage, path) from error
