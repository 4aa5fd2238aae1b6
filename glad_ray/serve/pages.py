"""Templates filled in: everything that they are given is escaped, unless it is a figure that was drawn here."""

import functools
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined

from glad_ray.progress import formatting
from glad_ray.report import wording
from glad_ray.report.figures.drawing import algorithm_colours, css_name
from glad_ray.serve.views import PHASES


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PrefixLoader({"serve": PackageLoader("glad_ray.serve"), "report": PackageLoader("glad_ray.report")}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "wording": wording,
        "formatting": formatting,
        "css_name": css_name,
        "algorithm_colours": algorithm_colours(),
        "ago": ago,
        "moment": moment,
        "query": query,
        "phases": PHASES,
    }
    return environment


def render(template: str, context: Mapping[str, Any]) -> bytes:
    """A page; characters that are no text are escaped."""
    text = _environment().get_template(f"serve/{template}").render(context)
    return text.encode("utf-8", "backslashreplace")


def ago(now: datetime, then: datetime) -> str:
    """`12 s ago`; of another machine's clock it may lie ahead."""
    seconds = (now - then).total_seconds()
    if seconds < -1:
        return f"{_duration(-seconds)} ahead of this clock"
    return f"{_duration(max(seconds, 0.0))} ago"


def moment(at: datetime) -> str:
    """`2026-11-30 10:04:05 UTC`."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def query(**fields: Any) -> str:
    """The end of an address with the fields that are not empty."""
    given = {name: value for name, value in fields.items() if value not in ("", None)}
    return f"?{urlencode(given)}" if given else "?"


def _duration(seconds: float) -> str:
    if seconds >= 2 * 24 * 3600:
        return f"{seconds / 24 / 3600:.0f} days"
    return f"{seconds:.0f} s" if seconds < 10 else wording.duration(seconds)
