"""How pages are made of templates."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from glad_ray.report import wording
from glad_ray.report.drawing import algorithm_colours, css_name


def render(template: str, context: Mapping[str, Any]) -> str:
    """A page; what the context has is escaped unless it says that it is markup."""
    environment = Environment(
        loader=PackageLoader("glad_ray.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"wording": wording, "algorithm_colours": algorithm_colours(), "css_name": css_name}
    return environment.get_template(template).render(context)
