"""Expert trajectories: how long a trial waits for a segment, and how many experts are trained in an hour.

Segments. A trial asks for the parameters of an expert at two epochs and takes their distance, the first thing that MTT
does with them; both together are the wait that is counted. After it the trial is busy for `--busy-ms`, which is not.
Ours: files mapped into memory, and the store's actor through Ray, asked when a segment is needed or ahead. The older
code's way (MTT, TESLA, GLaD): a `replay_buffer_<n>.pt` of many trajectories is loaded whole; a segment is taken of each
of them once, its tensors joined to one vector; then the next file is loaded. `kept` is that without the loads after the
first, which is all of it where one file is all there is and it stays in memory. All read from the page cache. Bytes
copied are those that a way must copy for a segment: none where it gives views; the store copies a snapshot into Ray's
object store when it is first asked for, and no trial copies it again.

Training. The same experts one by one and as batched ensembles, on the bundled sample.

    python benchmarks/experts.py
    python benchmarks/experts.py --width 128 --epochs 50 --rounds 10
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import ray
import torch
from own_process import fresh
from rich.console import Console
from rich.table import Table
from timing import Timing, time_in_turn
from torch import Tensor

from glad_ray.data import load_dataset
from glad_ray.engine.cluster.connection import connected
from glad_ray.engine.on_ray.expert_store import start_expert_store
from glad_ray.engine.on_ray.remote_trajectories import RemoteTrajectories
from glad_ray.experts import ExpertFiles, parameter_shapes, train_experts, write_trajectory
from glad_ray.machine import device_name, open_device
from glad_ray.networks import build_network, flat_parameters, split_parameters
from glad_ray.spec import Experts, ExpertSet, Network
from glad_ray.storage import Storage
from glad_ray.trajectories import Trajectories

DATASET, RESOLUTION, CLASSES = "fashion-mnist-sample", 32, 10
SEGMENT_EPOCHS = 2
KIBIBYTE = 1024

Question = tuple[int, int, int]
Segment = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Setting:
    """What all measurements share; small enough to be sent to another process."""

    folder: str
    width: int
    experts: int
    """trajectories, all in one file of the older code"""
    epochs: int
    rounds: int
    busy_seconds: float
    held_out: int
    """images a class that experts are not trained on"""
    together: tuple[int, ...]
    device: str

    @property
    def expert_set(self) -> ExpertSet:
        """The experts that are read."""
        return ExpertSet(
            dataset=DATASET,
            resolution=RESOLUTION,
            held_out=self.held_out,
            network=Network(width=self.width),
            experts=Experts(count=self.experts, epochs=self.epochs),
        )

    @property
    def buffer(self) -> Path:
        """The same in a file of the older code."""
        return Path(self.folder) / "replay_buffer_0.pt"


class Way(NamedTuple):
    """A way to get at segments."""

    take: Callable[[Question], Segment]
    ahead: Callable[[Question], None] | None
    copied_bytes: float
    """for a segment, at least"""


class Waits(NamedTuple):
    """Of a trial for one segment, over all rounds, in seconds."""

    median: float
    mean: float


class OlderBuffer:
    """Segments as the older code takes them: of every trajectory of a file once, in an order of its own."""

    def __init__(self, file: Path, *, kept: bool) -> None:
        self.file, self.kept, self.rng = file, kept, random.Random(0)
        self.whole = self._load()
        self.left: list[list[list[Tensor]]] = []

    def segment(self, question: Question) -> Segment:
        """Of the trajectory whose turn it is, whichever is asked for."""
        if not self.left:
            if not self.kept:
                self.whole = self._load()
            self.left = self.rng.sample(self.whole, len(self.whole))
        trajectory, (_, start, epochs) = self.left.pop(), question
        begin, end = (torch.cat([tensor.reshape(-1) for tensor in trajectory[at]]) for at in (start, start + epochs))
        return begin, end

    def _load(self) -> list[list[list[Tensor]]]:
        trajectories: list[list[list[Tensor]]] = torch.load(self.file, weights_only=True)
        return trajectories


def write(setting: Setting) -> int:
    """Write random trajectories in our form and the older code's; returns the bytes of a snapshot."""
    network = build_network(setting.expert_set.network, channels=1, resolution=RESOLUTION, classes=CLASSES, rng=None)
    shapes, rng = parameter_shapes(network), np.random.default_rng(0)
    size = flat_parameters(network).numel()
    storage, older = Storage.open(setting.folder), []
    for index in range(setting.experts):
        rows = rng.standard_normal((setting.epochs + 1, size), dtype=np.float32)
        write_trajectory(storage, setting.expert_set, index, shapes, ((row, 0.0) for row in rows))
        older.append(
            [[piece.clone() for piece in split_parameters(network, torch.tensor(row)).values()] for row in rows]
        )
    torch.save(older, setting.buffer)
    return 4 * size


def questions(setting: Setting, number: int) -> list[Question]:
    """The segments of a round: as many as there are experts, so that the older code loads its file once."""
    rng = random.Random(number)
    return [
        (rng.randrange(setting.experts), rng.randrange(setting.epochs - SEGMENT_EPOCHS), SEGMENT_EPOCHS)
        for _ in range(setting.experts)
    ]


def waits_of(way: Way, asked: Sequence[Question], busy_seconds: float) -> Iterator[float]:
    """Seconds that a trial waits for each segment."""
    for number, question in enumerate(asked):
        begin = time.perf_counter()
        start, target = way.take(question)
        float(((start - target) ** 2).sum())
        if way.ahead is not None and number + 1 < len(asked):
            way.ahead(asked[number + 1])
        yield time.perf_counter() - begin
        time.sleep(busy_seconds)


