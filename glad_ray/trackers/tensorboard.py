"""TensorBoard: a folder for each run, `<folder>/<sweep>/<label>-<run id>`, with event files.

Records are written and flushed here, not by a writer's own thread, so that a disk that is full is noticed.
"""

import io
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import summary as make_summary
from typing_extensions import override

from glad_ray.trackers.base import Outcome, Point, RunRecord, TrackedRun, Tracker

_IMAGES, _LINK, _OUTCOME = "images", "run", "outcome"
_ALL = 0
_VERSION = "brain.Event:2"


@final
class TensorBoard(Tracker):
    """Event files in a folder."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    @override
    def record_of(self, run: TrackedRun) -> RunRecord:
        of_sweep = self._folder / run.sweep
        there = sorted(of_sweep.glob(f"*-{run.run_id}"))
        name = re.sub(r"[^A-Za-z0-9.+_-]+", "-", run.label)
        return EventFiles(there[0] if there else of_sweep / f"{name}-{run.run_id}", run)


@final
class EventFiles(RunRecord):
    """The event files of one run; every process that adds something begins a new one, as TensorBoard wants it."""

    def __init__(self, folder: Path, run: TrackedRun) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._records: RecordWriter | None = None
        held = EventAccumulator(str(folder), size_guidance={"scalars": _ALL, "images": 1, "tensors": 1})
        held.Reload()
        tags = held.Tags()
        self.last_steps = {name: max(each.step for each in held.Scalars(name)) for name in tags["scalars"]}
        self.has_images = _IMAGES in tags["images"]
        self.finished = f"{_OUTCOME}/text_summary" in tags["tensors"]
        if f"{_LINK}/text_summary" not in tags["tensors"]:
            for each in make_summary.hparams(dict(run.settings), {}):
                self._write_summary(each)
            self._write_summary(make_summary.text(_LINK, run.link))
            table = [f"| {name} | {value} |" for name, value in run.settings.items()]
            self._write_summary(make_summary.text("settings", "\n".join(["| setting | value |", "|---|---|", *table])))
            self._flush()

    @override
    def add(self, name: str, points: Sequence[Point]) -> None:
        for step, value in points:
            self._write_summary(make_summary.scalar(name, value), step)
        self._flush()

    @override
    def add_images(self, png: bytes, step: int) -> None:
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        self._write_summary(make_summary.image(_IMAGES, pixels, dataformats="HWC"), step)
        self._flush()

    @override
    def close(self, outcome: Outcome | None) -> None:
        if outcome == "finished" and not self.finished:
            self._write_summary(make_summary.text(_OUTCOME, outcome))
        if self._records is not None:
            self._records.close()
            self._records = None

    def _write_summary(self, summary: Any, step: int = 0) -> None:
        self._write(Event(wall_time=time.time(), step=step, summary=summary))

    def _write(self, event: Event) -> None:
        if self._records is None:
            file = (self._folder / f"events.out.tfevents.{time.time_ns()}.glad_ray").open("xb")
            self._records = RecordWriter(file)
            self._write(Event(wall_time=time.time(), file_version=_VERSION))
        self._records.write(event.SerializeToString())

    def _flush(self) -> None:
        if self._records is not None:
            self._records.flush()
