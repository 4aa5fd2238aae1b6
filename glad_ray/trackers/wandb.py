"""Weights & Biases: a project, a group for each sweep, and a run for each run, whose id is the run's.

What a run holds is asked of the server, or without a network (WANDB_MODE=offline) of the files that W&B keeps here, to
be uploaded by `wandb sync`: those of another machine are not known.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, final

import wandb
from PIL import Image
from typing_extensions import override

from glad_ray.trackers.base import Outcome, Point, RunRecord, TrackedRun, Tracker
from glad_ray.trackers.wandb_files import records_of_run

_START_SECONDS, _END_SECONDS, _FLUSH_SECONDS = 15.0, 10.0, 1.0
_STEP = "step"
"""the axis of all series: W&B numbers rows by itself, and evaluations come after all losses"""
_ROW = "_step"
"""W&B's number of a row"""
_IMAGES, _OUTCOME = "images", "outcome"


@final
class WeightsAndBiases(Tracker):
    """Runs in a project; `where` is PROJECT or ENTITY/PROJECT, None: that of WANDB_PROJECT, or else `glad-ray`."""

    def __init__(self, where: str | None) -> None:
        self._entity, _, self._project = (where or "").rpartition("/")
        # It says nothing by itself: what goes wrong is raised.
        self._settings = wandb.Settings(
            silent=True,
            console="off",
            init_timeout=_START_SECONDS,
            finish_timeout=_END_SECONDS,
            finish_timeout_raises=True,
            x_transaction_log_flush_interval=_FLUSH_SECONDS,
            x_disable_stats=True,
            disable_git=True,
            save_code=False,
        )

    @override
    def record_of(self, run: TrackedRun) -> RunRecord:
        return WandbRun(
            run.run_id,
            partial(
                wandb.init,
                entity=self._entity or None,
                project=self._project or wandb.setup().settings.project or "glad-ray",
                group=run.sweep,
                id=run.run_id,
                name=run.title,
                notes=run.link,
                config={**run.settings, "glad_ray": {"run_id": run.run_id, "storage": str(run.storage)}},
                resume="allow",
                reinit="create_new",
                settings=self._settings,
            ),
        )


@final
class WandbRun(RunRecord):
    """A run of W&B; `begin` makes it, or finds it."""

    def __init__(self, run_id: str, begin: Callable[[], wandb.Run]) -> None:
        self._id, self._begin = run_id, begin
        self._run: wandb.Run | None = None
        self._rows = 0
        self.last_steps: dict[str, int] = {}
        for row in self._rows_held():
            self._rows = max(self._rows, int(row[_ROW]) + 1)
            for name in row.keys() - {_STEP}:
                self.last_steps[name] = max(int(row.get(_STEP, 0)), self.last_steps.get(name, 0))
        self.has_images, self.finished = _IMAGES in self.last_steps, _OUTCOME in self.last_steps

    @override
    def add(self, name: str, points: Sequence[Point]) -> None:
        for step, value in points:
            self._log({name: value, _STEP: step})

    @override
    def add_images(self, png: bytes, step: int) -> None:
        self._log({_IMAGES: wandb.Image(Image.open(io.BytesIO(png))), _STEP: step})

    @override
    def close(self, outcome: Outcome | None) -> None:
        if outcome == "finished" and not self.finished:
            self._log({_OUTCOME: outcome, _STEP: max(self.last_steps.values(), default=0)})
        if outcome == "failed":
            self._begun()
        if self._run is not None:
            self._run.finish(exit_code=1 if outcome == "failed" else 0)

    def _log(self, values: Mapping[str, Any]) -> None:
        self._begun().log(dict(values), step=self._rows, commit=True)
        self._rows += 1

    def _begun(self) -> wandb.Run:
        if self._run is None:
            self._run = self._begin()
            self._run.define_metric("*", step_metric=_STEP)
        return self._run

    def _rows_held(self) -> Iterator[Mapping[str, Any]]:
        settings = wandb.setup().settings
        if settings.mode == "offline":
            # Without a run, whose files would be empty where there is nothing to add.
            for record in records_of_run(Path(settings.wandb_dir), self._id):
                if record.HasField("history"):
                    row = {each.key or each.nested_key[0]: json.loads(each.value_json) for each in record.history.item}
                    yield {_ROW: record.history.step.num} | row
            return
        run = self._begun()
        self._rows = int(run.step)
        if run.resumed:
            yield from wandb.Api().run(run.path).scan_history(use_cache=False)
