"""The methods of a sweep beside one another, under each of its evaluations: a table, a picture and the images.

Shows how far each method is above random real images of as many images per class, and how often it was so over seeds;
of random images that are more, for equal bytes or compute, the accuracies stand in a table of their own.

    glad-ray sweep sweeps/successors.py
    python benchmarks/methods.py runs/successors --picture docs/results/successors.png --images docs/results/images.png
"""

import argparse
import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torchvision.utils import make_grid

from glad_ray import Results, load
from glad_ray.errors import UserError
from glad_ray.report.published.numbers import published_numbers
from glad_ray.report.tables.orders import kendall_tau
from glad_ray.results import read_results
from glad_ray.spec import RandomReal, Run
from glad_ray.storage import Storage
from glad_ray.synthetic_set import SyntheticSet

TITLES = {"hard": "hard labels", "fixed-soft": "fixed soft labels", "teacher": "a teacher at every step"}


class Method(NamedTuple):
    """What rows of the table have in common."""

    name: str
    images_per_class: int
    distils: bool


class Scored(NamedTuple):
    """A run under one evaluation, mean accuracies in percent."""

    seen: float
    """of the network that distilled"""
    unseen: float
    """of the others"""


class Compared(NamedTuple):
    """A method over its seeds."""

    method: Method
    runs: dict[int, Run]
    """by seed"""
    scores: dict[str, dict[int, Scored]]
    """by regime, by seed"""
    seconds: float
    """of a distillation, mean"""
    set_bytes: int
    """of what is stored, with hard labels"""
    spread: float | None
    """how far two images of a class are from one another, of the lowest seed; see `spread_of`"""

    def mean(self, regime: str) -> Scored:
        """Over seeds."""
        of_seeds = self.scores[regime].values()
        return Scored(fmean(each.seen for each in of_seeds), fmean(each.unseen for each in of_seeds))


def name_of(run: Run) -> str:
    """What a method is called in the table."""
    name = run.algorithm.label_of(run.algorithm.name)
    if run.space != "pixel":
        return f"{name} in {run.space}"
    return name if run.formation.factor == 1 else f"{name}, {run.formation.factor**2} images in one"


def compare(results: Results) -> list[Compared]:
    """Every method in the order of its runs."""
    scores: dict[str, dict[str, dict[bool, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    # A storage keeps results of other sweeps, and of earlier forms of this one.
    sweep = results.sweep
    evaluations = {evaluation.content_id for evaluation in sweep.evaluations}
    of_sweep = {run.run_id: run for run in sweep.runs}
    set_bytes: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for row in read_results(results.storage).to_pylist():
        asked = row["run_id"] in of_sweep and row["evaluation_id"] in evaluations
        if asked and row["selection"] == "last":
            scores[row["run_id"]][row["regime"]][row["seen"]].append(100 * row["accuracy"])
            seconds[row["run_id"]] = row["distill_seconds"]
            if row["regime"] == "hard":
                set_bytes[row["run_id"]] = row["set_bytes"]
    grouped: dict[Method, dict[int, Run]] = defaultdict(dict)
    for run_id in scores:
        # A sweep that goes on has runs which not every evaluation has scored.
        if set(scores[run_id]) != set(TITLES):
            continue
        run = of_sweep[run_id]
        grouped[Method(name_of(run), run.images_per_class, run.algorithm.distils)][run.seed] = run
    return [
        Compared(
            method,
            runs,
            {
                regime: {
                    seed: Scored(fmean(scores[run.run_id][regime][True]), fmean(scores[run.run_id][regime][False]))
                    for seed, run in sorted(runs.items())
                    if regime in scores[run.run_id]
                }
                for regime in TITLES
            },
            fmean(seconds[run.run_id] for run in runs.values()),
            max(set_bytes[run.run_id] for run in runs.values()),
            spread_of(results.storage, runs[min(runs)]),
        )
        for method, runs in grouped.items()
    ]


def spread_of(storage: Storage, run: Run) -> float | None:
    """The mean distance between two stored images of a class, of pixels of deviation 1, over the root of their number;
    None of one image per class.
    """
    if run.images_per_class == 1:
        return None
    path = storage.synthetic_set_path(run.run_id)
    stored = SyntheticSet.from_bytes(storage.read_bytes(path), path)
    pixels = stored.images.flatten(1)
    classes = stored.labels.unique()
    distances = [float(torch.pdist(pixels[stored.labels == label]).mean()) for label in classes]
    return fmean(distances) / float(pixels.shape[1]) ** 0.5


def at_equal_images(compared: Sequence[Compared]) -> dict[int, list[Compared]]:
    """By images per class, the best under hard labels first: where something was distilled, and random real images are
    there to compare with.
    """
    counts = {each.method.images_per_class for each in compared if each.method.distils}
    counts &= {each.method.images_per_class for each in compared if is_random(each)}
    if not counts:
        raise UserError("No set has random real images beside it, as many as it has: run the sweep to its end.")
    return {
        count: sorted(
            (each for each in compared if each.method.images_per_class == count),
            key=lambda one: -one.mean("hard").unseen,
        )
        for count in sorted(counts)
    }


def is_random(compared: Compared) -> bool:
    """Whether it is of random real images."""
    return compared.method.name == RandomReal.title


def above_random(compared: Compared, random: Compared, regime: str) -> tuple[float, int]:
    """Points above random images of the same seed, on networks that did not distil: the mean, and for how many seeds
    they are above 0.
    """
    ours, theirs = compared.scores[regime], random.scores[regime]
    points = [ours[seed].unseen - theirs[seed].unseen for seed in ours if seed in theirs]
    return fmean(points), sum(each > 0 for each in points)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] + ["---:"] * (len(head) - 1), *rows])