def segments(setting: Setting, snapshot_bytes: int) -> dict[str, tuple[Waits, float]]:
    """For every way the waits, and the bytes copied; the ways in turn, after a round that is not counted."""
    storage, expert_set = Storage.open(setting.folder), setting.expert_set
    file_bytes = setting.buffer.stat().st_size
    held = torch.randn(2, snapshot_bytes // 4)
    with connected("local"):
        # A store for each: what one was asked for would be at hand for the other.
        here = ray.get_runtime_context().get_node_id()
        stores = [start_expert_store(name, storage, expert_set, here) for name in ("one", "other")]
        ahead = RemoteTrajectories("other", expert_set)
        ways = {
            "in memory already": Way(lambda question: (held[0], held[1]), None, 0),
            "files, mapped": Way(_taking(ExpertFiles(storage, expert_set)), None, 0),
            "store, when needed": Way(_taking(RemoteTrajectories("one", expert_set)), None, 2 * snapshot_bytes),
            "store, ahead": Way(_taking(ahead), lambda question: ahead.expect(*question), 2 * snapshot_bytes),
            "older code": Way(
                OlderBuffer(setting.buffer, kept=False).segment, None, file_bytes / setting.experts + 2 * snapshot_bytes
            ),
            "older code, kept": Way(OlderBuffer(setting.buffer, kept=True).segment, None, 2 * snapshot_bytes),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(setting.rounds + 1):
            for name, way in ways.items():
                waited = list(waits_of(way, questions(setting, number), setting.busy_seconds))
                if number > 0:
                    taken[name] += waited
        del stores
    return {
        name: (Waits(statistics.median(taken[name]), statistics.fmean(taken[name])), way.copied_bytes)
        for name, way in ways.items()
    }


def _taking(trajectories: Trajectories) -> Callable[[Question], Segment]:
    return lambda question: trajectories.segment(*question)


def training(setting: Setting) -> dict[int, Timing]:
    """What the training of the same experts takes, by how many are trained as one."""
    dataset = load_dataset(DATASET, resolution=RESOLUTION, held_out=setting.held_out)
    count = max(setting.together)
    expert_set = setting.expert_set.replace(experts=Experts(count=count, epochs=1))

    def train(together: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for start in range(0, count, together):
                group = range(start, min(count, start + together))
                train_experts(
                    expert_set, group, dataset, Storage.open(folder), device=setting.device, on_epoch=lambda *at: None
                )

    taken = time_in_turn(
        {str(together): partial(train, together) for together in setting.together},
        setting.rounds,
        open_device(setting.device),
    )
    return {int(together): timing for together, timing in taken.items()}


def segments_table(setting: Setting, snapshot_bytes: int, threads: int) -> Table:
    """All ways to get at segments."""
    shown = Table(
        *("segments", "wait: median, ms", "mean, ms", "a second", "KiB copied", "mean / mapped's"),
        title=f"{setting.experts} experts of {setting.epochs} epochs, a snapshot {snapshot_bytes / KIBIBYTE:.0f} KiB, "
        f"busy for {1000 * setting.busy_seconds:g} ms between",
    )
    found: dict[str, tuple[Waits, float]] = fresh(threads, segments, setting, snapshot_bytes)
    for name, (waits, copied_bytes) in found.items():
        shown.add_row(
            name,
            f"{1000 * waits.median:.3f}",
            f"{1000 * waits.mean:.3f}",
            f"{1 / waits.mean:,.0f}",
            f"{copied_bytes / KIBIBYTE:,.0f}",
            f"{waits.mean / found['files, mapped'][0].mean:.2f}",
        )
    return shown


def training_table(setting: Setting, threads: int) -> Table:
    """Experts an hour by how many are trained as one."""
    count, images = max(setting.together), (400 - setting.held_out) * CLASSES
    shown = Table(
        *("trained together", "seconds", "experts an hour", "/ one by one"),
        title=f"{count} experts of 1 epoch of {images:,} images, in batches of {setting.expert_set.experts.batch_size}",
    )
    taken: dict[int, Timing] = fresh(threads, training, setting)
    alone = taken[min(taken)].wall
    for together, timing in taken.items():
        rate = 3600 * count / timing.wall
        shown.add_row(str(together), f"{timing.wall:.2f}", f"{rate:,.0f}", f"{alone / timing.wall:.2f}")
    return shown


def main() -> None:
    """Measure what the arguments ask for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=32, help="filters of the ConvNet")
    parser.add_argument("--experts", type=int, default=10, help="trajectories, and those in a file of the older code")
    parser.add_argument("--epochs", type=int, default=15, help="epochs of each")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds, of a segment of every expert")
    parser.add_argument("--busy-ms", type=float, default=20, help="what a trial does between two segments")
    parser.add_argument("--held-out", type=int, default=300, help="images of the 400 a class not trained on")
    parser.add_argument("--together", type=int, nargs="+", default=[1, 2, 4], help="experts trained as one")
    parser.add_argument("--device", default="cpu", help="of the training: cpu, cuda or cuda:<n>")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    chosen = parser.parse_args()
    console = Console(width=130)
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(
            folder=folder,
            width=chosen.width,
            experts=chosen.experts,
            epochs=chosen.epochs,
            rounds=chosen.rounds,
            busy_seconds=chosen.busy_ms / 1000,
            held_out=chosen.held_out,
            together=tuple(sorted(chosen.together)),
            device=chosen.device,
        )
        device = device_name(open_device(chosen.device))
        console.print(
            f"ConvNet of width {chosen.width} at {RESOLUTION} pixels, {device}, {chosen.threads} threads, "
            f"torch {torch.__version__}"
        )
        console.print(segments_table(setting, write(setting), chosen.threads))
        console.print(training_table(setting, chosen.threads))


if __name__ == "__main__":
    main()
