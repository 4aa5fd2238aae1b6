"""Expert trajectories of the older code (MTT, TESLA, GLaD) brought in: its files `replay_buffer_<n>.pt`.

Each is a list of trajectories, a trajectory a list of snapshots from epoch 0 on, a snapshot a list of tensors in the
network's order of registration, which is ours too. A file does not say what it was made with: the user does, and
whatever of that can be seen in the tensors is checked. Norms of the same parameters look alike, and so do datasets.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glad_ray.errors import DataError, UserError
from glad_ray.exchange.torch_files import is_plain, read_tensors
from glad_ray.experts import FlatArray, Shapes, missing_experts, parameter_shapes, write_trajectory
from glad_ray.networks import build_network
from glad_ray.spec import ExpertSet, dataset_facts
from glad_ray.storage import Storage

_SIDES_SHOWN = 5


def import_replay_buffers(
    files: Iterable[Path], expert_set: ExpertSet, storage: Storage, on_progress: Callable[[int], None]
) -> int:
    """Write the first `experts.count` trajectories of some files as expert files of `expert_set`; tells how many.

    The files are taken in the order of the numbers in their names. Experts that are on storage are left as they are, so
    that an import that was interrupted goes on. `on_progress` is told how many experts are there, after each. Raises
    `DataError` if a file is damaged or its experts are others than the set's, `UserError` if the files have too few;
    both before anything is written, but for numbers that are not finite and snapshots that are all the same.
    """
    facts, count = dataset_facts(expert_set.dataset), expert_set.experts.count
    network = build_network(
        expert_set.network,
        channels=facts.channels,
        resolution=expert_set.resolution,
        classes=facts.classes,
        rng=None,
    )
    shapes, ordered = parameter_shapes(network), sorted(files, key=_by_numbers)
    found = sum(1 for _ in islice(_trajectories(ordered, expert_set, shapes), count))
    if found < count:
        raise UserError(
            f"The files hold {found} trajectories and the set is to have {count} experts: name more files"
            + (f", or set the experts' count to {found}." if found else ".")
        )
    missing = set(missing_experts(storage, expert_set))
    for index, trajectory in enumerate(islice(_trajectories(ordered, expert_set, shapes), count)):
        if index in missing:
            trajectory.check_values()
            write_trajectory(
                storage,
                expert_set,
                index,
                shapes,
                ((snapshot, math.nan) for snapshot in trajectory.flat_snapshots()),
                source=trajectory.place,
            )
        on_progress(index + 1)
    return len(missing)


@dataclass(frozen=True)
class _Trajectory:
    """Of the right form, up to the last epoch that is kept."""

    place: str
    """where it was found, for people"""
    snapshots: list[list[Tensor]]

    def check_values(self) -> None:
        """Raise `DataError` if the numbers cannot be those of an expert's training."""
        for epoch, snapshot in enumerate(self.snapshots):
            if not all(bool(tensor.isfinite().all()) for tensor in snapshot):
                raise DataError(f"{self.place} is not finite after {epoch} epochs: make the file again without it.")
        if all(map(torch.equal, self.snapshots[0], self.snapshots[-1])):
            raise DataError(
                f"{self.place} ends with the parameters it starts with, which the older code writes where it trains on "
                "a CPU: make the file again on a GPU."
            )

    def flat_snapshots(self) -> Iterator[FlatArray]:
        return (torch.cat([tensor.reshape(-1) for tensor in snapshot]).numpy() for snapshot in self.snapshots)


def _trajectories(files: list[Path], expert_set: ExpertSet, shapes: Shapes) -> Iterator[_Trajectory]:
    """Of all files in turn, each checked for its form; one file is open at a time."""
    for path in files:
        trajectories = read_tensors(path)
        if not _is_list_of_lists(trajectories) or not all(_is_list_of_lists(each) for each in trajectories):
            raise DataError(
                f"{path} is not a list of trajectories, each a list of snapshots, each a list of tensors: name a "
                "replay_buffer_<n>.pt."
            )
        for number, snapshots in enumerate(trajectories):
            difference = _first_difference(snapshots, expert_set, shapes)
            if difference is not None:
                raise DataError(f"Trajectory {number} of {path} {difference}.")
            yield _Trajectory(f"Trajectory {number} of {path.name}", snapshots[: expert_set.experts.last_epoch + 1])


def _is_list_of_lists(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, list) for each in value)


def _first_difference(snapshots: list[list[Any]], expert_set: ExpertSet, shapes: Shapes) -> str | None:
    """What first sets a trajectory apart from those of the set, as a predicate; None: nothing."""
    experts, epochs = expert_set.experts, len(snapshots) - 1
    if epochs != experts.epochs:
        kept = ", and keep_until to keep fewer" if epochs > experts.epochs else ""
        remedy = f": set the experts' epochs to {epochs}{kept}" if epochs > 0 else ""
        return f"has {max(0, epochs)} epochs, not {experts.epochs}{remedy}"
    for epoch, snapshot in enumerate(snapshots):
        if len(snapshot) != len(shapes):
            return (
                f"has {len(snapshot)} tensors a snapshot and {_network(expert_set)} has {len(shapes)} parameters: it "
                "is of another network, depth or norm"
            )
        for tensor, (name, shape) in zip(snapshot, shapes, strict=True):
            if not is_plain(tensor, torch.float32):
                return f"has no float32 tensor for {name} after {epoch} epochs: save parameters as they are trained"
            if tensor.shape != shape:
                return (
                    f"has {_sides(tensor.shape)} numbers where {name} of {_network(expert_set)} has {_sides(shape)}: "
                    f"it is of {_other(name, tuple(tensor.shape), shape)}"
                )
    return None


def _other(name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """What a parameter of another shape is a sign of."""
    if name.startswith("classifier.") and found[1:] == expected[1:]:
        return f"{found[0]} classes, not {expected[0]}"
    if len(found) == len(expected) == 4 and found[:1] + found[2:] == expected[:1] + expected[2:]:
        return f"images of {found[1]} channels, not {expected[1]}"
    if name == "classifier.weight" and found[:1] == expected[:1]:
        return "images of another resolution, or of another depth"
    return "another network, width or norm"


def _network(expert_set: ExpertSet) -> str:
    return f"{expert_set.network.title} on {expert_set.dataset} at {expert_set.resolution} pixels"


def _sides(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape[:_SIDES_SHOWN])) + (" x ..." if len(shape) > _SIDES_SHOWN else "") or "single"


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    """Sorts replay_buffer_10.pt after replay_buffer_9.pt."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(path))]
