"""How pages are made of templates."""

import base64
import functools
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from glad_ray.report import wording
from glad_ray.report.figures.drawing import algorithm_colours, css_name


def render(template: str, context: Mapping[str, Any]) -> str:
    """A page; what the context has is escaped unless it says that it is markup."""
    environment = Environment(
        loader=PackageLoader("glad_ray.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "wording": wording,
        "algorithm_colours": algorithm_colours(),
        "css_name": css_name,
        "page_script": Markup(page_script()),
        "page_script_hash": script_hash(page_script()),
    }
    return environment.get_template(template).render(context)


@functools.cache
def page_script() -> str:
    """The script of pages: tables that sort, filter and are copied, and runs shown one at a time."""
    return (files("glad_ray.report") / "templates" / "page.js").read_text("utf-8")


def script_hash(script: str) -> str:
    """What a Content-Security-Policy calls an inline script: the page runs this one and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
