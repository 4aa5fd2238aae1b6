"""A sweep's status for people, as a table, and for machines, as the fields of a JSON document."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from glad_ray.progress import formatting
from glad_ray.progress.driver import RENEW_SECONDS, Seen
from glad_ray.progress.status import RunStatus, State, Status

_STYLES: Mapping[State, str] = {"failed": "red", "interrupted": "yellow", "finished": "green"}


def status_parts(status: Status) -> Iterator[RenderableType]:
    """What to print, one after another."""
    yield Text.from_markup("  ".join(formatting.counts(status.sweep_progress)) + formatting.left(status.seconds_left))
    yield Text(driver_words(status.driver, status.at, "sweep"))
    for each in status.plan.expert_sets:
        yield Text(f"{each.label}: {status.sweep_progress.experts(each)} of {each.experts.count} experts trained")
    for replica in status.replicas:
        busy, memory = formatting.of_requests(replica), formatting.of_memory(replica)
        yield Text(f"{formatting.of_replica(replica)}: {busy}, {memory}, {_ago(status.at, replica.at)}")
    table = Table("run", "", "state", "", "last sign", "where")
    for run in status.runs:
        style = _STYLES.get(run.state, "")
        table.add_row(
            run.run.run_id,
            escape(run.run.label),
            Text(run.state, style=style),
            Text(run.words(status.sweep_progress.trainings_of(run.run)), style=style),
            "" if run.last is None else _ago(status.at, run.last.at),
            _where(run),
        )
    yield table
    yield Text(", ".join(f"{count} {state}" for state, count in status.counts.items()))


def status_fields(status: Status) -> dict[str, Any]:
    """For a JSON document; docs/status.md says what they mean."""
    return {
        "storage": str(status.storage),
        "sweep": status.plan.sweep.name,
        "at": status.at.isoformat(),
        "driver": driver_fields(status.driver),
        "counts": status.counts,
        "experts": [
            {"label": each.label, "trained": status.sweep_progress.experts(each), "wanted": each.experts.count}
            for each in status.plan.expert_sets
        ],
        "replicas": [each.model_dump(mode="json", exclude={"loaded"}) for each in status.replicas],
        "trainings": {"done": status.sweep_progress.trainings_done, "wanted": status.sweep_progress.trainings_total},
        "seconds_left": status.seconds_left,
        "runs": [_run_fields(each, status.sweep_progress.trainings_of(each.run)) for each in status.runs],
    }


def _run_fields(each: RunStatus, trainings_total: int) -> dict[str, Any]:
    done = trainings_total if each.state == "finished" else each.trained
    return {
        "run_id": each.run.run_id,
        "label": each.run.label,
        "state": each.state,
        "step": None if each.progress is None else each.progress.step,
        "steps": each.run.steps,
        "trainings": {"done": done, "wanted": trainings_total},
        "last_sign": None if each.last is None else each.last.at.isoformat(),
        "host": None if each.last is None else each.last.host,
        "device": _device(each),
        "failure": None
        if each.failure is None
        else {"stage": each.failure.stage, "step": each.failure.step, "error": each.failure.error},
    }


def driver_words(seen: Seen | None, at: datetime, kind: str) -> str:
    """Who drives it, at a time, and how it goes on, by the command `kind`, if nobody does any more."""
    if seen is None:
        return "No driver is running."
    driver = seen.driver
    who, last = f"process {driver.process} on {driver.host}", f"last sign {_ago(at, driver.renewed)}"
    if seen.alive:
        return f"Driven by {who} since {driver.since:%Y-%m-%d %H:%M:%S} UTC, {last}."
    return f"Its driver, {who}, is gone, {last}: the same glad-ray {kind} goes on with it."


def driver_fields(seen: Seen | None) -> dict[str, Any] | None:
    """For a JSON document; None: nobody."""
    if seen is None:
        return None
    driver = seen.driver
    return {
        "host": driver.host,
        "process": driver.process,
        "since": driver.since.isoformat(),
        "last_sign": driver.renewed.isoformat(),
        "alive": seen.alive,
    }


def _where(each: RunStatus) -> str:
    return "" if each.last is None else ", ".join(filter(None, (each.last.host, _device(each))))


def _device(each: RunStatus) -> str | None:
    of = [entry for entry in each.entries.values() if entry.device is not None]
    return max(of, key=lambda entry: entry.at).device if of else None


def _ago(now: datetime, then: datetime) -> str:
    seconds = (now - then).total_seconds()
    if seconds < -RENEW_SECONDS:
        return f"{formatting.clock(-seconds)} ahead of this clock"
    return f"{formatting.clock(max(seconds, 0.0))} ago"