def tables(compared: Sequence[Compared]) -> str:
    """For each number of images per class, and at the end that of more real images."""
    parts = []
    for count, methods in at_equal_images(compared).items():
        random = next((each for each in methods if is_random(each)), None)
        if random is None:
            raise UserError(
                f"There are no random real images of {count} per class: run the sweep with them, to its end."
            )
        columns = [f"{title}{what}" for title in TITLES.values() for what in ("", ", ConvNet", ", above random")]
        apart = ["distance within a class"] if random.spread is not None else []
        head = ["method", "seeds", *columns, "seconds", "bytes", *apart]
        rows = []
        for each in methods:
            cells = []
            for regime in TITLES:
                mean = each.mean(regime)
                points, times = above_random(each, random, regime)
                seeds = len(each.scores[regime])
                beside = "" if is_random(each) else f"{points:+.1f} ({times} of {seeds})"
                cells += [f"{mean.unseen:.1f}", f"{mean.seen:.1f}", beside]
            cost = [f"{each.seconds:.0f}", f"{each.set_bytes:,}"]
            distance = [f"{each.spread:.2f}"] if apart and each.spread is not None else []
            rows.append([each.method.name, str(len(each.runs)), *cells, *cost, *distance])
        parts.append(f"Images per class: {count}\n\n{markdown(head, rows)}")
        pairs = [
            [TITLES[first], TITLES[second], f"{tau:+.2f}"]
            for first, second in itertools.combinations(TITLES, 2)
            if (tau := _tau(methods, first, second)) is not None
        ]
        parts.append(markdown(["between", "and", f"Kendall's tau of {len(methods)} methods"], pairs))
    counts = set(at_equal_images(compared))
    more = [each for each in compared if is_random(each) and each.method.images_per_class not in counts]
    if more:
        rows = [
            [str(each.method.images_per_class), *(f"{each.mean(regime).unseen:.1f}" for regime in TITLES)]
            for each in sorted(more, key=lambda one: one.method.images_per_class)
        ]
        parts.append(markdown(["random real images per class", *TITLES.values()], rows))
    return "\n\n".join(parts)


def _tau(methods: Sequence[Compared], first: str, second: str) -> float | None:
    means = [[each.mean(regime).unseen for each in methods] for regime in (first, second)]
    return kendall_tau(*means)


