"""What the stores of trackers hold of every run, by its id: the points of every series in the order in which they were
sent, and what else there is. Read by the trackers' own readers, and of W&B's files by ours, for it has none.
"""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Held:
    """What a store holds of a run."""

    series: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    images: int = 0
    link: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    records: int = 1
    """records of this run id that there are"""
    outcome: str = ""


def tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    held = {}
    for path in (Path(folder) / "tracked").iterdir():
        events = EventAccumulator(str(path), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
        events.Reload()
        tags, run_id = events.Tags(), path.name.rpartition("-")[2]
        found = Held(records=sum(each.name.endswith(run_id) for each in path.parent.iterdir()))
        for name in tags["scalars"]:
            found.series[name] = [(each.step, each.value) for each in events.Scalars(name)]
        found.images = sum(len(events.Images(name)) for name in tags["images"])
        text = {
            name: [each.tensor_proto.string_val[0].decode() for each in events.Tensors(name)]
            for name in tags["tensors"]
        }
        (found.link,) = text["run/text_summary"]
        (table,) = text["settings/text_summary"]
        found.settings = dict(line.strip("| ").split(" | ") for line in table.splitlines()[2:])
        found.outcome = "".join(text.get("outcome/text_summary", []))
        held[run_id] = found
    return held


def _text(event):
    return event.tensor_proto.string_val[0].decode()


def mlflow(uri):
    from mlflow.tracking import MlflowClient

    client, held = MlflowClient(uri), {}
    experiment = client.get_experiment_by_name("tracked")
    for run in client.search_runs([experiment.experiment_id]):
        run_id = run.data.tags["glad_ray.run_id"]
        found = Held(records=held[run_id].records + 1 if run_id in held else 1)
        for name in run.data.metrics:
            history = client.get_metric_history(run.info.run_id, name)
            found.series[name] = [(each.step, each.value) for each in sorted(history, key=lambda each: each.timestamp)]
        found.images = len([each for each in client.list_artifacts(run.info.run_id) if each.path == "images.png"])
        found.link, found.settings = run.data.tags["mlflow.note.content"], run.data.params
        found.outcome = run.info.status.lower()
        held[run_id] = found
    return held


def wandb(folder):
    from glad_ray.trackers.wandb_files import records_of_run

    held, folder = {}, Path(folder) / "wandb"
    for run_id in {path.stem.removeprefix("run-") for path in folder.glob("offline-run-*/*.wandb")}:
        found = held[run_id] = Held()
        for record in records_of_run(folder, run_id):
            if record.HasField("run"):
                assert record.run.run_id == run_id
                found.link = record.run.notes
                found.settings |= {each.key: each.value_json for each in record.run.config.update}
            if record.HasField("history"):
                row = {each.key or each.nested_key[0]: json.loads(each.value_json) for each in record.history.item}
                for name in row.keys() - {"step", "images", "outcome"}:
                    if not name.startswith("_"):
                        found.series[name].append((row["step"], row[name]))
                found.images += "images" in row
                found.outcome = row.get("outcome", found.outcome)
    return {run_id: each for run_id, each in held.items() if each.link}


def trackio(folder):
    from trackio import Api
    from trackio.sqlite_storage import SQLiteStorage

    held = {}
    for run in Api().runs("tracked"):
        run_id = run.name.rpartition(" ")[2]
        found = Held(records=held[run_id].records + 1 if run_id in held else 1)
        for row in SQLiteStorage.get_logs("tracked", run.name):
            for name in row.keys() - {"step", "timestamp", "images", "outcome"}:
                found.series[name].append((row["step"], row[name]))
            found.images += "images" in row
            found.outcome = row.get("outcome", found.outcome)
        found.settings = dict(run.config)
        found.link = found.settings.get("run", "")
        held[run_id] = found
    return held
