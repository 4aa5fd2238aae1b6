"""Whether a prior helps: chooses layers and learning rates from a search, and compares what a sweep made of them.

glad-ray search sweeps/search_prior.py
python benchmarks/prior.py choose runs/search-prior          # writes sweeps/prior/chosen.json
glad-ray sweep sweeps/does_the_prior_help.py
python benchmarks/prior.py compare runs/does-the-prior-help --picture docs/results/does_the_prior_help.png
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure

from glad_ray.errors import UserError
from glad_ray.report.tables.intervals import Interval, interval
from glad_ray.results import read_results, read_run, read_trials
from glad_ray.spec import DM, Run
from glad_ray.storage import Storage
from glad_ray.synthetic_set import SyntheticSet

SWEEPS = Path(__file__).parent.parent / "sweeps"
sys.path.insert(0, str(SWEEPS))
import search_prior  # noqa: E402

LAYERS = 2
"""of each generator that go on"""
PIXELS = "pixels"


def generator_names() -> dict[str, str]:
    """Of the generators of the search, by their SHA-256."""
    runs = {
        name: search_prior.base(algorithm=DM(), space="f1", generator=file, init=init)
        for name, (file, init) in search_prior.GENERATORS.items()
    }
    return {run.generator.sha256: name for name, run in runs.items()}


def name_of_generator(run: Run, names: Mapping[str, str]) -> str | None:
    """Of a run, None for pixels; raises `UserError` for a generator that is none of the search's."""
    if run.generator is None:
        return None
    name = names.get(getattr(run.generator, "sha256", ""))
    if name is None:
        raise UserError(f"{run.label} has a generator that is none of {search_prior.__file__}: it is not compared.")
    return name


def choose(storage: Storage) -> list[dict[str, object]]:
    """The best rate of pixels, and of each generator the best two layers with their best rates, for each algorithm."""
    names = generator_names()
    best: dict[tuple[str, str | None], dict[str, dict[str, object]]] = defaultdict(dict)
    trials = read_trials(storage)
    if not trials:
        raise UserError(f"There is no search in {storage}: name the folder that glad-ray search wrote to.")
    if any(trial.state != "complete" for trial in trials):
        raise UserError(f"The search in {storage} has trials that are not complete: give its command again.")
    for trial in trials:
        run, accuracy = trial.run, trial.rung_accuracies[-1]
        generator = name_of_generator(run, names)
        rates = run.algorithm.learning_rates
        found = {
            "algorithm": run.algorithm.name,
            "generator": generator,
            "space": run.space,
            "learning_rate": rates.pixels if generator is None else rates.f,
            "held_out_accuracy": accuracy,
        }
        of = best[run.algorithm.name, generator]
        if run.space not in of or accuracy > of[run.space]["held_out_accuracy"]:
            of[run.space] = found
    return [
        each
        for layers in best.values()
        for each in sorted(layers.values(), key=lambda found: -found["held_out_accuracy"])[:LAYERS]
    ]


class Setting(NamedTuple):
    """What differs between runs, but for their seeds."""

    algorithm: str
    iterations: int
    images_per_class: int
    generator: str
    """pixels, of real images too; or a name of the search's"""
    space: str
    init: str


class Compared(NamedTuple):
    """A setting over its seeds."""

    setting: Setting
    networks: Mapping[str, float]
    """mean accuracy in percent, by network"""
    by_seed: Mapping[int, float]
    """accuracy in percent, mean of the networks that did not distil, by seed"""
    unseen: Interval
    """accuracy in percent, mean of the networks that did not distil"""
    difference: Interval | None
    """in points, from pixels of the same algorithm, steps, images per class and seed; None: of pixels, real images"""
    differences: tuple[float, ...]
    seconds: float
    """of a distillation"""
    deviation: float
    """of the pixels of its images, of which those of the dataset have 1"""

    @property
    def verdict(self) -> str:
        """What the interval says."""
        return "" if self.difference is None else verdict_of(self.difference)


def verdict_of(difference: Interval) -> str:
    """Where an interval lies beside 0; empty of a single value, which has none."""
    if difference.half is None:
        return ""
    return (
        "above" if difference.mean > difference.half else "below" if difference.mean < -difference.half else "undecided"
    )


def setting(run: Run, names: Mapping[str, str]) -> Setting:
    """Of a run."""
    return Setting(
        run.algorithm.name,
        run.steps,
        run.images_per_class,
        name_of_generator(run, names) or PIXELS,
        run.space,
        run.init or "",
    )


