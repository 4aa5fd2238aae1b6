"""A search against the full grid of the same space: what each spent, and how good the best of each is.

Runs `glad-ray search` on a search file twice, each in a storage of its own: as the file has it, and as a grid of some
values of every range of numbers, nothing stopped early, every point evaluated in full. Compared are the winners, each
distilled anew with the search's fresh seeds and tested by the sweep engine, and what was spent: seconds of distilling
and of trainings, wherever they ran, and as counts, which do not depend on the machine, steps and training epochs. The
fresh seeds of the winners are left out of that.

    python benchmarks/search_against_grid.py sweeps/search_layers.py
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from glad_ray.results import SearchTrial, read_look, read_results, read_trials
from glad_ray.spec import Rung, Search
from glad_ray.spec.written.sweep_file import load_search
from glad_ray.storage import Storage

GRID = (
    'sampler={{"name": "grid", "points": {points}}}',
    "stopping=never",
    'rungs=[{{"share": 1, "epochs": 1}}]',
    "trials=100000",
    "finalists=100000",
    "controls=0",
)


class Spent(NamedTuple):
    """On distilling and evaluating."""

    wall: float
    """seconds"""
    compute: float
    """seconds of distilling and of trainings, of all processes"""
    steps: int
    epochs: int
    """of all trainings"""


def run(search_file: Path, storage: Path, *assignments: str) -> float:
    """Search in a process of its own; returns the seconds that took."""
    words = [word for assignment in assignments for word in ("--set", assignment)]
    started = time.monotonic()
    command = [sys.executable, "-m", "glad_ray", "search", str(search_file), "--storage", str(storage), *words]
    subprocess.run(command, check=True)
    return time.monotonic() - started


def spent(search: Search, storage: Storage, wall: float) -> Spent:
    """What the trials took; rung evaluations of trials that a grid evaluates in full anyway are no part of it."""
    trials = read_trials(storage)
    steps = epochs = 0
    compute = sum(trial.seconds + trial.full_seconds for trial in trials)
    in_vain = len(search.rungs) == 1
    for trial in trials:
        reached = search.rungs[-1] if trial.full else search.rungs[max(0, len(trial.rung_accuracies) - 1)]
        steps += search.step_of(trial.run, reached)
        evaluated = [] if in_vain and trial.full else list(search.rungs[: len(trial.rung_accuracies)])
        for rung in [*evaluated, *([None] if trial.full else [])]:
            evaluation = search.evaluation_at(trial.run, rung)
            epochs += evaluation.epochs * evaluation.repeats * len(evaluation.networks)
        if in_vain and trial.full:
            compute -= _seconds_at_rung(search, storage, trial, search.rungs[0])
    return Spent(wall, compute, steps, epochs)


def _seconds_at_rung(search: Search, storage: Storage, trial: SearchTrial, rung: Rung) -> float:
    evaluation = search.evaluation_at(trial.run, rung)
    step = search.step_of(trial.run, rung)
    return sum(
        read_look(storage, storage.look_path(trial.run.run_id, step, evaluation.content_id, network.key)).seconds
        for network in evaluation.networks
    )


def winner(storage: Storage) -> SearchTrial:
    """The best in full."""
    return max(read_trials(storage), key=lambda trial: trial.full_accuracy or 0.0)


def tested(search: Search, storage: Storage, best: SearchTrial) -> np.ndarray:
    """Test accuracies of the winner, in percent, one a fresh seed: means over the networks that did not distil."""
    unseen = {network.key for network in search.evaluation.unseen_by(best.run)}
    rows = [row for row in read_results(storage).to_pylist() if row["selection"] == "last" and row["network"] in unseen]
    by_run = {
        run.run_id: [row["accuracy"] for row in rows if row["run_id"] == run.run_id]
        for run in search.winner_runs(best.run)
    }
    return 100 * np.array([np.mean(accuracies) for accuracies in by_run.values()])


def show(search: Search, folders: dict[str, Path], walls: dict[str, float], variants: dict[str, Search]) -> None:
    """Both, side by side."""
    table = Table("", *folders, box=None)
    storages = {name: Storage.open(folder, create=False) for name, folder in folders.items()}
    winners = {name: winner(storage) for name, storage in storages.items()}
    cost = {name: spent(variants[name], storage, walls[name]) for name, storage in storages.items()}
    test = {name: tested(search, storage, winners[name]) for name, storage in storages.items()}
    trials = {name: read_trials(storage) for name, storage in storages.items()}

    def row(title: str, *cells: str) -> None:
        table.add_row(title, *cells)

    row("configurations begun", *(str(len(trials[name])) for name in folders))
    row(
        "to their last step",
        *(
            str(sum(len(each.rung_accuracies) == len(variants[name].rungs) for each in trials[name]))
            for name in folders
        ),
    )
    row("evaluated in full", *(str(sum(bool(each.full) for each in trials[name])) for name in folders))
    row("compute, s", *(f"{cost[name].compute:.0f}" for name in folders))
    row("distillation steps", *(f"{cost[name].steps}" for name in folders))
    row("training epochs", *(f"{cost[name].epochs}" for name in folders))
    row("wall, with starts and tests, s", *(f"{cost[name].wall:.0f}" for name in folders))
    row("the best: space", *(winners[name].run.space for name in folders))
    for path in sorted({name for best in winners.values() for name in best.parameters} - {"space"}):
        cells = (winners[name].parameters.get(path) for name in folders)
        row(f"  {path}", *("-" if cell is None else f"{cell:.3g}" for cell in cells))
    row("  held-out, in full", *(f"{100 * (winners[name].full_accuracy or 0):.1f} %" for name in folders))
    row("  test, fresh seeds", *(f"{each.mean():.1f} ± {each.std(ddof=1):.1f} %" for each in test.values()))
    Console(width=160).print(table)
    first, second = cost.values()
    print(f"ratio of compute {first.compute / second.compute:.2f}, of steps {first.steps / second.steps:.2f}, ", end="")
    print(f"of epochs {first.epochs / second.epochs:.2f}")
    one, other = test.values()
    error = np.sqrt(one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other))
    print(f"the search's best less the grid's, on test images: {one.mean() - other.mean():.1f} ± {error:.1f} points")
    print("\nthe best in full by space, held-out %:")
    for name in folders:
        best: dict[str, float] = {}
        for trial in trials[name]:
            if trial.full_accuracy is not None:
                best[trial.run.space] = max(best.get(trial.run.space, 0.0), trial.full_accuracy)
        print(f"  {name}: " + ", ".join(f"{space} {100 * value:.1f}" for space, value in sorted(best.items())))


def main() -> None:
    """Run both, and compare them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("search_file", type=Path)
    parser.add_argument("--points", type=int, default=3, help="values of every range of numbers in the grid")
    parser.add_argument("--folder", type=Path, help="where both are kept, with their reports")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="glad-ray-search-"))
    search = load_search(given.search_file)
    grid = [assignment.format(points=given.points) for assignment in GRID]
    folders = {"search": folder / "search", "grid": folder / "grid"}
    walls = {
        "search": run(given.search_file, folders["search"]),
        "grid": run(given.search_file, folders["grid"], *grid),
    }
    variants = {"search": search, "grid": search.replace(rungs=(Rung(share=1.0, epochs=1),))}
    show(search, folders, walls, variants)
    print(f"\nreports: {', '.join(str(each / 'report/search.html') for each in folders.values())}")


if __name__ == "__main__":
    main()
