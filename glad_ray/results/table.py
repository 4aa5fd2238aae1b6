"""The one table of results: its Arrow schema, and a part file per run and evaluation."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from glad_ray.errors import DataError
from glad_ray.results.ledger import completed, damage
from glad_ray.results.parquet import Tell, damaged, read_or_tell, read_table, to_parquet
from glad_ray.results.records import Distillation, Training
from glad_ray.results.selection import evaluated_steps, select
from glad_ray.spec.run import Run
from glad_ray.spec.sweep import Evaluation, regime_of
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
        _column(
            "algorithm",
            pa.string(),
            "what distilled it, by its name (dc, dm, mtt and others); or a baseline of real images: random, herding "
            "and others, whole (the whole dataset)",
        ),
        _column("space", pa.string(), "what was optimised: pixel, w+ or f<n>; several one after another as f0>f4>f8"),
        _column("layer", pa.int32(), "n of f<n>, of several the last; null in pixel space and w+", nullable=True),
        _column("generator", pa.string(), "kind and id of the image prior; none in pixel space"),
        _column("ipc", pa.int32(), "images per class of the set; null for the whole dataset", nullable=True),
        _column(
            "set_bytes",
            pa.int64(),
            "latents as float32 and soft labels if any; of real images, 8-bit pixels; with online labels the "
            "teachers' parameters too",
        ),
        _column(
            "generator_bytes",
            pa.int64(),
            "parameters of the image prior as float32; 0 in pixel space and where the set has them",
        ),
        _column("seed", pa.int64(), "seed of the run"),
        _column("profile", pa.string(), "whose settings the run took where it set none: paper or reference-code"),
        _column("step", pa.int64(), "the synthetic set after this many steps was scored"),
        _column(
            "selection",
            pa.string(),
            "how the step was chosen: last (the last step), held-out (best mean accuracy of the backbone on training "
            "images kept from distillation, one step for all networks), looks (best mean accuracy of short trainings "
            "on those images, one step for all networks) or best-on-test (best mean accuracy on the test set, for each "
            "network by itself: the paper's own protocol, optimistic)",
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
        _column(
            "labels",
            pa.string(),
            "labels of this training: hard, own (soft ones that belong to the set), teacher (soft ones that networks "
            "trained on real data gave it) or online (those that such networks gave at every step)",
        ),
        _column(
            "augmentation",
            pa.string(),
            "DSA operations of this training; after `sequential:` several in order; empty: none",
        ),
        _column("test_images", pa.int32(), "test images used, evenly over classes; null: all", nullable=True),
        _column("evaluation_epochs", pa.int32(), "epochs of this training"),
        _column(
            "evaluation_schedule",
            pa.string(),
            "of the learning rate: cosine (after a warm-up), step, slow-cosine, halving or fifths",
        ),
        _column("evaluation_learning_rate", pa.float64(), "base learning rate of this training"),
        _column("distill_seconds", pa.float64(), "wall time of the distillation, all steps, evaluation excluded"),
        _column("distill_peak_memory_bytes", pa.int64(), "peak memory of the distillation on its device"),
        _column("distill_device", pa.string(), "device the run was distilled on"),
        _column("evaluate_seconds", pa.float64(), "wall time of this training and its tests"),
        _column("evaluate_peak_memory_bytes", pa.int64(), "peak memory of this training on its device"),
        _column("evaluate_device", pa.string(), "device of this training"),
        _column("versions", pa.string(), "versions of the packages that made the row, as a JSON object"),
        _column("finished_at", pa.timestamp("us", tz="UTC"), "when the evaluation was complete, UTC"),
        _column(
            "whitening",
            pa.string(),
            "how the images of the set and of the test were whitened: zca; null: not at all, they were normalised",
            nullable=True,
        ),
        _column(
            "distill_precision",
            pa.string(),
            "in which float32 numbers were multiplied in the distillation: float32 or tf32; null: not known",
            nullable=True,
        ),
        _column(
            "evaluate_precision",
            pa.string(),
            "in which float32 numbers were multiplied in this training: float32 or tf32; null: not known",
            nullable=True,
        ),
        _column(
            "regime",
            pa.string(),
            "how this network was taught: hard (the class), fixed-soft (class probabilities fixed before training) or "
            "teacher (at every step); null: an earlier version wrote the row, and labels tell it",
            nullable=True,
        ),
        _column(
            "evaluation_optimiser",
            pa.string(),
            "of this training: sgd or adamw; null: sgd, an earlier version wrote the row",
            nullable=True,
        ),
        _column(
            "evaluation_mixing",
            pa.string(),
            "how images of a mini-batch were mixed: cutmix or mixup, and the share of mini-batches; null: not at all",
            nullable=True,
        ),
        _column(
            "evaluation_views",
            pa.string(),
            "how each image was seen anew before augmentation: parts shuffled, crops; null: as it is",
            nullable=True,
        ),
    ]
)

METRIC = "metric."
"""what the names of the columns of metrics begin with"""
_PARALLEL_READS = 16


def write_results(
    storage: Storage,
    run: Run,
    evaluation: Evaluation,
    sweep_name: str,
    trainings: Mapping[str, Sequence[Training]],
    distillation: Distillation,
    looked: int | None = None,
) -> None:
    """Write the rows of a run under one evaluation as one part file; `trainings` are per network key, of all steps, or
    of the one that looks chose (`looked`) and the last.

    Raises `DataError` unless there is exactly one training for every network, step and repeat.
    """
    steps = evaluated_steps(run.snapshot_steps, looked)
    _check_complete(run, evaluation, trainings, steps)
    of_networks = {network.key: trainings[network.key] for network in evaluation.networks}
    labels, decided = evaluation.labels_of(run), evaluation.decided_for(run)
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
        "ipc": run.ipc,
        "set_bytes": run.set_bytes + evaluation.label_bytes(run),
        "generator_bytes": run.generator_bytes,
        "seed": run.seed,
        "profile": run.profile,
        "labels": labels,
        "augmentation": decided.augmentation,
        "test_images": evaluation.test_images,
        "evaluation_epochs": decided.epochs,
        "evaluation_schedule": evaluation.schedule,
        "distill_seconds": distillation.seconds,
        "distill_peak_memory_bytes": distillation.peak_memory_bytes,
        "distill_device": distillation.device,
        "versions": json.dumps(dict(distillation.versions), sort_keys=True),
        "finished_at": datetime.now(UTC),
        "whitening": None if run.whitening == "none" else run.whitening,
        "distill_precision": distillation.precision,
        "regime": regime_of(labels),
        "evaluation_optimiser": evaluation.optimiser,
        "evaluation_mixing": None if evaluation.mixing is None else evaluation.mixing.label,
        "evaluation_views": None if evaluation.views is None else evaluation.views.label,
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
            "evaluation_learning_rate": training.learning_rate,
            "evaluate_seconds": training.seconds,
            "evaluate_peak_memory_bytes": training.peak_memory_bytes,
            "evaluate_device": training.device,
            "evaluate_precision": training.precision,
        }
        | {METRIC + name: value for name, value in training.metrics.items()}
        for selection, step_of_network in select(of_networks, run.backbone.key, steps, looked).items()
        for key, step in step_of_network.items()
        for training in sorted(of_networks[key], key=lambda training: training.repeat)
        if training.step == step
    ]
    names = sorted({name for of_network in trainings.values() for each in of_network for name in each.metrics})
    metrics = [_column(METRIC + name, pa.float64(), f"what {name} came to, on test images", True) for name in names]
    table = pa.Table.from_pylist(rows, schema=pa.schema([*SCHEMA, *metrics]))
    storage.write_bytes(storage.results_path(run.run_id, evaluation.content_id), to_parquet(table))


def finished(storage: Storage, run_id: str, evaluation_id: str) -> bool:
    """Whether the run has its results under this evaluation, as they were written."""
    there = storage.exists(storage.results_path(run_id, evaluation_id))
    return there and damage(storage, run_id, completed(evaluation_id)) is None


def rows_in(storage: Storage, path: str) -> int:
    """Number of rows of a part, by its footer alone; 0 if it is damaged."""
    try:
        with storage.open_file(path) as file:
            return int(pq.read_metadata(file).num_rows)
    except (pa.ArrowException, FileNotFoundError):
        return 0


def read_results(storage: Storage, tell: Tell | None = None) -> pa.Table:
    """The rows of all parts, in the order of their file names: the columns of `SCHEMA`, and one for every metric.

    Raises `DataError` naming a part that is damaged; with `tell`, that is told of each, and the others are read.
    """
    parts = [path for path in storage.list(storage.RESULTS) if path.endswith(".parquet")]
    with ThreadPoolExecutor(_PARALLEL_READS) as pool:
        tables = list(pool.map(lambda path: read_or_tell(lambda: read_part(storage, path), tell), parts))
    there = [SCHEMA.empty_table().replace_schema_metadata(), *(each for each in tables if each is not None)]
    # A run that a metric was not asked for has no value of it.
    return pa.concat_tables(there, promote_options="default").combine_chunks()


def read_part(storage: Storage, path: str) -> pa.Table:
    """The rows of one part; raises `DataError` if it is damaged."""
    table = read_table(storage, path, SCHEMA, more=METRIC)
    try:
        table.validate(full=True)
    except pa.ArrowException as error:
        raise damaged(storage, path) from error
    return table


def _check_complete(
    run: Run, evaluation: Evaluation, trainings: Mapping[str, Sequence[Training]], steps: Sequence[int]
) -> None:
    for network in evaluation.networks:
        wanted = {(step, repeat) for step in steps for repeat in range(evaluation.repeats)}
        there = [(training.step, training.repeat) for training in trainings.get(network.key, ())]
        if set(there) != wanted or len(there) != len(wanted):
            raise DataError(
                f"The trainings of {network.key} for run {run.run_id} are not one for each of steps "
                f"{', '.join(map(str, steps))} and {evaluation.repeats} repeats: delete "
                f"{Storage.trainings_path(run.run_id, evaluation.content_id, network.key)} and run the sweep again."
            )
