"""Options that several commands have in common."""

from pathlib import Path
from typing import Annotated, Any

import typer

from glad_ray.api.running import check_for_ray, device_named
from glad_ray.engine.cluster.addresses import check_address
from glad_ray.errors import UserError
from glad_ray.paths import expanded
from glad_ray.progress.timeline import Timeline

Assignments = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a field of every run that has it, or evaluation.<field>, resources.<field>. May be repeated.",
    ),
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:<n>, or auto: a GPU if PyTorch sees one.")]


def _address(given: str | None) -> str | None:
    """What --address was given; raises `UserError` before anything is written if no cluster has such an address."""
    if given is not None:
        check_address(given)
    return given


Address = Annotated[
    str | None,
    typer.Option(
        callback=_address,
        help="A Ray cluster to run on: auto, HOST:PORT, or local for a new one on this machine. If not given, the one "
        "that RAY_ADDRESS names or that ray start started here, else a new one.",
    ),
]
InProcess = Annotated[
    bool, typer.Option("--in-process", help="Run everything in this process, one after another, without Ray.")
]
DeviceInProcess = Annotated[str, typer.Option("--device", help="With --in-process: cpu, cuda, cuda:<n> or auto.")]
Trackers = Annotated[
    list[str],
    typer.Option(
        "--track",
        metavar="NAME[:WHERE]",
        help="Send settings, losses, accuracies and images of every run to a tracker: tensorboard[:FOLDER], "
        "mlflow[:URI], wandb[:PROJECT] or trackio[:PROJECT]. May be repeated.",
    ),
]
StopAfterFailures = Annotated[
    int | None,
    typer.Option(
        "--stop-after-failures",
        metavar="N",
        min=1,
        help="Start nothing new once so many runs have failed; what is under way is kept. The same command goes on.",
    ),
]


Profile = Annotated[
    bool,
    typer.Option(
        "--profile",
        help="At the end, print when this command reached the points of its start: seconds since it began, and CPU "
        "seconds of its process.",
    ),
]


def begun_timeline(profile: bool) -> Timeline | None:
    """The timeline that --profile asks for; the command itself is imported by now."""
    if not profile:
        return None
    timeline = Timeline()
    timeline.reached("command")
    return timeline


def with_failures(assignments: list[str], most: int | None) -> list[str]:
    """Assignments, with what --stop-after-failures says."""
    return assignments if most is None else [*assignments, f"resources.failures={most}"]


def device_in_process(in_process: bool, name: str) -> str | None:
    """The device of a word with --in-process; None on Ray, where shares of GPUs are asked for instead."""
    if in_process:
        return device_named(name)
    if name != "auto":
        raise UserError(
            f"--device {name} goes with --in-process: add that, or on Ray --set resources.trial.gpus=<share>."
        )
    check_for_ray()
    return None


def home_expanded(given: Any) -> Any:
    """What an option or argument was given as a path, or several: a shell leaves the ~ of `--to=~/x` as it is."""
    if isinstance(given, list | tuple):
        return [home_expanded(each) for each in given]
    return expanded(given) if isinstance(given, Path) else given
