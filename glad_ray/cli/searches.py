"""The command of a search: what it found, and how it goes on."""

from pathlib import Path
from typing import Annotated, Any

import typer

from glad_ray.api.commands import search_to_the_end
from glad_ray.api.running import with_trackers
from glad_ray.cli.at_the_end import OnEnd, then
from glad_ray.cli.common import (
    Address,
    DeviceInProcess,
    InProcess,
    Profile,
    StopAfterFailures,
    Trackers,
    begun_timeline,
    device_in_process,
    home_expanded,
    with_failures,
)
from glad_ray.cli.documents import AsJson, nothing_else_printed, print_document
from glad_ray.errors import UserError
from glad_ray.results import SearchTrial, read_trials
from glad_ray.spec.searches.check import check_search
from glad_ray.spec.written.code import as_code
from glad_ray.spec.written.overrides import override_search
from glad_ray.spec.written.sweep_file import load_search
from glad_ray.storage import Storage


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
    as_json: AsJson = False,
    stop_after_failures: StopAfterFailures = None,
    on_end: OnEnd = None,
    trackers: Trackers = [],  # noqa: B006
    profile: Profile = False,
    address: Address = None,
    in_process: InProcess = False,
    device: DeviceInProcess = "auto",
) -> None:
    """Search runs for the best; the same command again continues where it stopped, and repeats nothing finished."""
    timeline = begun_timeline(profile)
    if as_json and not best:
        raise UserError("--json goes with --best: of a search that goes on or ended, glad-ray status --json tells.")
    with nothing_else_printed(as_json):
        made = override_search(load_search(search_file), with_failures(assignments, stop_after_failures))
    check_search(made)
    name = storage if storage is not None else f"runs/{made.name}"
    if best:
        kept = Storage.open(name, create=False)
        found = _best(kept)
        if as_json:
            print_document("best-run", {"storage": str(kept), "search": made.name} | _fields(found))
        else:
            typer.echo(as_code(found.run))
        return
    made = with_trackers(made, trackers)
    where = device_in_process(in_process, device)
    kept = Storage.open(name)
    if timeline is not None:
        timeline.reached("plan")
    with then(on_end, kept):
        search_to_the_end(made, kept, study, alone, address, where, timeline)


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


def _fields(trial: SearchTrial) -> dict[str, Any]:
    """Of a trial, for a JSON document; docs/schemas/best-run.json describes them."""
    return {
        "number": trial.number,
        "state": trial.state,
        "run_id": trial.run.run_id,
        "parameters": dict(trial.parameters),
        "looks": list(trial.rung_accuracies),
        "full_accuracy": trial.full_accuracy,
        "full": {network: list(accuracies) for network, accuracies in trial.full.items()},
        "run": trial.run.model_dump(mode="json"),
        "code": as_code(trial.run),
    }
