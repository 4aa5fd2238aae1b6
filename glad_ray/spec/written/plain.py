"""Values as users write them in records, made plain: what NumPy, PyTorch or the standard library have in the place of
Python's own numbers, texts and lists.

So a record with `np.int64(3)` is the record with 3, and has its id. Neither NumPy nor PyTorch is imported for it.
"""

import os
from collections.abc import Iterator, KeysView, Mapping, ValuesView
from enum import Enum
from typing import Any

from glad_ray.errors import UserError

_AT_MOST = 1_000_000
"""items of an iterator: more come of one that has no end"""


def plain(value: Any) -> Any:
    """The value with arrays and tensors as lists, ranges and iterators as tuples, NumPy's scalars as Python's, paths
    and enumerations as what they stand for; records and all else as they are.

    A number keeps its exact value: `np.float32(0.1)` is 0.10000000149011612. Raises `UserError` for a set, which has no
    order, and for an iterator without end.
    """
    match value:
        case None | bool():
            return value
        case Enum():
            return plain(value.value)
        case str():
            return str.__str__(value) if type(value) is not str else value
        case int():
            return int(value) if type(value) is not int else value
        case float():
            return float(value) if type(value) is not float else value
        case os.PathLike():
            return os.fspath(value)
        case Mapping():
            return {plain(key): plain(each) for key, each in value.items()}
        case list():
            return [plain(each) for each in value]
        case tuple() | range() | KeysView() | ValuesView():
            return tuple(plain(each) for each in value)
        case set() | frozenset():
            raise UserError(f"{value!r} is a set, which has no order: write a list.")
        case Iterator():
            return tuple(_items(value))
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        listed = value.tolist()
        # NumPy's widest numbers have nothing of Python's to become.
        return plain(listed) if type(listed) is not type(value) else value
    return value


def _items(iterator: Iterator[Any]) -> list[Any]:
    items: list[Any] = []
    for each in iterator:
        if len(items) == _AT_MOST:
            raise UserError(f"An iterator gives more than {_AT_MOST:,} items: write those that are meant as a list.")
        items.append(plain(each))
    return items
