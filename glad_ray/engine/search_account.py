"""How far a search is, in the words and rows of its views."""

import time
from collections.abc import Iterator

from rich.console import RenderableType
from rich.markup import escape
from rich.text import Text

from glad_ray.engine import words
from glad_ray.engine.events import (
    DrawRefused,
    DrawsEnded,
    Event,
    RunProgressed,
    TrialFailed,
    TrialSeen,
    TrialsFound,
)
from glad_ray.engine.search import needed
from glad_ray.engine.sweep_account import SharedAccount, notice, of_distillation
from glad_ray.engine.tally import Tally
from glad_ray.engine.view import View, view_of
from glad_ray.plan import Plan
from glad_ray.results import Progress
from glad_ray.spec import Run
from glad_ray.spec.search import Search
from glad_ray.storage import Storage


def make_search_view(search: Search, storage: Storage) -> View:
    """The view of a search."""
    return view_of(SearchAccount(search, storage))


class SearchAccount:
    """An `Account` of a search; a line for every look."""

    def __init__(self, search: Search, storage: Storage) -> None:
        plan, _ = needed(search, storage)
        self._shared = SharedAccount(Tally(Plan(plan.sweep, (), plan.expert_sets)))
        self._started = time.monotonic()
        self._most = search.trials
        self._found = False
        self._ended = self._ended_before = self._in_full = self._failed = self._refused = 0
        self._running: dict[str, tuple[Run, Progress]] = {}
        self._best: tuple[float, Run] | None = None
        """accuracy at the last look, or, once there is one, in full"""

    def add(self, event: Event) -> None:
        """See `Account`."""
        match event:
            case TrialsFound(ended, _, most, refused):
                self._found = True
                self._ended = self._ended_before = ended
                self._most, self._refused = most, refused
            case DrawRefused():
                self._refused += 1
            case DrawsEnded(begun, _):
                self._most = begun
            case RunProgressed(run, progress):
                self._running[run.run_id] = run, progress
            case TrialSeen():
                self._running.pop(event.run.run_id, None)
                self._seen(event)
            case TrialFailed():
                self._running.pop(event.run.run_id, None)
                self._failed += 1
                self._ended += 1
            case _:
                self._shared.tally.add(event)

    def line(self, event: Event) -> str | None:
        """See `Account`."""
        match event:
            case TrialsFound(ended, running, most, _) if ended or running:
                return f"going on   {ended} of {most} trials have ended, {running} are under way"
            case TrialSeen(trial, drawn, run, step, accuracy, outcome):
                after = f" after {step} of {run.steps} steps" if outcome != "in full" else ""
                return f"{outcome:<10} trial {trial}, {drawn}: {_of_accuracy(accuracy)}{after}"
            case TrialFailed(trial, drawn, _, _, error):
                return f"failed     trial {trial}, {drawn}: {error}"
            case DrawRefused(draw):
                return f"no run     draw {draw.number}, {words.of_drawn(draw.parameters)}: {draw.error}"
            case DrawsEnded(begun, asked):
                return f"drawn out  {begun} of {asked} trials began: nothing new was drawn any more"
            case _:
                return self._shared.line(event)

    def notice(self, event: Event) -> Text | None:
        """See `Account`."""
        if isinstance(event, TrialSeen | TrialFailed | TrialsFound | DrawRefused | DrawsEnded):
            style = {TrialFailed: "red", DrawRefused: "red", DrawsEnded: "yellow"}.get(type(event), "")
            line = self.line(event)
        else:
            line, style = notice(event), "yellow"
        return Text(line, style=style) if line else None

    def head(self) -> Text:
        """See `Account`."""
        parts = [f"[bold]{self._ended}/{self._most}[/] trials ended"]
        if self._in_full:
            parts.append(f"[bold]{self._in_full}[/] in full")
        if self._failed:
            parts.append(f"[red]{self._failed} failed[/]")
        if self._refused:
            parts.append(f"[red]{words.of_refused(self._refused)}[/]")
        if self._best is not None:
            accuracy, run = self._best
            parts.append(f"best {_of_accuracy(accuracy)} {escape(f'({run.algorithm.name} {run.space})')}")
        parts.append(words.clock(time.monotonic() - self._started))
        return Text.from_markup("  ".join(parts) + words.left(self._seconds_left()))

    def rows(self) -> Iterator[tuple[RenderableType, ...]]:
        """See `Account`."""
        yield from self._shared.rows()
        for run, progress in self._running.values():
            yield of_distillation(run, progress)

    def going_on(self) -> Iterator[str]:
        """See `Account`."""
        yield from self._shared.going_on()
        for run, progress in self._running.values():
            yield f"{run.label}: {words.of_steps(progress)}"

    def summary(self) -> str | None:
        """See `Account`; nothing of a search that could not begin."""
        return self.head().plain if self._found else None

    def _seen(self, event: TrialSeen) -> None:
        if event.outcome == "in full" and not self._in_full:
            self._best = None
        self._in_full += event.outcome == "in full"
        self._ended += event.outcome in ("stopped", "complete")
        counts = event.outcome == "in full" or (event.outcome == "complete" and not self._in_full)
        if counts and (self._best is None or event.accuracy > self._best[0]):
            self._best = event.accuracy, event.run

    def _seconds_left(self) -> float | None:
        """Until the last trial has ended, at the rate so far; None: not known, or none is left."""
        here = self._ended - self._ended_before
        if not here or self._ended >= self._most:
            return None
        return (self._most - self._ended) * (time.monotonic() - self._started) / here


def _of_accuracy(accuracy: float) -> str:
    """In percent."""
    return f"{100 * accuracy:.1f} %"
