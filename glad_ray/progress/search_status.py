"""What a search is doing, from its storage alone, for people and as fields of a JSON document."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from glad_ray.progress import formatting
from glad_ray.progress.driver import Seen, look_at_driver
from glad_ray.progress.status_tables import driver_fields, driver_words
from glad_ray.results import (
    RefusedDraw,
    SearchTrial,
    TrialState,
    best_in_full,
    read_refused_draws,
    read_search,
    read_trials,
)
from glad_ray.spec.searches.search import Search
from glad_ray.storage import Storage

_SHOWN_REFUSED = 5


@dataclass(frozen=True)
class SearchStatus:
    """What a search is doing."""

    storage: Storage
    search: Search
    trials: tuple[SearchTrial, ...]
    """as the table has them, which is some seconds old"""
    refused: tuple[RefusedDraw, ...]
    """draws of which no run can be made"""
    driver: Seen | None
    at: datetime

    @property
    def counts(self) -> dict[TrialState, int]:
        """Trials in each state that some trial is in."""
        counted = Counter(trial.state for trial in self.trials)
        return {state: counted[state] for state in get_args(TrialState) if counted[state]}


def read_search_status(storage: Storage, driver: Seen | None = None) -> SearchStatus | None:
    """What a search is doing; None: the storage has none. `driver`: who drives it, if the caller knows already."""
    if not storage.exists(Storage.SEARCH):
        return None
    return SearchStatus(
        storage,
        read_search(storage),
        read_trials(storage),
        read_refused_draws(storage),
        driver or look_at_driver(storage),
        datetime.now(UTC),
    )


def search_status_parts(status: SearchStatus) -> Iterator[RenderableType]:
    """What to print, one after another."""
    counts = ", ".join(f"{count} {state}" for state, count in status.counts.items())
    yield Text(f"search {status.search.name}: {len(status.trials)} of {status.search.trials} trials begun; {counts}")
    if status.refused:
        yield Text(f"{formatting.of_refused(len(status.refused))}, and others are drawn in their place:", style="red")
    for draw in status.refused[:_SHOWN_REFUSED]:
        yield Text(f"  draw {draw.number}, {formatting.of_drawn(draw.parameters)}: {draw.error}")
    if more := len(status.refused[_SHOWN_REFUSED:]):
        yield Text(f"  and {more} more")
    yield Text(driver_words(status.driver, status.at, "search"))
    rungs = len(status.search.evaluated_rungs)
    table = Table("trial", "state", "drawn", *(f"rung {number + 1}" for number in range(rungs)), "in full")
    winner = best_in_full(status.trials)
    for trial in status.trials:
        drawn = formatting.of_drawn(trial.parameters)
        reached = [f"{100 * accuracy:.1f} %" for accuracy in trial.rung_accuracies]
        reached += [""] * (rungs - len(reached))
        full = "" if trial.full_accuracy is None else f"{100 * trial.full_accuracy:.1f} %"
        style = "green" if trial is winner else ""
        table.add_row(str(trial.number), trial.error or trial.state, escape(drawn), *reached, full, style=style)
    yield table


def search_status_fields(status: SearchStatus) -> dict[str, Any]:
    """For a JSON document; docs/status.md says what they mean."""
    return {
        "storage": str(status.storage),
        "search": status.search.name,
        "at": status.at.isoformat(),
        "driver": driver_fields(status.driver),
        "counts": status.counts,
        "wanted": status.search.trials,
        "refused": [
            {"number": draw.number, "parameters": dict(draw.parameters), "error": draw.error} for draw in status.refused
        ],
        "trials": [
            {
                "number": trial.number,
                "run_id": trial.run.run_id,
                "state": trial.state,
                "parameters": dict(trial.parameters),
                "looks": list(trial.rung_accuracies),
                "full_accuracy": trial.full_accuracy,
                "control": trial.control,
                "error": trial.error,
            }
            for trial in status.trials
        ],
    }
