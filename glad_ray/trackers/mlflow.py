"""MLflow: an experiment for each sweep, a run for each run, found again by the tag `glad_ray.run_id`."""

import logging
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import final

from typing_extensions import override

from glad_ray.trackers.base import Outcome, Point, RunRecord, TrackedRun, Tracker

# A server that does not answer is left alone after 20 seconds, not after the minutes that MLflow itself takes. Set
# before MLflow is imported; what a user has set stays.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")

from mlflow.entities import Metric, Param, Run
from mlflow.tracking import MlflowClient

_RUN_ID, _STORAGE, _NOTE = "glad_ray.run_id", "glad_ray.storage", "mlflow.note.content"
_IMAGES = "images.png"
_POINTS_AT_ONCE = 1000
_PARAMETERS_AT_ONCE = 100
_STATES = {"finished": "FINISHED", "failed": "FAILED"}


@final
class Mlflow(Tracker):
    """A tracking server or store; `where` is a tracking URI, None: that of MLFLOW_TRACKING_URI, or MLflow's own."""

    def __init__(self, where: str | None, sweep: str) -> None:
        # A new database tells of how it is made.
        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = MlflowClient(tracking_uri=where)
        experiment = self._client.get_experiment_by_name(sweep)
        self._experiment = self._client.create_experiment(sweep) if experiment is None else experiment.experiment_id

    @override
    def record_of(self, run: TrackedRun) -> RunRecord:
        found = self._client.search_runs([self._experiment], f"tags.`{_RUN_ID}` = '{run.run_id}'", max_results=1)
        tags = {_RUN_ID: run.run_id, _STORAGE: str(run.storage), _NOTE: run.link}
        record = found[0] if found else self._client.create_run(self._experiment, run_name=run.title, tags=tags)
        # Of a process that was killed some may be there.
        missing = run.settings.keys() - record.data.params.keys()
        parameters = [Param(name, str(run.settings[name])) for name in sorted(missing)]
        for first in range(0, len(parameters), _PARAMETERS_AT_ONCE):
            self._client.log_batch(record.info.run_id, params=parameters[first : first + _PARAMETERS_AT_ONCE])
        return MlflowRun(self._client, record)


@final
class MlflowRun(RunRecord):
    """A run of MLflow."""

    def __init__(self, client: MlflowClient, run: Run) -> None:
        self._client, self._id = client, run.info.run_id
        self.last_steps = {
            name: max(each.step for each in client.get_metric_history(self._id, name)) for name in run.data.metrics
        }
        self.has_images = any(each.path == _IMAGES for each in client.list_artifacts(self._id))
        self.finished = run.info.status == _STATES["finished"]
        if run.info.status == _STATES["failed"]:
            client.update_run(self._id, status="RUNNING")

    @override
    def add(self, name: str, points: Sequence[Point]) -> None:
        now = int(time.time() * 1000)
        for first in range(0, len(points), _POINTS_AT_ONCE):
            metrics = [Metric(name, value, now, step) for step, value in points[first : first + _POINTS_AT_ONCE]]
            self._client.log_batch(self._id, metrics=metrics)

    @override
    def add_images(self, png: bytes, step: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / _IMAGES
            path.write_bytes(png)
            self._client.log_artifact(self._id, str(path))

    @override
    def close(self, outcome: Outcome | None) -> None:
        if outcome is not None and not (self.finished and outcome == "finished"):
            self._client.set_terminated(self._id, _STATES[outcome])
