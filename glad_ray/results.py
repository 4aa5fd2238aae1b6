"""What a run scored: one Arrow schema, a part file per run and evaluation, and the three ways of choosing a step.

The selections are never mixed. The paper's own protocol, the best over evaluations on the test set (section 4.1), is
one of them, under a name that says so.
"""

import importlib.metadata
import io
import json
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AwareDatetime, Field

from glad_ray import __version__
from glad_ray.errors import DataError, UserError
from glad_ray.spec.record import Record
from glad_ray.spec.run import Run
from glad_ray.spec.sweep import Evaluation, Selection
from glad_ray.storage import Storage


def _column(name: str, kind: pa.DataType, meaning: str, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"meaning": meaning})


SCHEMA = pa.schema(
    [
        _column("run_id", pa.string(), "the run: hash of its record, which lies in runs/<run_id>/run.json"),
        _column("evaluation_id", pa.string(), "how it was scored: hash of the evaluation's record"),
        _column("sweep", pa.string(), "name of the sweep that asked for it"),
        _column("dataset", pa.string(), "dataset distilled and tested on"),
        _column("resolution", pa.int32(), "side of the images in pixels"),
        _column("algorithm", pa.string(), "random (real images, not distilled), dc, dm or mtt"),
        _column("space", pa.string(), "what was optimised: pixel, w+ or f<n>"),
        _column("layer", pa.int32(), "n of f<n>; null in pixel space and w+", nullable=True),
        _column("generator", pa.string(), "kind and id of the image prior; none in pixel space"),
        _column("ipc", pa.int32(), "synthetic images per class"),
        _column("seed", pa.int64(), "seed of the run"),
        _column("step", pa.int64(), "the synthetic set after this many steps was scored"),
        _column(
            "selection",
            pa.string(),
            "how the step was chosen: last (the last step), held-out (best mean accuracy of the backbone on training "
            "images kept from distillation, one step for all networks) or best-on-test (best mean accuracy on the "
            "test set, for each network by itself: the paper's own protocol, optimistic)",
        ),
        _column("network", pa.string(), "key of the network trained on the synthetic set"),
        _column("seen", pa.bool_(), "true for the backbone, the network that distilled"),
        _column("repeat", pa.int32(), "number of the training, from 0; each starts from a fresh initialisation"),
        _column("accuracy", pa.float64(), "top-1 accuracy on test images, 0 to 1"),
        _column(
            "held_out_accuracy",
            pa.float64(),
            "top-1 accuracy on the training images kept from distillation, 0 to 1; null if none were kept",
            nullable=True,
        ),
        _column("test_images", pa.int32(), "test images used, evenly over classes; null: all", nullable=True),
        _column("evaluation_epochs", pa.int32(), "epochs of this training on the synthetic set"),
        _column("evaluation_learning_rate", pa.float64(), "base learning rate of this training"),
        _column("distill_seconds", pa.float64(), "wall time of the distillation, all steps, evaluation excluded"),
        _column("distill_peak_memory_bytes", pa.int64(), "peak memory of the distillation on its device"),
        _column("distill_device", pa.string(), "device the run was distilled on"),
        _column("evaluate_seconds", pa.float64(), "wall time of this training and its tests"),
        _column("evaluate_peak_memory_bytes", pa.int64(), "peak memory of this training on its device"),
        _column("evaluate_device", pa.string(), "device of this training"),
        _column("versions", pa.string(), "versions of the packages that made the row, as a JSON object"),
        _column("finished_at", pa.timestamp("us", tz="UTC"), "when the evaluation was complete, UTC"),
    ]
)

TRAININGS_SCHEMA = pa.schema(
    [
        pa.field("step", pa.int64(), nullable=False),
        pa.field("network", pa.string(), nullable=False),
        pa.field("repeat", pa.int32(), nullable=False),
        pa.field("accuracy", pa.float64(), nullable=False),
        pa.field("held_out_accuracy", pa.float64()),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("peak_memory_bytes", pa.int64(), nullable=False),
        pa.field("device", pa.string(), nullable=False),
    ]
)

