"""Records as the Python that makes them, ready to paste into a sweep file."""

import ast
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from glad_ray.errors import UserError
from glad_ray.spec.record import Record, fields_of

_WIDTH = 100
_INDENT = "    "


def as_code(record: Record) -> str:
    """The call that makes a record, with those fields alone that are neither defaults nor implied by the others.

    Evaluated with the names of `glad_ray` it gives a record with the same `content_id`. What a file tells of a
    generator is left to the file.
    """
    call = _Call(record)
    # Again, for what is left out may leave out more: what a file holds of two parts, once it is not asked for either.
    while call.shorten(lambda: _makes(call, record)):
        pass
    return _written(call, 0)


def import_line(code: str) -> str:
    """The line that imports what such a call needs."""
    calls = [node.func for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    return f"from glad_ray import {', '.join(sorted({each.id for each in calls if isinstance(each, ast.Name)}))}"


class _Call:
    """A call with keyword arguments, some of which are said."""

    def __init__(self, value: Any) -> None:
        self.type = type(value)
        names = fields_of(self.type) if isinstance(value, Record) else [each.name for each in dataclasses.fields(value)]
        self.arguments = {name: _expression(getattr(value, name)) for name in names}
        self.said = set(names)

    def shorten(self, unchanged: Callable[[], bool]) -> bool:
        """Leave out all without which what is made is unchanged; whether there was any."""
        shorter = False
        # Where a record and a plain field tell the same (a generator and a resolution), it is the plain one that stays.
        for name in sorted(self.said, key=lambda name: (not isinstance(self.arguments[name], _Call), name)):
            self.said.remove(name)
            if unchanged():
                shorter = True
            else:
                self.said.add(name)
                inner = [call.shorten(unchanged) for call in _calls(self.arguments[name])]
                shorter = shorter or any(inner)
        return shorter

    def make(self) -> Any:
        return self.type(**{name: _made(self.arguments[name]) for name in self.said})


def _expression(value: Any) -> Any:
    """A value with calls in the place of records."""
    if isinstance(value, Record) or dataclasses.is_dataclass(value):
        return _Call(value)
    if isinstance(value, tuple | list):
        return tuple(map(_expression, value))
    if isinstance(value, Mapping):
        return {name: _expression(each) for name, each in value.items()}
    return value


def _calls(expression: Any) -> Iterator[_Call]:
    if isinstance(expression, _Call):
        yield expression
    elif isinstance(expression, tuple | dict):
        for each in expression.values() if isinstance(expression, dict) else expression:
            yield from _calls(each)


def _made(expression: Any) -> Any:
    if isinstance(expression, _Call):
        return expression.make()
    if isinstance(expression, tuple):
        return tuple(map(_made, expression))
    if isinstance(expression, dict):
        return {name: _made(each) for name, each in expression.items()}
    return expression


def _makes(call: _Call, wanted: Record) -> bool:
    try:
        made = call.make()
    # Of a dataclass a field is missing; a record says so itself.
    except (UserError, TypeError):
        return False
    return made.content_id == wanted.content_id and _agree(made, wanted)


def _agree(made: Any, wanted: Any) -> bool:
    """Whether two values are equal, but for what a file tells of itself: for that their ids vouch."""
    if isinstance(wanted, Record):
        names = fields_of(type(wanted))
        return type(made) is type(wanted) and all(_agree(getattr(made, name), getattr(wanted, name)) for name in names)
    return dataclasses.is_dataclass(wanted) or made == wanted


def _written(expression: Any, depth: int) -> str:
    """On one line where it fits, else an item a line."""
    if isinstance(expression, _Call):
        items = [(f"{name}=", each) for name, each in expression.arguments.items() if name in expression.said]
        start, end = f"{expression.type.__name__}(", ")"
    elif isinstance(expression, tuple):
        items, (start, end) = [("", each) for each in expression], "()"
    elif isinstance(expression, dict):
        items, (start, end) = [(f"{_literal(name)}: ", each) for name, each in expression.items()], "{}"
    else:
        return _literal(expression)
    alone = isinstance(expression, tuple) and len(items) == 1
    line = ", ".join(key + _written(each, 0) for key, each in items) + ("," if alone else "")
    if not items or ("\n" not in line and len(_INDENT) * depth + len(start + line + end) <= _WIDTH):
        return start + line + end
    inner = _INDENT * (depth + 1)
    lines = [f"{inner}{key}{_written(each, depth + 1)},\n" for key, each in items]
    return f"{start}\n{''.join(lines)}{_INDENT * depth}{end}"


def _literal(value: Any) -> str:
    said = repr(value)
    return f'"{said[1:-1]}"' if said.startswith("'") and '"' not in said else said
