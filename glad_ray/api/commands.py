"""What `glad-ray sweep`, `search`, `distill` and `evaluate` do, as functions.

They show how far they are as the commands do (in a notebook, in one cell that is redrawn), may be interrupted, and go
on where they stopped when they are called again. They raise `UserError` where what was asked for cannot be done, before
anything is started; `BudgetError` where a budget ended it, and `GladRayError` where something failed: what was finished
is kept (`load`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from glad_ray.api.results import Results
from glad_ray.api.running import (
    check_for_ray,
    check_spent,
    console,
    device_named,
    profiled,
    run_plan,
    run_to_the_end,
    say,
    say_licences,
    timed,
    with_trackers,
)
from glad_ray.engine.cluster.addresses import check_address
from glad_ray.errors import GladRayError, RunError, UserError
from glad_ray.interrupts import first_of_all
from glad_ray.plan import as_stored, make_plan
from glad_ray.progress.driver import driving
from glad_ray.progress.timeline import Timeline
from glad_ray.spec import Evaluation, Run, Search, Sweep
from glad_ray.spec.search_space import representatives
from glad_ray.spec.searches.check import check_search
from glad_ray.storage import Storage
from glad_ray.trackers import tracked

if TYPE_CHECKING:
    import pandas as pd

    from glad_ray.engine.search.run_search import Found
    from glad_ray.synthetic_set import SyntheticSet


def run(
    sweep: Sweep,
    storage: str | Path | None = None,
    *,
    address: str | None = None,
    in_process: bool = False,
    device: str = "auto",
    trackers: Sequence[str] = (),
) -> Results:
    """Run a sweep and report it; called again, it goes on where it stopped, and repeats nothing finished.

    `storage`: a folder or URI; runs/<name of the sweep> if not given. `address`: a Ray cluster (auto, HOST:PORT, or
    local for a new one on this machine); if not given, the one that RAY_ADDRESS names or that ray start started here,
    else a new one. `in_process`: everything in this process, one after another, without Ray, on `device` (cpu, cuda,
    cuda:<n>, or auto: a GPU if there is one). `trackers`: beside those of its resources, which are sent what goes on:
    tensorboard, mlflow, wandb, trackio, alone or with a place (mlflow:URI).
    """
    where = _where(address, in_process, device)
    made = make_plan(with_trackers(sweep, trackers))
    kept = Storage.open(f"runs/{sweep.name}" if storage is None else storage)
    with first_of_all():
        run_to_the_end(made, kept, address, where)
    return Results(kept)


def search(
    search: Search,
    storage: str | Path | None = None,
    *,
    study: str | None = None,
    alone: bool = False,
    address: str | None = None,
    in_process: bool = False,
    device: str = "auto",
    trackers: Sequence[str] = (),
) -> Results:
    """Search for the best run, and test it with fresh seeds; called again, it goes on where it stopped.

    `study`: where Optuna keeps the study, a journal file or a database's URL, which several drivers may share; a file
    in the storage if not given. `alone`: give up trials under way of other drivers, which are gone. The others are
    those of `run`.
    """
    where = _where(address, in_process, device)
    check_search(search)
    search = with_trackers(search, trackers)
    kept = Storage.open(f"runs/{search.name}" if storage is None else storage)
    with first_of_all():
        search_to_the_end(search, kept, study, alone, address, where)
    return Results(kept)


def search_to_the_end(
    search: Search,
    storage: Storage,
    study: str | None,
    alone: bool,
    address: str | None,
    device: str | None,
    timeline: Timeline | None = None,
) -> None:
    """Search on Ray at `address`, or in this process on `device`; then test what is best, and report both.
    `timeline`: see `profiled`.
    """
    from glad_ray.engine.search.run_search import plan_winner, run_search
    from glad_ray.progress.search_reporter import make_search_view

    with driving(storage, say), profiled(timeline, storage):
        say_licences(representatives(search))
        view = tracked(make_search_view(search, storage), search.name, (), search.resources, storage, say)
        view = timed(view, timeline)
        found = run_search(search, storage, where=study, alone=alone, address=address, device=device, view=view)
        # Reports take half a second to import, which nothing before waits for.
        from glad_ray.report import write_report, write_search_report

        budget = found.budget
        if budget is None and found.winner is not None:
            plan = as_stored(plan_winner(search, found.winner.run), storage)
            budget = run_plan(plan, storage, address, device, timeline)
            console().print(f"The report of the winner is {storage}/{write_report(storage)}")
        console().print(f"The report of the search is {storage}/{write_search_report(storage)}")
    check_spent(budget)
    if found.winner is None and found.others:
        console().print(
            f"{found.others} trials of other drivers are under way: the one that ends last evaluates the best in full. "
            "If they are gone for good, give this command --alone."
        )
        return
    _check_begun(found)
    if found.winner is None:
        raise GladRayError("No trial came to its end: the report says why.")


def distill(run: Run, storage: str | Path = "runs/distill", *, device: str = "auto") -> "SyntheticSet":
    """Distil one run in this process, without Ray; called again, it goes on where it stopped.

    Returns its synthetic set: images (images, channels, side, side) as networks see them, labels, latents. Raises what
    the run raises.
    """
    with first_of_all():
        made, kept = distill_to_the_end(Sweep(name="distill", runs=(run,)), storage, device)
    return Results(kept).synthetic_set(made)


def distill_to_the_end(one: Sweep, storage: str | Path, device: str) -> tuple[Run, Storage]:
    """Distil the one run of a sweep in this process; returns it as it is stored, and where."""
    if one.runs[0].ipc is None:
        raise UserError("The whole dataset has no set to make: name it in a sweep, where networks are trained on it.")

    from glad_ray.engine.in_process import distill_in_process
    from glad_ray.progress.sweep_reporter import make_view

    where, kept = device_named(device), Storage.open(storage)
    say_licences(one.runs)
    made = as_stored(make_plan(one), kept)
    with driving(kept, say), make_view(made) as view:
        budget = distill_in_process(made, kept, device=where, view=view)
    check_spent(budget)
    return made.runs[0], kept


def evaluate(
    synthetic_set: "SyntheticSet | str | Path",
    evaluation: Evaluation | None = None,
    storage: str | Path = "runs/evaluate",
    *,
    device: str = "auto",
) -> "pd.DataFrame":
    """Train the networks of an evaluation (the standard one if none is given) on a synthetic set, or on one in a file,
    and test them on real images; called again, it trains only what is missing.

    Returns a row for every training: network, repeat, accuracy (0 to 1), held_out_accuracy, learning_rate, seconds,
    and a column for each metric. Raises `RunError` if a network failed; the others are kept.
    """
    from glad_ray.score import read_set

    made = read_set(Path(synthetic_set)) if isinstance(synthetic_set, str | Path) else synthetic_set
    with first_of_all():
        return score_to_the_end(made, evaluation or Evaluation(), str(storage), device, "the set")


def score_to_the_end(
    made: "SyntheticSet", evaluation: Evaluation, storage: str, device: str, title: str
) -> "pd.DataFrame":
    """Score a set in this process and print what it came to; returns a row for every training."""
    import pandas as pd

    from glad_ray.engine.scoring import score_in_process
    from glad_ray.progress.scoring_reporter import scoring_reporter
    from glad_ray.progress.view import view_of

    where = device_named(device)
    reporter = scoring_reporter(made.run, evaluation)
    try:
        with view_of(reporter, transient=True) as view:
            score_in_process(made, evaluation, storage, device=where, view=view)
    finally:
        # Whatever ended it, what was finished is shown.
        if reporter.trainings or reporter.failed:
            console().print(reporter.table(title))
            if (metrics := reporter.metrics_table()) is not None:
                console().print(metrics)
    if reporter.failed:
        failed = "; ".join(f"{network.title}: {error}" for network, error in reporter.failed.items())
        raise RunError(
            f"{len(reporter.failed)} of {len(evaluation.networks)} networks failed ({failed}): what the table shows "
            "is kept, and the same command tries again what failed."
        )
    return pd.DataFrame([
        {
            "network": training.network,
            "repeat": training.repeat,
            "accuracy": training.accuracy,
            "held_out_accuracy": training.held_out_accuracy,
            "learning_rate": training.learning_rate,
            "seconds": training.seconds,
        }
        | dict(training.metrics)
        for training in reporter.all_trainings
    ])  # fmt: skip


def _where(address: str | None, in_process: bool, device: str) -> str | None:
    """The device of this process; None on Ray, where shares of GPUs are asked for instead."""
    if in_process:
        if address is not None:
            raise UserError("In this process there is no cluster: leave address out, or in_process.")
        return device_named(device)
    if device != "auto":
        raise UserError(f"Device {device} is one of this process: add in_process=True, or give the sweep resources.")
    if address is not None:
        check_address(address)
    check_for_ray()
    return None


def _check_begun(found: "Found") -> None:
    """Say how many draws made no run, and how many trials began if fewer did than were asked for; raises `GladRayError`
    if that is because of such draws.
    """
    refused, few = found.refused, found.begun < found.asked
    begun = f"{found.begun} of {found.asked} trials began"
    if few and refused:
        first = ", ".join(f"{name}={value}" for name, value in refused[0].parameters.items())
        raise GladRayError(
            f"{begun}: of {len(refused)} draws no run can be made, of the first ({first}) for this reason: "
            f"{refused[0].error.rstrip('.')}. The report lists them; narrow the ranges, or bind them with when."
        )
    if few:
        console().print(f"{begun}: nothing was left to draw that had not been drawn before.")
    elif refused:
        console().print(
            f"Of {len(refused)} draws no run can be made: others were drawn in their place, and the report lists them."
        )
