"""The commands of whole sweeps: plan, sweep, status, report."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from glad_ray.api.running import console, run_to_the_end, say, with_trackers
from glad_ray.cli.at_the_end import OnEnd, then
from glad_ray.cli.common import (
    Address,
    Assignments,
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
from glad_ray.plan import Plan, as_stored, make_plan, read_plan
from glad_ray.plan.cluster_file import CLUSTER_VARIABLE, read_node_types
from glad_ray.plan.fields import difference_fields, placement_fields, plan_fields
from glad_ray.plan.machines import NodeType, machines_table, placements
from glad_ray.plan.show import differences_table, plan_tables
from glad_ray.progress import formatting
from glad_ray.progress.driver import look_at_driver
from glad_ray.results import finished, read_failures
from glad_ray.spec import Sweep, dataset_facts
from glad_ray.spec.small import small as shrink
from glad_ray.spec.written.overrides import first, only, override_sweep
from glad_ray.spec.written.sweep_file import load_sweep
from glad_ray.storage import Storage
from glad_ray.storage_contents import check_ours

SweepFile = Annotated[
    Path,
    typer.Argument(
        metavar="SWEEP",
        help="A sweep file, Python that has a function sweep(); or the plan.json of a storage: the sweep it was.",
        callback=home_expanded,
    ),
]
Conditions = Annotated[
    list[str],
    typer.Option(
        "--only",
        metavar="KEY=VALUE",
        help="Take only the runs that have it; run_id=<id> is one run. Repeated: one of the values of a key, and so "
        "for every key.",
    ),
]
First = Annotated[
    list[str],
    typer.Option(
        "--first", metavar="KEY=VALUE", help="Start the runs that have it before the others. Repeated: in that order."
    ),
]
Small = Annotated[
    bool,
    typer.Option(
        "--small", help="The same grid on bundled images, with narrow networks and few steps: to see that it runs."
    ),
]
StorageOption = Annotated[
    str | None, typer.Option("--storage", metavar="DIR_OR_URI", help="A folder, or s3://... or gs://...")
]


def plan(
    sweep_file: SweepFile,
    assignments: Assignments = [],  # noqa: B006
    conditions: Conditions = [],  # noqa: B006
    wanted_first: First = [],  # noqa: B006
    small: Small = False,
    storage: StorageOption = None,
    cluster: Annotated[
        Path | None,
        typer.Option(
            "--cluster",
            envvar=CLUSTER_VARIABLE,
            metavar="FILE",
            help="A launcher file of ray up or KubeRay: which of its machines can take what, and whether any can.",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also print where the paper and its code disagree, and what is done here.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print what a sweep would run, in order, what it needs first and what it would cost; start nothing."""
    with nothing_else_printed(as_json):
        made = _plan(sweep_file, conditions, wanted_first, assignments, small)
        where = _storage_name(made.sweep, storage)
        there = storage is not None or Path(where).is_dir()
        done = set()
        if there:
            kept = Storage.open(where, create=False)
            made = as_stored(made, kept)
            done = finished_runs(made, kept)
        title = f"of {cluster}"
        found = None if cluster is None else placements(made, _node_types(cluster), title)
        missing = _missing_data(made)
    if as_json:
        fields = plan_fields(made, done, missing) | {"storage": str(kept) if there else None}
        fields["machines"] = None if found is None else placement_fields(found)
        fields["differences"] = difference_fields() if explain else None
        print_document("plan", fields)
        return
    for part in (*plan_tables(made, done), *(() if found is None else (machines_table(found, title),))):
        console().print(part)
    for sentence in missing:
        console().print(escape(sentence))
    if explain:
        console().print(differences_table(made))


def sweep(
    sweep_file: SweepFile,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage", metavar="DIR_OR_URI", help="Where everything is kept; runs/<sweep name> if not given."
        ),
    ] = None,
    assignments: Assignments = [],  # noqa: B006
    conditions: Conditions = [],  # noqa: B006
    wanted_first: First = [],  # noqa: B006
    small: Small = False,
    stop_after_failures: StopAfterFailures = None,
    on_end: OnEnd = None,
    trackers: Trackers = [],  # noqa: B006
    profile: Profile = False,
    address: Address = None,
    in_process: InProcess = False,
    device: DeviceInProcess = "auto",
) -> None:
    """Run a sweep and report it; the same command again continues where it stopped, and repeats nothing finished."""
    timeline = begun_timeline(profile)
    assignments = with_failures(assignments, stop_after_failures)
    made = _plan(sweep_file, conditions, wanted_first, assignments, small, trackers)
    where = device_in_process(in_process, device)
    kept = Storage.open(_storage_name(made.sweep, storage))
    if timeline is not None:
        timeline.reached("plan")
    with then(on_end, kept):
        run_to_the_end(made, kept, address, where, timeline)


