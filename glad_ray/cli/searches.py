"""The command of a search: what it found, and how it goes on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glad_ray.cli.common import (
    Address,
    DeviceInProcess,
    InProcess,
    check_spent,
    console,
    device_in_process,
    home_expanded,
    run_plan,
    say,
    say_licences,
)
from glad_ray.errors import GladRayError, UserError
from glad_ray.plan import as_stored
from glad_ray.progress.driver import driving
from glad_ray.results import SearchTrial, read_trials
from glad_ray.spec.code import as_code
from glad_ray.spec.overrides import override_search
from glad_ray.spec.search_check import check_search
from glad_ray.spec.search_space import representatives
from glad_ray.spec.sweep_file import load_search
from glad_ray.storage import Storage

if TYPE_CHECKING:
    from glad_ray.engine.search.run_search import Found


def search(
    search_file: Annotated[
        Path,
        typer.Argument(
            metavar="SEARCH", help="A search file: Python that has a function search().", callback=home_expanded
        ),
    ],
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage", metavar="DIR_OR_URI", help="Where everything is kept; runs/<search name> if not given."
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            metavar="FILE_OR_URL",
            help="Where Optuna keeps the study: a journal file or a database's URL, which several drivers may share; a "
            "file in the storage if not given.",
        ),
    ] = None,
    assignments: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a field of the search or of the run that varies. May be repeated.",
        ),
    ] = [],  # noqa: B006
    alone: Annotated[
        bool, typer.Option("--alone", help="Give up trials under way of other drivers of the study, which are gone.")
    ] = False,
    best: Annotated[
        bool, typer.Option("--best", help="Only print the best run found so far, ready to paste into a sweep.")
    ] = False,
    address: Address = None,
    in_process: InProcess = False,
    device: DeviceInProcess = "auto",
) -> None:
    """Search runs for the best; the same command again continues where it stopped, and repeats nothing finished."""
    made = override_search(load_search(search_file), assignments)
    check_search(made)
    name = storage if storage is not None else f"runs/{made.name}"
    if best:
        typer.echo(as_code(_best(Storage.open(name, create=False)).run))
        return
    where, kept = device_in_process(in_process, device), Storage.open(name)
    with driving(kept, say):
        say_licences(representatives(made))
        from glad_ray.engine.search.run_search import plan_winner, run_search
        from glad_ray.progress.search_reporter import make_search_view
        from glad_ray.report import write_report, write_search_report

        view = make_search_view(made, kept)
        found = run_search(made, kept, where=study, alone=alone, address=address, device=where, view=view)
        budget = found.budget
        if budget is None and found.winner is not None:
            plan = as_stored(plan_winner(made, found.winner.run), kept)
            budget = run_plan(plan, kept, address, where)
            console().print(f"The report of the winner is {kept}/{write_report(kept)}")
        console().print(f"The report of the search is {kept}/{write_search_report(kept)}")
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


def _best(storage: Storage) -> SearchTrial:
    """The best in full, or, while there is none, of those that came furthest."""
    trials = [trial for trial in read_trials(storage) if trial.rung_accuracies]
    if not trials:
        raise UserError(
            f"{storage} has no trial of a search that was evaluated: start the search, or name its storage."
        )
    return max(
        trials, key=lambda trial: (trial.full_accuracy or -1.0, len(trial.rung_accuracies), trial.rung_accuracies[-1])
    )
