"""Results such as a small sweep leaves, written through the functions that the engine calls."""

import io
import json
import math

import numpy as np
from PIL import Image

from glad_ray.plan.baselines import baselines
from glad_ray.results import (
    Distillation,
    Failure,
    Training,
    package_versions,
    write_failure,
    write_losses,
    write_results,
)
from glad_ray.spec import (
    DC,
    DM,
    MTT,
    Evaluation,
    Herding,
    KMeans,
    Network,
    RandomReal,
    RandomStyleGAN,
    Run,
    Sweep,
    WholeDataset,
    grid,
)
from glad_ray.storage import Storage

BACKBONE = Network(name="convnet", width=32)
GENERATOR = RandomStyleGAN(image_channels=1, channel_base=512, channel_max=32)
EVALUATION = Evaluation(
    networks=(
        BACKBONE,
        Network(name="alexnet", width=32),
        Network(name="vgg11", width=16),
        Network(name="resnet18", width=16),
        Network(name="vit", width=128),
    ),
    repeats=2,
    epochs=150,
    learning_rates={"convnet": 0.01, "alexnet": 0.01, "vgg11": 0.003, "resnet18": 0.01, "vit": 0.01},
)
SPACES = ("w+", "f0", "f4", "f8")
BASE = Run(algorithm=RandomReal(), resolution=32, backbone=BACKBONE, held_out=40, snapshots=2)
ALGORITHMS = (DC(iterations=60), DM(iterations=100), MTT(iterations=60))


def small_sweep(ipc: int = 1, spaces: tuple[str, ...] = SPACES) -> Sweep:
    base = BASE.replace(images_per_class=ipc)
    where = [{"space": "pixel"}, *({"space": space, "generator": GENERATOR} for space in spaces)]
    return Sweep(
        name="small",
        description="What a latent space does to three algorithms.\n\nCost: under ten minutes on two CPU cores.",
        runs=(base, *grid(base, algorithm=ALGORITHMS, where=where)),
        evaluations=EVALUATION,
    )


PUBLISHED_EVALUATION = Evaluation(repeats=3, epochs=300)
CORESETS = (RandomReal(), Herding(features=None), KMeans(features=None))


def rich_sweep() -> Sweep:
    """Every kind of row: baselines of as many images and as many bytes, the whole dataset, soft labels, evaluation
    without augmentation, and Fashion-MNIST at the size that published numbers are of.
    """
    small = BASE.replace(snapshots=1, held_out=0)
    where = [{"space": "pixel"}, {"space": "f4", "generator": GENERATOR}]
    distilled = grid(
        small,
        seed=[0, 1],
        algorithm=[DC(iterations=60), MTT(iterations=60), MTT(iterations=60, labels="soft")],
        where=where,
    )
    full = Run(algorithm=DC(iterations=100), dataset="fashion-mnist", resolution=28)
    printed = (
        full,
        full.replace(augmentation=""),
        full.replace(algorithm=DM(iterations=200)),
        full.replace(images_per_class=10),
        full.replace(algorithm=MTT(iterations=50)),
    )
    return Sweep(
        name="rich",
        runs=(
            *baselines(distilled, CORESETS, equal=("images", "bytes")),
            *baselines(distilled, (WholeDataset(),)),
            *distilled,
            *printed,
            *baselines(printed, (RandomReal(), WholeDataset())),
        ),
        evaluations=(
            EVALUATION,
            EVALUATION.replace(augmentation=""),
            EVALUATION.replace(labels="soft"),
            PUBLISHED_EVALUATION,
        ),
    )


def scored_by(run: Run, evaluation: Evaluation) -> bool:
    """The runs with narrow networks and those that published numbers are of have evaluations of their own."""
    return (run.dataset == "fashion-mnist") == (evaluation == PUBLISHED_EVALUATION)


