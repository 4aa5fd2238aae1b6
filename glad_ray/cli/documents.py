"""What commands print with `--json`: one document for other programs, described in docs/json.md.

Every document is an object with `version` and `kind`; the rest is particular to its kind. Numbers, texts, lists and
objects are all that is in it: times are texts of ISO 8601, shares and accuracies lie from 0 to 1, and what is not known
is null.
"""

import contextlib
import json
import math
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from glad_ray.spec import Evaluation

if TYPE_CHECKING:
    import pandas as pd

VERSION = 1
"""it grows where a field goes away or comes to mean something else; fields are added without"""
Kind = Literal["plan", "status", "search-status", "evaluation", "report", "generator", "best-run"]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document, and all else on standard error; docs/json.md describes it."),
]


@contextlib.contextmanager
def nothing_else_printed(as_json: bool) -> Iterator[None]:
    """With `--json`, what is printed meanwhile goes to standard error, what a user's file prints too."""
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        yield


def print_document(kind: Kind, fields: Mapping[str, Any]) -> None:
    """Print one document; a number that is not finite is null."""
    document = {"version": VERSION, "kind": kind} | {name: _plain(value) for name, value in fields.items()}
    typer.echo(json.dumps(document, indent=1, allow_nan=False))


def evaluation_fields(evaluation: Evaluation, trainings: "pd.DataFrame") -> dict[str, Any]:
    """What a set scored, for a JSON document; docs/schemas/evaluation.json describes them."""
    always = ("repeat", "accuracy", "held_out_accuracy", "learning_rate", "seconds")
    metrics = [name for name in trainings.columns if name not in ("network", *always)]
    networks = []
    for network in evaluation.networks:
        rows = trainings[trainings.network == network.key].to_dict("records")
        accuracies = [row["accuracy"] for row in rows]
        networks.append({
            "network": network.key,
            "title": network.title,
            "mean": statistics.fmean(accuracies),
            "std": statistics.pstdev(accuracies),
            "trainings": [_some(row, always) | {"metrics": _some(row, metrics)} for row in rows],
        })  # fmt: skip
    return {"epochs": evaluation.epochs, "repeats": evaluation.repeats, "networks": networks}


def _some(row: Mapping[Any, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
