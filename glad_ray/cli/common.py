"""What several commands have in common: options, where output goes, the device."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from glad_ray.engine.cluster.addresses import check_address
from glad_ray.engine.cluster.ray_settings import check_ray_settings
from glad_ray.errors import BudgetError, UserError
from glad_ray.paths import check_home, expanded
from glad_ray.plan import Plan
from glad_ray.progress import formatting
from glad_ray.spec import Run
from glad_ray.storage import Storage

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


def home_expanded(given: Any) -> Any:
    """What an option or argument was given as a path, or several: a shell leaves the ~ of `--to=~/x` as it is."""
    if isinstance(given, list | tuple):
        return [home_expanded(each) for each in given]
    return expanded(given) if isinstance(given, Path) else given


def console() -> Console:
    """Where output goes; wide enough for whole tables when it is not a terminal."""
    return Console(width=None if sys.stdout.isatty() else 160, soft_wrap=not sys.stdout.isatty())


def say_licences(runs: Iterable[Run]) -> None:
    """What has to be said of the weights that some runs load."""
    for note in dict.fromkeys(run.generator.licence for run in runs if run.generator is not None):
        if note:
            console().print(note)


def run_plan(made: Plan, storage: Storage, address: str | None, device: str | None) -> str | None:
    """Run a plan through Ray, or in this process on `device`, and show how it goes; returns the budget that ended it,
    if one did.
    """
    from glad_ray.progress.sweep_reporter import make_view

    with make_view(made) as view:
        if device is None:
            from glad_ray.engine.on_ray.run import run_on_ray

            return run_on_ray(made, storage, address=address, view=view)
        from glad_ray.engine.in_process import run_in_process

        return run_in_process(made, storage, device=device, view=view)


def check_spent(budget: str | None) -> None:
    """Raise `BudgetError` if a budget ended it before all was done."""
    if budget is not None:
        raise BudgetError(
            f"{formatting.spent(budget)}: nothing is lost, and the same command goes on with what is left."
        )


def device_in_process(in_process: bool, name: str) -> str | None:
    """The device of a word with --in-process; None on Ray, where shares of GPUs are asked for instead."""
    if in_process:
        return device_named(name)
    if name != "auto":
        raise UserError(
            f"--device {name} goes with --in-process: add that, or on Ray --set resources.trial.gpus=<share>."
        )
    check_ray_settings()
    check_home("Ray")
    return None


def say(sentence: str) -> None:
    """Say what is waited for, beside what a command prints."""
    print(sentence, file=sys.stderr, flush=True)


def device_named(name: str) -> str:
    """The device of a word, found to be there; raises `UserError` otherwise."""
    from glad_ray.machine import keep_freed_memory, open_device

    keep_freed_memory()
    return str(open_device(name))
