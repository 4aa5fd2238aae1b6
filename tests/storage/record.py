"""Records what a version of the package leaves on storage, for tests that later versions go on from it.

    cd <a checkout of that version> && PYTHONPATH=. python <this file> <a new folder>

makes the storages `sweep` and `search`, which were interrupted half-way; `sweep.json`; and `expected.json`, what the
same sweep and search come to that nothing interrupts. It uses commands, records and names of files, which last from
version to version. Fields of `Resources` are those of before shares were records.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

import torch

from glad_ray import (
    DC,
    DM,
    MTT,
    TPE,
    Choice,
    Evaluation,
    Experts,
    FloatRange,
    Halving,
    Herding,
    LearningRates,
    Network,
    RandomReal,
    RandomStyleGAN,
    Resources,
    Run,
    Rung,
    Search,
    Share,
    Sweep,
)
from glad_ray.cli import main
from glad_ray.results import read_losses, read_results, read_trials
from glad_ray.storage import Storage

NETWORKS = (Network(width=4, depth=2), Network(width=4, depth=1))
GENERATOR = RandomStyleGAN(
    resolution=16, image_channels=1, num_layers=4, channel_base=32, channel_max=4, w_dim=4, z_dim=4
)
EXPERTS = Experts(count=2, epochs=2, batch_size=256)
MATCHING = MTT(iterations=6, synthetic_steps=2, expert_epochs=1, labels="soft", experts=EXPERTS)
FAST = LearningRates(pixels=1e30, f=1, w=1)
BASE = Run(
    dataset="fashion-mnist-sample",
    algorithm=DM(iterations=6, real_batch_size=8),
    resolution=8,
    backbone=NETWORKS[0],
    held_out=20,
    checkpoint_every=2,
)
RUNS = {
    "finished": BASE,
    "evaluated in part": BASE.replace(seed=1, snapshots=2),
    "dc": BASE.replace(
        algorithm=DC(iterations=7, real_batch_size=8, matching="cosine"),
        space="w+",
        generator=GENERATOR,
        resolution=16,
        init="sampled",
    ),
    "mtt": BASE.replace(algorithm=MATCHING),
    "failing": BASE.replace(algorithm=DM(iterations=6, real_batch_size=8, learning_rates=FAST), seed=2),
    "waiting": BASE.replace(algorithm=Herding(features=EXPERTS.replace(batch_size=128))),
    "planned": BASE.replace(algorithm=RandomReal()),
}
EVALUATION = Evaluation(networks=NETWORKS, repeats=2, epochs=30, learning_rates={"convnet": 0.05}, test_images=200)
RESOURCES = Resources(
    trial_cpus=1,
    trial_memory_gib=0.25,
    evaluation_cpus=1,
    expert_cpus=1,
    shares={"mtt": Share(memory_gib=0.5), "convnet": Share(cpus=1)},
    generator_replicas=1,
)
# One after another: which runs are taken, and the file after which the command is interrupted, if it is.
COMMANDS = (
    (("algorithm.name=dm", "seed=0", "seed=2"), None),
    (("algorithm.name=dm", "seed=1"), r"evaluations/\w+/convnet-w4-d1\.parquet"),
    (("algorithm.name=dc",), r"checkpoints/step-00000004\.safetensors"),
    (("algorithm.name=mtt",), r"checkpoints/step-00000002\.safetensors"),
    ((), r"expert-0000\.arrow"),
)
# Differences that decide on who goes on and who wins are several of a hundred images.
SEARCH = Search(
    name="before",
    base=BASE,
    vary={
        "algorithm": Choice(values=(BASE.algorithm, MATCHING)),
        "algorithm.learning_rates.pixels": FloatRange(low=0.1, high=1000, log=True),
    },
    trials=6,
    sampler=TPE(startup=3),
    rungs=(Rung(share=1 / 3, epochs=20, repeats=2), Rung(share=1, epochs=30)),
    stopping=Halving(keep=2),
    evaluation=EVALUATION,
    finalists=2,
    controls=1,
    seeds=1,
    seed=2,
    resources=RESOURCES,
)
# The first of two trainings at the first rung of trial 3.
LOOKS = 8
OF_ROWS = ("run_id", "evaluation_id", "algorithm", "step", "selection", "network", "repeat", "accuracy")
OF_TRIALS = {"number", "state", "parameters", "rung_accuracies", "values", "full", "control", "error"}


def sweep():
    return Sweep(name="before", runs=tuple(RUNS.values()), evaluations=EVALUATION, resources=RESOURCES)


def search():
    return SEARCH


@contextlib.contextmanager
def interrupted_after(pattern, times=1):
    """SIGINT as soon as files of such a name were written so often."""
    write, seen = Storage.write_bytes, []

    def written(storage, path, data):
        write(storage, path, data)
        if pattern is not None and re.search(pattern, path):
            seen.append(path)
            if len(seen) == times:
                signal.raise_signal(signal.SIGINT)

    Storage.write_bytes = written
    try:
        yield
    finally:
        Storage.write_bytes = write


def command(name, folder, *words):
    return main([name, __file__, "--storage", str(folder / name), "--in-process", "--device", "cpu", *words])


def interrupt(folder):
    for conditions, pattern in COMMANDS:
        with interrupted_after(pattern):
            code = command("sweep", folder, *(word for each in conditions for word in ("--only", each)))
        assert code == (1 if pattern is None else 130)
    with interrupted_after("/looks/", LOOKS):
        assert command("search", folder) == 130


def expected(folder):
    assert command("sweep", folder) == 1, "one run fails"
    assert command("search", folder) == 0
    of_sweep, of_search = (Storage.open(folder / name) for name in ("sweep", "search"))
    curves = {name: read_losses(of_sweep, run.run_id) for name, run in RUNS.items()}
    return {
        "rows": read_results(of_sweep).select(OF_ROWS).to_pylist(),
        "losses": {name: curve.losses for name, curve in curves.items() if curve is not None},
        "runs": {name: run.run_id for name, run in RUNS.items()},
        "expert_sets": {name: run.expert_set.stored_id for name, run in RUNS.items() if run.expert_set is not None},
        "trials": [trial.model_dump(mode="json", include=OF_TRIALS) for trial in read_trials(of_search)],
        "rows of the winner": read_results(of_search).select(OF_ROWS).to_pylist(),
    }


def leave_out(folder):
    """What is made of the rest, and where it was recorded."""
    for report in folder.glob("*/report"):
        shutil.rmtree(report)
    here, host = f"{os.getcwd()}/", f'"{socket.gethostname()}"'
    for file in (*folder.rglob("failure.json"), *folder.rglob("ledger/*.json")):
        file.write_text(file.read_text().replace(here, "").replace(host, '"host"'))


def record(folder):
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as aside:
        os.environ["GLAD_RAY_CACHE"] = aside
        interrupt(folder)
        found = expected(Path(aside))
    leave_out(folder)
    (folder / "sweep.json").write_text(sweep().model_dump_json(indent=1) + "\n")
    (folder / "expected.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    record(Path(sys.argv[1]))
