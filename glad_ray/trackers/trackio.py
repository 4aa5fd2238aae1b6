"""Trackio: a project for each sweep, a run for each run, whose name ends with the run's id.

Trackio warns of what goes wrong where others raise. So what it keeps on this machine is read again at the end of a run;
what is missing then counts as not sent.
"""

import contextvars
import io
from collections.abc import Sequence
from typing import Any, final

import trackio
from PIL import Image
from trackio import context_vars
from trackio.sqlite_storage import SQLiteStorage
from typing_extensions import override

from glad_ray.trackers.base import Outcome, Point, RunRecord, TrackedRun, Tracker

_IMAGES, _LINK, _OUTCOME = "images", "run", "outcome"


@final
class Trackio(Tracker):
    """Runs of a project; `where` is its name, None: that of the sweep."""

    def __init__(self, where: str | None, sweep: str) -> None:
        self._project = where or sweep

    @override
    def record_of(self, run: TrackedRun) -> RunRecord:
        return TrackioRun(self._project, run)


@final
class TrackioRun(RunRecord):
    """A run of Trackio."""

    def __init__(self, project: str, run: TrackedRun) -> None:
        self._project, self._name, self._about = project, run.title, run
        self._run: trackio.Run | None = None
        self.last_steps: dict[str, int] = {}
        for row in self._rows():
            names = row.keys() - {"step", "timestamp"}
            self.last_steps |= {name: max(row["step"], self.last_steps.get(name, 0)) for name in names}
        self.has_images = _IMAGES in self.last_steps
        self.finished = _OUTCOME in self.last_steps

    @override
    def add(self, name: str, points: Sequence[Point]) -> None:
        for step, value in points:
            self._log({name: value}, step)

    @override
    def add_images(self, png: bytes, step: int) -> None:
        self._log({_IMAGES: trackio.Image(Image.open(io.BytesIO(png)))}, step)
        self.last_steps[_IMAGES] = step

    @override
    def close(self, outcome: Outcome | None) -> None:
        if outcome == "finished" and not self.finished:
            step = max(self.last_steps.values(), default=0)
            self._log({_OUTCOME: outcome}, step)
            self.last_steps[_OUTCOME] = step
        if self._run is None:
            return
        self._run.finish()
        kept = {(name, row["step"]) for row in self._rows() for name in row}
        missing = sorted(name for name, step in self.last_steps.items() if (name, step) not in kept)
        if missing:
            raise OSError(f"of {self._name} it kept nothing later of {', '.join(missing)}")

    def _log(self, values: dict[str, Any], step: int) -> None:
        if self._run is None:
            self._run = self._begun()
        self._run.log(values, step=step)

    def _begun(self) -> trackio.Run:
        # In a context of its own it does not end the run that was begun before; where the project is known already, no
        # instructions are printed.
        context = contextvars.Context()
        context.run(context_vars.current_project.set, self._project)
        return context.run(
            trackio.init,
            self._project,
            name=self._name,
            group=self._about.sweep,
            resume="allow",
            config={**self._about.settings, _LINK: self._about.link},
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def _rows(self) -> list[dict[str, Any]]:
        return [each for each in SQLiteStorage.get_logs(self._project, self._name) if each.get("step") is not None]