def compare(storages: Sequence[Storage]) -> list[Compared]:
    """All settings, in the order of their runs. Pixels that the others are compared with are those of the first."""
    names = generator_names()
    accuracies: dict[Setting, dict[int, dict[str, float]]] = {}
    unseen: dict[Setting, dict[int, float]] = {}
    seconds: dict[Setting, list[float]] = defaultdict(list)
    deviations: dict[Setting, list[float]] = defaultdict(list)
    pixels: dict[tuple[str, int, int, int], float] = {}
    for storage in storages:
        of_run: dict[str, dict[str, list[dict[str, object]]]] = defaultdict(lambda: defaultdict(list))
        for row in read_results(storage).to_pylist():
            if row["selection"] == "last":
                of_run[row["run_id"]][row["network"]].append(row)
        runs = {run_id: read_run(storage, run_id) for run_id in of_run}
        for run_id, run in sorted(runs.items(), key=lambda item: item[1].seed):
            of, networks = setting(run, names), of_run[run_id]
            means = {network: 100 * fmean(row["accuracy"] for row in rows) for network, rows in networks.items()}
            accuracies.setdefault(of, {})[run.seed] = means
            mean = fmean(means[network] for network, rows in networks.items() if not rows[0]["seen"])
            unseen.setdefault(of, {})[run.seed] = mean
            seconds[of].append(next(iter(networks.values()))[0]["distill_seconds"])
            path = storage.synthetic_set_path(run_id)
            deviations[of].append(float(SyntheticSet.from_bytes(storage.read_bytes(path), path).images.std()))
            if of.generator == PIXELS:
                pixels.setdefault((of.algorithm, of.iterations, of.images_per_class, run.seed), mean)
    made = []
    for of, by_seed in accuracies.items():
        reference = [pixels.get((of.algorithm, of.iterations, of.images_per_class, seed)) for seed in by_seed]
        differences = tuple(
            unseen[of][seed] - other for seed, other in zip(by_seed, reference, strict=True) if other is not None
        )
        itself = not any(differences)
        made.append(
            Compared(
                of,
                {name: fmean(each[name] for each in by_seed.values()) for name in next(iter(by_seed.values()))},
                unseen[of],
                interval(list(unseen[of].values())),
                None if itself else interval(differences),
                differences,
                fmean(seconds[of]),
                fmean(deviations[of]),
            )
        )
    return sorted(made, key=_place)


def _place(compared: Compared) -> tuple[int, int, int, int, str, str]:
    """Real images first, then by algorithm; pixels before generators."""
    algorithms, generators = list(search_prior.ALGORITHMS), [PIXELS, *search_prior.GENERATORS]
    of = compared.setting
    algorithm = algorithms.index(of.algorithm) if of.algorithm in algorithms else -1
    return algorithm, of.images_per_class, of.iterations, generators.index(of.generator), of.space, of.init