def published(compared: Sequence[Compared]) -> str:
    """What is published of the same methods, dataset and numbers of images per class, at any resolution."""
    datasets = {run.dataset for each in compared for run in each.runs.values()}
    algorithms = {run.algorithm.name for each in compared for run in each.runs.values()}
    rows = [
        [
            f"{each.algorithm.upper()} ({each.source})",
            str(each.ipc),
            f"{each.resolution}",
            f"{100 * each.score.mean:.1f}",
            each.note,
        ]
        for each in published_numbers()
        if each.dataset in datasets and each.algorithm in algorithms and each.ipc in at_equal_images(compared)
    ]
    return markdown(["published", "images per class", "pixels", "ConvNet", "note"], rows) if rows else ""


def draw(compared: Sequence[Compared], path: Path) -> None:
    """A panel for each number of images per class and regime: dots of seeds, a mark at their mean, a line at random
    images.
    """
    of_counts = at_equal_images(compared)
    tallest = max(map(len, of_counts.values()))
    figure = Figure(figsize=(11, 0.27 * tallest * len(of_counts) + 1.2), layout="constrained")
    panels = figure.subplots(len(of_counts), len(TITLES), squeeze=False, sharey="row")
    for row, (count, methods) in zip(panels, of_counts.items(), strict=True):
        for axes, (regime, title) in zip(row, TITLES.items(), strict=True):
            for height, each in enumerate(reversed(methods)):
                style = each.runs[min(each.runs)].algorithm.figure_style
                values = [score.unseen for score in each.scores[regime].values()]
                colour = style.light if each.method.distils else "#57606a"
                axes.plot(values, [height] * len(values), ".", color=colour, alpha=0.5)
                axes.plot(fmean(values), height, marker=style.marker, color=colour)
                if is_random(each):
                    axes.axvline(fmean(values), color="black", linewidth=0.8)
            axes.set_yticks(range(len(methods)), [each.method.name for each in reversed(methods)], fontsize=8)
            images = "1 image" if count == 1 else f"{count} images"
            axes.set_title(f"{images} per class, {title}", loc="left", fontsize=9)
            axes.set_xlabel("accuracy of networks that did not distil, %", fontsize=8)
            axes.grid(axis="x", linewidth=0.3)
            for side in ("top", "right", "left"):
                axes.spines[side].set_visible(False)
            axes.tick_params(axis="y", length=0)
    figure.savefig(path, dpi=130)


def draw_images(storage: Storage, compared: Sequence[Compared], path: Path) -> None:
    """A row for each method at the fewest images per class: what it stores of its lowest seed, an image a class."""
    methods = next(iter(at_equal_images(compared).values()))
    figure = Figure(figsize=(6.4, 0.5 * len(methods)))
    panels = figure.subplots(
        len(methods), 1, squeeze=False, gridspec_kw={"left": 0.29, "right": 0.99, "bottom": 0.01, "top": 0.99}
    )[:, 0]
    for axes, each in zip(panels, methods, strict=True):
        run = each.runs[min(each.runs)]
        at = storage.synthetic_set_path(run.run_id)
        made = SyntheticSet.from_bytes(storage.read_bytes(at), at).as_stored()
        first = [int((made.labels == label).nonzero()[0]) for label in made.labels.unique()]
        axes.imshow(
            make_grid(made.unit_images()[torch.tensor(first)], nrow=len(first), padding=1)[0].numpy(), cmap="gray"
        )
        axes.set_ylabel(each.method.name, rotation=0, ha="right", va="center", fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the tables, and draw what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("storage", type=Path)
    parser.add_argument("--picture", type=Path, help="of the accuracies")
    parser.add_argument("--images", type=Path, help="of the sets with the fewest images per class")
    given = parser.parse_args()
    try:
        results = load(given.storage)
        compared = compare(results)
        if not compared:
            raise UserError(f"There are no results in {results.storage}: name the folder that glad-ray sweep wrote to.")
        print(tables(compared), published(compared), sep="\n\n")
        if given.picture:
            draw(compared, given.picture)
        if given.images:
            draw_images(results.storage, compared, given.images)
    except UserError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