LOSSES_SCHEMA = pa.schema(
    [
        pa.field("step", pa.int64(), nullable=False),
        pa.field("loss", pa.float64(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
    ]
)

_PACKAGES = ("torch", "torchvision", "kornia", "numpy", "pyarrow", "ray")
_PARALLEL_READS = 16


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
    seconds: float
    peak_memory_bytes: int
    device: str

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

    @classmethod
    def now(cls, seconds: float, peak_memory_bytes: int, device: str) -> "Distillation":
        """A distillation that this process made, with the versions it runs."""
        return cls(seconds=seconds, peak_memory_bytes=peak_memory_bytes, device=device, versions=package_versions())


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
        raise _damaged(storage, path) from error


def write_losses(storage: Storage, run_id: str, losses: Sequence[float], seconds: Sequence[float]) -> None:
    """Write the matching loss of every step, from the first, and the seconds since the run began."""
    columns = {"step": list(range(1, len(losses) + 1)), "loss": list(losses), "seconds": list(seconds)}
    storage.write_bytes(storage.losses_path(run_id), _parquet(pa.table(columns, schema=LOSSES_SCHEMA)))


def read_losses(storage: Storage, run_id: str) -> LossCurve | None:
    """The loss curve of a run, None if it was not distilled; raises `DataError` if the file is damaged."""
    path = storage.losses_path(run_id)
    if not storage.exists(path):
        return None
    table = _read_table(storage, path, LOSSES_SCHEMA)
    return LossCurve(tuple(table["loss"].to_pylist()), tuple(table["seconds"].to_pylist()))


def write_trainings(
    storage: Storage, run_id: str, evaluation_id: str, network_key: str, trainings: Sequence[Training]
) -> None:
    """Record the trainings of one network made so far, so that they are not made again."""
    table = pa.Table.from_pylist([asdict(training) for training in trainings], schema=TRAININGS_SCHEMA)
    storage.write_bytes(storage.trainings_path(run_id, evaluation_id, network_key), _parquet(table))


def read_trainings(storage: Storage, run_id: str, evaluation_id: str, network_key: str) -> list[Training]:
    """The recorded trainings of one network, none if there is no record; raises `DataError` if it is damaged."""
    path = storage.trainings_path(run_id, evaluation_id, network_key)
    if not storage.exists(path):
        return []
    return [Training(**row) for row in _read_table(storage, path, TRAININGS_SCHEMA).to_pylist()]


def select(
    trainings: Mapping[str, Sequence[Training]], backbone_key: str, steps: Sequence[int]
) -> dict[Selection, dict[str, int]]:
    """The step that each selection takes, per network; of equally good steps the later one.

    `trainings` are per network key, each with every step of `steps`. `held-out` is there only if the backbone is among
    the networks and has held-out accuracies.
    """
    chosen: dict[Selection, dict[str, int]] = {"last": dict.fromkeys(trainings, max(steps))}
    backbone = trainings.get(backbone_key, ())
    if backbone and all(training.held_out_accuracy is not None for training in backbone):
        best = _best_step(backbone, steps, lambda training: training.held_out_accuracy or 0.0)
        chosen["held-out"] = dict.fromkeys(trainings, best)
    chosen["best-on-test"] = {
        key: _best_step(of_network, steps, lambda training: training.accuracy) for key, of_network in trainings.items()
    }
    return chosen


def write_results(
    storage: Storage,
    run: Run,
    evaluation: Evaluation,
    sweep_name: str,
    trainings: Mapping[str, Sequence[Training]],
    distillation: Distillation,
) -> None:
    """Write the rows of a run under one evaluation as one part file, whole; `trainings` are per network key.

    Raises `DataError` unless there is exactly one training for every network, step and repeat.
    """
    _check_complete(run, evaluation, trainings)
    rates = {network.key: evaluation.learning_rates[network.name] for network in evaluation.networks}
    of_run = {
        "run_id": run.run_id,
        "evaluation_id": evaluation.content_id,
        "sweep": sweep_name,
        "dataset": run.dataset,
        "resolution": run.pixels,
        "algorithm": run.algorithm.name,
        "space": run.space,
        "layer": run.layer,
        "generator": run.generator_name,
        "ipc": run.images_per_class,
        "seed": run.seed,
        "test_images": evaluation.test_images,
        "evaluation_epochs": evaluation.epochs,
        "distill_seconds": distillation.seconds,
        "distill_peak_memory_bytes": distillation.peak_memory_bytes,
        "distill_device": distillation.device,
        "versions": json.dumps(dict(distillation.versions), sort_keys=True),
        "finished_at": datetime.now(UTC),
    }
    rows = [
        of_run
        | {
            "selection": selection,
            "step": step,
            "network": key,
            "seen": key == run.backbone.key,
            "repeat": training.repeat,
            "accuracy": training.accuracy,
            "held_out_accuracy": training.held_out_accuracy,
            "evaluation_learning_rate": rates[key],
            "evaluate_seconds": training.seconds,
            "evaluate_peak_memory_bytes": training.peak_memory_bytes,
            "evaluate_device": training.device,
        }
        for selection, step_of_network in select(trainings, run.backbone.key, run.snapshot_steps).items()
        for key, step in step_of_network.items()
        for training in sorted(trainings[key], key=lambda training: training.repeat)
        if training.step == step
    ]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    storage.write_bytes(storage.results_path(run.run_id, evaluation.content_id), _parquet(table))


def finished(storage: Storage, run_id: str, evaluation_id: str) -> bool:
    """Whether the run has its results under this evaluation."""
    return storage.exists(storage.results_path(run_id, evaluation_id))


def read_results(storage: Storage) -> pa.Table:
    """The rows of all parts, in the order of their file names; raises `DataError` naming a part that is damaged."""
    parts = [path for path in storage.list(storage.RESULTS) if path.endswith(".parquet")]
    with ThreadPoolExecutor(_PARALLEL_READS) as pool:
        tables = list(pool.map(lambda path: _read_table(storage, path, SCHEMA), parts))
    return pa.concat_tables([SCHEMA.empty_table(), *tables]).combine_chunks()


def write_failure(storage: Storage, failure: Failure) -> None:
    """Record why a run failed, in place of an earlier failure of it."""
    storage.write_bytes(storage.failure_path(failure.run_id), failure.model_dump_json(indent=1).encode())


def read_failures(storage: Storage) -> tuple[Failure, ...]:
    """The failures of all runs, by run id."""
    paths = [f"{folder}/failure.json" for folder in storage.list(storage.RUNS)]
    return tuple(_read_failure(storage, path) for path in paths if storage.exists(path))


def clear_failure(storage: Storage, run_id: str) -> None:
    """Forget why a run failed, when it is tried again."""
    storage.delete(storage.failure_path(run_id))


def _read_failure(storage: Storage, path: str) -> Failure:
    try:
        return Failure.model_validate_json(storage.read_bytes(path))
    except UserError as error:
        raise _damaged(storage, path) from error


def _best_step(trainings: Sequence[Training], steps: Sequence[int], score: Callable[[Training], float]) -> int:
    def mean_score(step: int) -> float:
        scores = [score(training) for training in trainings if training.step == step]
        return math.fsum(scores) / len(scores)

    return max(steps, key=lambda step: (mean_score(step), step))


def _check_complete(run: Run, evaluation: Evaluation, trainings: Mapping[str, Sequence[Training]]) -> None:
    for network in evaluation.networks:
        wanted = {(step, repeat) for step in run.snapshot_steps for repeat in range(evaluation.repeats)}
        there = [(training.step, training.repeat) for training in trainings.get(network.key, ())]
        if set(there) != wanted or len(there) != len(wanted):
            raise DataError(
                f"The trainings of {network.key} for run {run.run_id} are not one for each of steps "
                f"{', '.join(map(str, run.snapshot_steps))} and {evaluation.repeats} repeats: delete "
                f"{Storage.trainings_path(run.run_id, evaluation.content_id, network.key)} and run the sweep again."
            )


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _read_table(storage: Storage, path: str, schema: pa.Schema) -> pa.Table:
    try:
        table = pq.read_table(io.BytesIO(storage.read_bytes(path)))
    except (pa.ArrowException, OSError) as error:
        raise _damaged(storage, path) from error
    if not table.schema.equals(schema):
        raise DataError(
            f"{path} in {storage.uri} has other columns than this version of glad_ray writes: delete it and run the "
            "sweep again, or read it with the version that wrote it."
        )
    return table


def _damaged(storage: Storage, path: str) -> DataError:
    return DataError(f"{path} in {storage.uri} is damaged: delete it and run the sweep again.")