def retry(
    storage: Annotated[str, typer.Argument(metavar="DIR", help="The storage of a sweep: a folder or URI.")],
    address: Address = None,
    in_process: InProcess = False,
    device: DeviceInProcess = "auto",
) -> None:
    """Run again the runs of a sweep that failed, and no others, after saying why they did."""
    kept = Storage.open(storage, create=False)
    check_ours(kept)
    plan = read_plan(kept)
    failed = {failure.run_id: failure for failure in read_failures(kept)}
    part = plan.only(failed)
    if not part.runs:
        raise UserError(f"No run of the sweep in {kept} failed: glad-ray sweep goes on with what is left of it.")
    where = device_in_process(in_process, device)
    for run in part.runs:
        console().print(f"failed     {run.label} {formatting.of_failure(failed[run.run_id])}", markup=False)
    run_to_the_end(part, kept, address, where)


def status(
    storage: Annotated[str, typer.Argument(metavar="DIR", help="The storage of a sweep: a folder or URI.")],
    as_json: AsJson = False,
) -> None:
    """Say what every run of a sweep, or every trial of a search, is doing, while it goes on and after, from its storage
    alone.
    """
    from glad_ray.progress.search_status import read_search_status, search_status_fields, search_status_parts
    from glad_ray.progress.status import read_status
    from glad_ray.progress.status_tables import status_fields, status_parts

    kept = Storage.open(storage, create=False)
    driver = look_at_driver(kept, say)
    search = read_search_status(kept, driver)
    # Of a search, the sweep is its winner with fresh seeds, once there is one.
    sweep = read_status(kept, driver) if search is None or kept.exists(Storage.PLAN) else None
    if as_json:
        fields = None if sweep is None else status_fields(sweep)
        if search is not None:
            print_document("search-status", search_status_fields(search) | {"winner": fields})
        else:
            print_document("status", fields or {})
        return
    for part in () if search is None else search_status_parts(search):
        console().print(part)
    for part in () if sweep is None else status_parts(sweep):
        console().print(part)


def report(
    storages: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR",
            help="The storage of a sweep or search, a folder or URI; of two, a comparison is written to the first.",
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Write tables and pictures from the results of a sweep or search alone; of two storages, their differences."""
    from glad_ray.report import report_fields, write_comparison, write_report, write_search_report

    if len(storages) > 2:
        raise UserError(f"glad-ray report takes one storage, or two to compare, not {len(storages)}.")
    if as_json and len(storages) > 1:
        raise UserError("--json is of one storage: leave it out to compare two, or name them one by one.")
    kept, *others = [Storage.open(storage, create=False) for storage in storages]
    check_ours(kept)
    if others:
        console().print(f"The comparison is {kept}/{write_comparison(kept, *others)}")
        return
    searched = kept.exists(Storage.SEARCH)
    of_search = write_search_report(kept) if searched else None
    of_sweep = write_report(kept) if not searched or kept.exists(Storage.PLAN) else None
    if as_json:
        print_document("report", report_fields(kept, of_sweep, of_search))
        return
    if of_search is not None:
        console().print(f"The report of the search is {kept}/{of_search}")
    if of_sweep is not None:
        console().print(f"The report is {kept}/{of_sweep}")


def finished_runs(made: Plan, storage: Storage) -> set[str]:
    """Ids of the runs that have their results."""
    ids = [evaluation.content_id for evaluation in made.sweep.evaluations]
    return {run.run_id for run in made.runs if all(finished(storage, run.run_id, each) for each in ids)}


def _plan(
    sweep_file: Path,
    conditions: list[str],
    wanted_first: list[str],
    assignments: list[str],
    small: bool,
    trackers: list[str] | None = None,
) -> Plan:
    """The plan of a sweep file with all that a command says of it; `trackers` None: nothing is started."""
    chosen = only(first(load_sweep(sweep_file), wanted_first), conditions)
    made = override_sweep(shrink(chosen) if small else chosen, assignments)
    return make_plan(made if trackers is None else with_trackers(made, trackers))


def _node_types(cluster: Path) -> tuple[NodeType, ...]:
    types = read_node_types(cluster)
    if not types:
        raise UserError(f"{cluster} does not say what its machines have: leave --cluster out.")
    return types


def _missing_data(made: Plan) -> list[str]:
    """A sentence for the datasets of a plan that are not there, and are got in the same way."""
    from glad_ray.data import find_dataset

    titles: dict[str, list[str]] = {}
    for name in dict.fromkeys(run.dataset for run in made.runs):
        try:
            find_dataset(name)
        except UserError as error:
            title = dataset_facts(name).title
            titles.setdefault(str(error).removeprefix(f"{title} was not found "), []).append(title)
    return [f"Missing: {', '.join(each)} {how}" for how, each in titles.items()]


def _storage_name(sweep: Sweep, storage: str | None) -> str:
    return storage if storage is not None else f"runs/{sweep.name}"