def write_rich_sweep(storage: Storage) -> Sweep:
    sweep = rich_sweep()
    storage.write_bytes(storage.PLAN, json.dumps({"sweep": sweep.model_dump(mode="json")}).encode())
    for run in sweep.runs:
        for evaluation in sweep.evaluations:
            if scored_by(run, evaluation):
                write_run(storage, run, evaluation, sweep.name)
    return sweep


def trainings(run: Run, evaluation: Evaluation, rng: np.random.Generator) -> dict[str, list[Training]]:
    level = {"random": 0.50, "herding": 0.53, "kmeans": 0.54, "dc": 0.62, "dm": 0.64, "mtt": 0.58, "whole": 0.88}[
        run.algorithm.name
    ]
    level -= 0.02 * (run.layer is not None) + 0.004 * (run.layer or 0)
    if run.ipc is not None:
        level = min(0.85, level + 0.05 * math.log10(run.ipc))
    if evaluation.labels_of(run) != "hard":
        level += 0.04
    if not evaluation.decided_for(run).augmentation:
        level -= 0.05
    return {
        network.key: [
            Training(
                step=step,
                network=network.key,
                repeat=repeat,
                accuracy=float(np.clip(level - 0.03 * place + rng.normal(0, 0.015), 0, 1)),
                held_out_accuracy=float(np.clip(level + rng.normal(0, 0.02), 0, 1)) if run.held_out else None,
                learning_rate=evaluation.learning_rate(network),
                seconds=1.5 + place,
                peak_memory_bytes=(300 + 200 * place) * 2**20,
                device="cpu",
            )
            for step in run.snapshot_steps
            for repeat in range(evaluation.repeats)
        ]
        for place, network in enumerate(evaluation.networks)
    }


def images(ipc: int, rng: np.random.Generator, side: int = 64) -> bytes:
    tile = side + 2
    sheet = np.full((10 * tile + 2, min(ipc, 10) * tile + 2, 3), 255, np.uint8)
    for row in range(10):
        for column in range(min(ipc, 10)):
            coarse = rng.integers(0, 255, (8, 8), dtype=np.uint8).repeat(side // 8, 0).repeat(side // 8, 1)
            sheet[row * tile + 2 :, column * tile + 2 :][:side, :side] = coarse[..., None]
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG")
    return buffer.getvalue()


def write_run(storage: Storage, run: Run, evaluation: Evaluation, sweep_name: str) -> dict[str, list[Training]]:
    """One finished run; its numbers follow from its id."""
    rng = np.random.default_rng(int(run.run_id, 16))
    made = trainings(run, evaluation, rng)
    storage.write_bytes(storage.run_path(run.run_id), run.model_dump_json().encode())
    if run.ipc is not None:
        storage.write_bytes(storage.images_path(run.run_id), images(run.ipc, rng))
    if run.steps:
        losses = 2 * np.exp(-np.arange(run.steps) / run.steps * 3) + rng.gamma(2, 0.05, run.steps)
        write_losses(storage, run.run_id, losses.tolist(), (0.3 * np.arange(1, run.steps + 1)).tolist())
    taken = Distillation(
        seconds=0.3 * run.steps, peak_memory_bytes=900 * 2**20, device="cpu", versions=package_versions()
    )
    write_results(storage, run, evaluation, sweep_name, made, taken)
    return made


def write_sweep(storage: Storage, sweep: Sweep) -> None:
    """A plan, all its runs but the last two, the failure of the last, and nothing of the one before it."""
    storage.write_bytes(storage.PLAN, json.dumps({"sweep": sweep.model_dump(mode="json")}).encode())
    for run in sweep.runs[:-2]:
        write_run(storage, run, sweep.evaluations[0], sweep.name)
    failed = sweep.runs[-1]
    write_failure(
        storage,
        Failure(
            run_id=failed.run_id,
            stage="distill",
            error="the loss is not finite at step 12: lower the learning rates of the run",
            traceback="Traceback (most recent call last):\n  ...\nRunError: the loss is <nan> at step 12",
            step=12,
        ),
    )