def decisions(compared: Sequence[Compared], chosen: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the sweep decides by the first layers that were chosen, a sentence each."""
    first: dict[str, dict[str, Compared]] = defaultdict(dict)
    for each in chosen:
        name, images_of = each["algorithm"], each["generator"] or PIXELS
        found = [
            one
            for one in compared
            if (one.setting.algorithm, one.setting.generator, one.setting.space) == (name, images_of, each["space"])
        ]
        if found:
            first[name].setdefault(images_of, found[0])
    said = []
    for name, of in first.items():
        for images_of, other in [*((each, PIXELS) for each in of if each != PIXELS), ("bundled", "random weights")]:
            if images_of in of and other in of:
                ours, theirs = of[images_of].by_seed, of[other].by_seed
                difference = interval([ours[seed] - theirs[seed] for seed in ours if seed in theirs])
                said.append(
                    f"{name.upper()}: {images_of} ({of[images_of].setting.space}) less {other} "
                    f"({of[other].setting.space}): {plus_minus(difference, '+')}, {verdict_of(difference)}"
                )
    return said


def plus_minus(value: Interval, sign: str = "") -> str:
    """`+1.2 ± 0.8`."""
    half = "" if value.half is None else f" ± {value.half:.1f}"
    return f"{value.mean:{sign}.1f}{half}"


def table(compared: Sequence[Compared]) -> str:
    """In Markdown."""
    networks = list(compared[0].networks)
    head = [
        "algorithm",
        "steps",
        "images per class",
        "images of",
        "space",
        "begins at",
        *networks,
        "unseen",
        "less pixels",
        "seeds",
        "the interval lies",
        "seconds",
        "deviation of pixels",
    ]
    rows = [
        [
            each.setting.algorithm,
            str(each.setting.iterations),
            str(each.setting.images_per_class),
            each.setting.generator,
            each.setting.space,
            each.setting.init,
            *(f"{each.networks[name]:.1f}" for name in networks),
            plus_minus(each.unseen),
            plus_minus(each.difference, "+") if each.difference else "",
            str(each.unseen.values),
            each.verdict,
            f"{each.seconds:.0f}",
            f"{each.deviation:.1f}",
        ]
        for each in compared
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def draw(compared: Sequence[Compared], path: Path) -> None:
    """Differences from pixels: a dot a seed, the mean and its interval."""
    algorithms = [name for name in search_prior.ALGORITHMS if any(each.setting.algorithm == name for each in compared)]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    panels = figure.subplots(1, len(algorithms), squeeze=False)[0]
    for axes, algorithm in zip(panels, algorithms, strict=True):
        rows = [each for each in compared if each.setting.algorithm == algorithm and each.difference][::-1]
        for height, each in enumerate(rows):
            colour = {"above": "#1a7f37", "below": "#b42318"}.get(each.verdict, "#57606a")
            axes.plot(each.differences, [height] * len(each.differences), ".", color=colour, alpha=0.4)
            axes.errorbar(each.difference.mean, height, xerr=each.difference.half, fmt="o", color=colour, capsize=3)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(range(len(rows)), [f"{each.setting.generator}, {each.setting.space}" for each in rows])
        axes.set_title(algorithm.upper(), loc="left", fontsize=10)
        axes.set_xlabel("points above pixels")
        axes.grid(axis="x", linewidth=0.3)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.tick_params(axis="y", length=0)
    figure.savefig(path, dpi=130)


def draw_images(storage: Storage, chosen: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A row for each of the first layers: the images of its run with the lowest seed, a class each."""
    names = generator_names()
    sets: dict[tuple[str, str, str], tuple[int, SyntheticSet]] = {}
    for run_id in dict.fromkeys(read_results(storage)["run_id"].to_pylist()):
        run = read_run(storage, run_id)
        key = run.algorithm.name, name_of_generator(run, names) or PIXELS, run.space
        if key not in sets or run.seed < sets[key][0]:
            made = storage.synthetic_set_path(run_id)
            sets[key] = run.seed, SyntheticSet.from_bytes(storage.read_bytes(made), made)
    first: dict[tuple[str, str], str] = {}
    for each in chosen:
        first.setdefault((each["algorithm"], each["generator"] or PIXELS), each["space"])
    rows = [(*key, space) for key, space in first.items() if (*key, space) in sets]
    figure = Figure(figsize=(6, 0.47 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, (algorithm, images_of, space) in zip(panels, rows, strict=True):
        images = sets[algorithm, images_of, space][1].unit_images()
        axes.imshow(torch.cat(list(images), dim=2)[0], cmap="gray", vmin=0, vmax=1)
        label = f"{algorithm.upper()} {images_of}" + ("" if space == "pixel" else f", {space}")
        axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.savefig(path, dpi=100)


def main() -> None:
    """Choose, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    choosing = commands.add_parser("choose", help="layers and rates from a search's storage")
    choosing.add_argument("storage", type=Path)
    choosing.add_argument("--file", type=Path, default=search_prior.CONTROLS / "chosen.json")
    comparing = commands.add_parser("compare", help="the settings in the storages of sweeps, with pixels of the first")
    comparing.add_argument("storages", type=Path, nargs="+")
    comparing.add_argument("--picture", type=Path, help="of the differences")
    comparing.add_argument("--images", type=Path, help="a picture of the images of the first storage")
    given = parser.parse_args()
    try:
        carry_out(given)
    except UserError as error:
        parser.exit(2, f"{error}\n")


def carry_out(given: argparse.Namespace) -> None:
    """What the arguments ask for."""
    if given.command == "choose":
        chosen = choose(Storage.open(given.storage, create=False))
        given.file.write_text("[\n" + ",\n".join(map(json.dumps, chosen)) + "\n]\n")
        print(given.file.read_text())
        return
    compared = compare([Storage.open(storage, create=False) for storage in given.storages])
    if not compared:
        raise UserError("There are no results there: name the folder that glad-ray sweep wrote to.")
    print(table(compared))
    chosen = json.loads((search_prior.CONTROLS / "chosen.json").read_text())
    print("", *decisions(compared, chosen), sep="\n")
    if given.picture:
        draw(compared, given.picture)
    if given.images:
        draw_images(Storage.open(given.storages[0], create=False), chosen, given.images)


if __name__ == "__main__":
    main()
