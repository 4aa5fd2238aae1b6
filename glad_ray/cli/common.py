"""What several commands have in common: options, where output goes, the device."""

import sys
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.console import Console

from glad_ray.spec import Run

Assignments = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a field of every run that has it, or evaluation.<field>, resources.<field>. May be repeated.",
    ),
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:<n>, or auto: a GPU if PyTorch sees one.")]


def console() -> Console:
    """Where output goes; wide enough for whole tables when it is not a terminal."""
    return Console(width=None if sys.stdout.isatty() else 160, soft_wrap=not sys.stdout.isatty())


def say_licences(runs: Iterable[Run]) -> None:
    """What has to be said of the weights that some runs load."""
    for note in dict.fromkeys(run.generator.licence for run in runs if run.generator is not None):
        if note:
            console().print(note)


def device_named(name: str) -> str:
    """The device of a word, found to be there; raises `UserError` otherwise."""
    from glad_ray.machine import keep_freed_memory, open_device

    keep_freed_memory()
    return str(open_device(name))
