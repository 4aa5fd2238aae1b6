"""The command that removes runs from a storage."""

import sys
from typing import Annotated

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Column, Table

from glad_ray.api.removal import Removal, carry_out, find_removal
from glad_ray.api.results import load
from glad_ray.api.running import console, say
from glad_ray.errors import UserError
from glad_ray.progress.driver import driving
from glad_ray.storage_contents import check_ours


def remove(
    storage: Annotated[str, typer.Argument(metavar="DIR", help="The storage of a sweep: a folder or URI.")],
    conditions: Annotated[
        list[str],
        typer.Option(
            "--only",
            metavar="KEY=VALUE",
            help="Remove the runs that have it. Repeated: one of the values of a key, and so for every key.",
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    experts: Annotated[
        bool, typer.Option("--experts", help="Also remove experts that no other run there needs; else they stay.")
    ] = False,
) -> None:
    """Remove runs of a sweep from its storage, with their rows, synthetic sets and checkpoints, after saying what would
    go and asking. The plan keeps them: the same sweep makes them again.
    """
    kept = load(storage).storage
    check_ours(kept)
    with driving(kept, say):
        removal = find_removal(kept, conditions, experts)
        _show(removal)
        if removal.bytes and not yes and not _confirmed():
            console().print("Nothing was removed.")
            return
        carry_out(removal)
    if removal.bytes:
        console().print(f"Removed: {decimal(removal.bytes)}.")


def _show(removal: Removal) -> None:
    """Print what would go."""
    there = [each for each in removal.runs if each.files]
    if there:
        first, last = Column("run", no_wrap=True), Column("bytes", no_wrap=True)
        table = Table(first, "", "rows", "sets", "checkpoints", "networks", last)
        for each in there:
            counts = (each.rows, each.sets, each.checkpoints, each.scored)
            table.add_row(each.run.run_id, escape(each.run.label), *map(str, counts), decimal(each.bytes))
        console().print(table)
    console().print(
        f"{len(there)} of {len(removal.runs)} runs that have it lie in {removal.storage}: "
        f"{decimal(sum(each.bytes for each in there))}.",
        markup=False,
    )
    for expert_set, size in removal.unneeded.items():
        end = "go too." if removal.with_experts else "stay: --experts removes them too."
        console().print(f"{expert_set.label} ({decimal(size)}), which no other run there needs, {end}", markup=False)


def _confirmed() -> bool:
    """Whether the user says yes; raises `UserError` where nobody can be asked."""
    if not sys.stdin.isatty():
        raise UserError("Nothing was removed, for there is no terminal to ask at: add --yes to remove it.")
    return typer.confirm("Remove this?")
