"""The documents as a site, by Sphinx: `make site`."""

import re
import typing
from pathlib import Path
from typing import Any

from glad_ray.spec.record import Record
from glad_ray.version import __version__

project = "glad_ray"
release = __version__
html_title = f"{project} {release}"
html_theme = "furo"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
# What is between single backquotes in docstrings is code.
default_role = "code"
myst_heading_anchors = 4
nb_execution_mode = "off"
autodoc_default_options = {"members": True, "undoc-members": True, "exclude-members": "model_config"}
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"

_DOCS = Path(__file__).parent
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)#]+)(#[^)]*)?\)")


def without_links_outside(app: Any, name: str, source: list[str]) -> None:
    """Links that leave docs/, to files of the repository, are plain text in the site."""
    folder = (_DOCS / name).parent

    def kept(link: re.Match[str]) -> str:
        return link[0] if (folder / link[2]).resolve().is_relative_to(_DOCS) else link[1]

    source[0] = _LINK.sub(kept, source[0])


def only_ours(app: Any, what: str, name: str, member: Any, skip: bool, options: Any) -> bool:
    """Pydantic's own methods are left out."""
    return skip or (getattr(member, "__module__", None) or "").startswith("pydantic")


def with_default(app: Any, what: str, name: str, member: Any, options: Any, lines: list[str]) -> None:
    """A record's field says its default."""
    *_, owner, attribute = ("", *name.split("."))
    record = next((each for each in _records() if each.__name__ == owner), None)
    field = None if record is None else record.model_fields.get(attribute)
    if field is not None:
        default = field.get_default(call_default_factory=True)
        lines += ["", "must be set" if field.is_required() else f"default: ``{_short(default)}``"]


def _short(value: Any) -> str:
    """A default as it would be written, nested records by what differs from theirs."""
    if isinstance(value, Record):
        fields = (f"{name}={_short(getattr(value, name))}" for name in sorted(value.model_fields_set))
        return f"{type(value).__name__}({', '.join(fields)})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_short, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


def _records() -> list[type[Record]]:
    found, left = [], [Record]
    while left:
        found.append(left.pop())
        left += found[-1].__subclasses__()
    return found


def setup(app: Any) -> None:
    """Called by Sphinx."""
    for record in _records():
        # As their types are written, without what checks them.
        hints = typing.get_type_hints(record)
        record.__annotations__ = {name: hints[name] for name in record.__annotations__}
    app.connect("source-read", without_links_outside)
    app.connect("autodoc-skip-member", only_ours)
    app.connect("autodoc-process-docstring", with_default)
