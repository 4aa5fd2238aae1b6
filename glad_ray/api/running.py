"""Plans brought to their end, on Ray or in this process, with a view of how it goes and a report at the end."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console

from glad_ray.engine.cluster.ray_settings import check_ray_settings
from glad_ray.errors import BudgetError, GladRayError
from glad_ray.paths import check_home
from glad_ray.plan import Plan, as_stored
from glad_ray.progress import formatting
from glad_ray.progress.driver import driving
from glad_ray.progress.timeline import TimedView, Timeline
from glad_ray.progress.view import View
from glad_ray.results import read_failures
from glad_ray.spec import Run, Search, Sweep
from glad_ray.storage import Storage
from glad_ray.trackers import check_trackers, tracked

Tracked = TypeVar("Tracked", Sweep, Search)


def with_trackers(of: Tracked, trackers: Iterable[str]) -> Tracked:
    """A sweep or search with some trackers beside its own; raises `UserError` if one is not known or not installed."""
    named = (*of.resources.trackers, *trackers)
    check_trackers(named)
    return of.replace(resources=of.resources.replace(trackers=tuple(dict.fromkeys(named)))) if named else of


def console() -> Console:
    """Where output goes; wide enough for whole tables when it is not a terminal."""
    return Console(width=None if sys.stdout.isatty() else 160, soft_wrap=not sys.stdout.isatty(), force_jupyter=False)


def say(sentence: str) -> None:
    """Say what is waited for, beside what a command prints."""
    print(sentence, file=sys.stderr, flush=True)


def say_licences(runs: Iterable[Run]) -> None:
    """What has to be said of the weights that some runs load."""
    for note in dict.fromkeys(run.generator.licence for run in runs if run.generator is not None):
        if note:
            console().print(note)


def run_to_the_end(
    made: Plan, storage: Storage, address: str | None, device: str | None, timeline: Timeline | None = None
) -> None:
    """Run a plan on Ray at `address`, or in this process on `device`, then report it; `timeline`: see `profiled`.

    Raises `GladRayError` if a run failed, `BudgetError` if a budget ended it.
    """
    with driving(storage, say), profiled(timeline, storage):
        made = as_stored(made, storage)
        say_licences(made.runs)
        budget = run_plan(made, storage, address, device, timeline)
        # It takes half a second to import, which nothing before waits for.
        from glad_ray.report import write_report

        console().print(f"The report is {storage}/{write_report(storage)}")
    check_spent(budget)
    damaged: list[str] = []
    failures = read_failures(storage, damaged.append)
    failed = len({run.run_id for run in made.runs} & {failure.run_id for failure in failures}) + len(damaged)
    if failed:
        raise GladRayError(f"{failed} of {len(made.runs)} runs failed; the report says why.")


@contextlib.contextmanager
def profiled(timeline: Timeline | None, storage: Storage) -> Iterator[None]:
    """At the end, print when a command reached the points of its start, and keep that in its storage; what is refused
    leaves nothing there. None: nothing.
    """
    yield
    if timeline is not None:
        timeline.reached("end")
        timeline.write(storage)
        console().print(timeline.line)


def run_plan(
    made: Plan, storage: Storage, address: str | None, device: str | None, timeline: Timeline | None = None
) -> str | None:
    """Run a plan through Ray, or in this process on `device`, and show how it goes; returns the budget that ended it,
    if one did. `timeline` is told what is reached.
    """
    from glad_ray.progress.sweep_reporter import make_view

    sweep = made.sweep
    check_trackers(sweep.resources.trackers)
    view = tracked(make_view(made), sweep.name, sweep.evaluations, sweep.resources, storage, say)
    with timed(view, timeline) as view:
        if device is None:
            from glad_ray.engine.on_ray.run import run_on_ray

            return run_on_ray(made, storage, address=address, view=view)
        from glad_ray.engine.in_process import run_in_process

        return run_in_process(made, storage, device=device, view=view)


def timed(view: View, timeline: Timeline | None) -> View:
    """A view whose events reach a timeline too, if there is one."""
    return view if timeline is None else TimedView(view, timeline)


def check_spent(budget: str | None) -> None:
    """Raise `BudgetError` if a budget ended it before all was done."""
    if budget is not None:
        raise BudgetError(
            f"{formatting.spent(budget)}: nothing is lost, and the same command goes on with what is left."
        )


def check_for_ray() -> None:
    """Raise `UserError` if Ray cannot be used from here."""
    check_ray_settings()
    check_home("Ray")


def device_named(name: str) -> str:
    """The device of a word, found to be there; raises `UserError` otherwise."""
    from glad_ray.machine import keep_freed_memory, open_device

    keep_freed_memory()
    return str(open_device(name))
