"""What runs are told apart by: the few things every table names, and the settings in which like runs differ."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from glad_ray.spec import DATASETS, DSA, DatasetFacts, DiffusersAutoencoder, Run, StyleGANFile
from glad_ray.spec.algorithms import algorithm_kind, algorithm_order

_WHITENING = "whitening"
_WORDS = {DSA: "DSA", "": "none"}

Place = tuple[str, int, int | None]
"""dataset, resolution and images per class (None: all)"""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What tables tell runs apart by."""

    dataset: str
    resolution: int
    ipc: int | None
    """images per class; None of the whole dataset"""
    algorithm: str
    space: str
    seed: int

    @property
    def place(self) -> Place:
        """What it is compared within."""
        return self.dataset, self.resolution, self.ipc

    @property
    def order(self) -> tuple[Any, ...]:
        """A key that sorts runs as tables show them."""
        place = (algorithm_order(self.algorithm), space_order(self.space))
        return self.dataset, self.resolution, ipc_order(self.ipc), *place, self.seed


def is_baseline(algorithm: str) -> bool:
    """Whether an algorithm leaves real images as they are."""
    return not algorithm_kind(algorithm).distils


def is_coreset(algorithm: str) -> bool:
    """Whether an algorithm takes as many real images as a synthetic set has."""
    kind = algorithm_kind(algorithm)
    return not (kind.distils or kind.whole_dataset)


def ipc_order(ipc: int | None) -> float:
    """Where a number of images per class stands among others: the whole dataset last."""
    return math.inf if ipc is None else ipc


def space_order(space: str) -> tuple[int, int, str]:
    """Where a space stands on an axis: pixel, w+, f0, f1, ... and any others by name, numbers in it by their value."""
    if space[0] == "f" and space[1:].isdecimal():
        return 2, int(space[1:]), ""
    return {"pixel": 0, "w+": 1}.get(space, 3), 0, re.sub(r"\d+", lambda number: number[0].zfill(4), space)


def identities(rows: Iterable[Mapping[str, Any]], runs: Mapping[str, Run]) -> dict[str, Identity]:
    """What every run is, by run id: from its record where it is known, else from its rows."""
    known = {
        row["run_id"]: Identity(
            dataset=row["dataset"],
            resolution=row["resolution"],
            ipc=row["ipc"],
            algorithm=row["algorithm"],
            space=row["space"],
            seed=row["seed"],
        )
        for row in rows
    }
    for run_id, run in runs.items():
        known[run_id] = Identity(
            dataset=run.dataset,
            resolution=run.pixels,
            ipc=run.ipc,
            algorithm=run.algorithm.name,
            space=run.space,
            seed=run.seed,
        )
    return known


def known_datasets(runs: Mapping[str, Run]) -> dict[str, DatasetFacts]:
    """What is known of datasets, by name: of those of the package, and of the user's own that records tell of."""
    return DATASETS | {run.dataset: run.facts for run in runs.values()}


def variants(known: Mapping[str, Identity], runs: Mapping[str, Run]) -> dict[str, str]:
    """By run id, what sets a run apart from those of the same dataset, images per class, algorithm and space, and first
    its generator's title where runs of that dataset and images per class have several.

    The seed does not count. Whitening is said even where no other run differs in it. A run whose record is not known is
    set apart by its id.
    """
    titles: dict[Place, set[str]] = defaultdict(set)
    for run_id, run in runs.items():
        if run_id in known and run.generator is not None:
            titles[known[run_id].place].add(run.generator.title)
    alike: dict[Identity, set[str]] = defaultdict(set)
    for run_id, identity in known.items():
        alike[replace(identity, seed=0)].add(run_id)
    labels = {}
    for identity, run_ids in alike.items():
        fields = {run_id: settings(runs[run_id]) for run_id in run_ids if run_id in runs}
        telling = _telling([(_title(runs[run_id]), of_run) for run_id, of_run in fields.items()], identity.space)
        if _WHITENING not in telling:
            telling.append(_WHITENING)
        for run_id in run_ids:
            if run_id in fields:
                its, title = fields[run_id], _title(runs[run_id])
                said = [f"{path.removeprefix('algorithm.')} {its[path]}" for path in telling if path in its]
                if title and len(titles[identity.place]) > 1:
                    said.insert(0, title)
                labels[run_id] = ", ".join(said)
            else:
                labels[run_id] = f"run {run_id}" if len(run_ids) > 1 else ""
    return labels


def settings(run: Run) -> dict[str, str]:
    """All that decides the result of a run but its seed, by the paths of fields: `algorithm.learning_rates.f`."""
    flat: dict[str, str] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{path}.{key}" if path else key)
        else:
            flat[path] = f"{value:g}" if isinstance(value, float) else _WORDS.get(str(value), str(value))

    content = {name: value for name, value in run.identity.items() if name != "seed"}
    if isinstance(run.generator, StyleGANFile | DiffusersAutoencoder):
        name, sha256 = Path(run.generator.path).name, str(content["generator"].pop("sha256"))
        content["generator"]["file"] = f"{name} ({sha256[:8]})"
    walk(content, "")
    return flat


def _title(run: Run) -> str:
    return "" if run.generator is None else run.generator.title


def _telling(titled: Sequence[tuple[str, Mapping[str, str]]], space: str) -> list[str]:
    """The paths by which runs of a space differ, each given with its generator's title.

    Fields of generators are told where the title leaves them open; rates of latents that the space has not, only if
    nothing else differs.
    """
    fields = [of_run for _, of_run in titled]
    of_title: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for title, of_run in titled:
        of_title[title].append(of_run)

    def differs(path: str) -> bool:
        groups = of_title.values() if path.startswith("generator.") else [fields]
        return any(len({of_run.get(path) for of_run in group}) > 1 for group in groups)

    differing = [path for path in sorted({path for of_run in fields for path in of_run}) if differs(path)]
    used = {"pixel": ("pixels",), "w+": ("w",)}.get(space, ("f", "w"))
    of_space = [path for path in differing if ".learning_rates." not in path or path.rpartition(".")[2] in used]

    def kinds(chosen: Sequence[str]) -> int:
        return len({tuple(of_run.get(path) for path in chosen) for of_run in fields})

    return of_space if kinds(of_space) == kinds(differing) else differing
