"""What a pickle says, without doing any of it: names stay labels, calls stay records of what would have been called.

A pickle is a program for a small stack machine. This one knows the operations that networks are written with (protocols
2 to 5) and refuses every other. It never imports, calls or copies anything, so that a hostile file costs no more than
its size: lists, dictionaries and records are all it can make, large bytes stay where they are, and no step takes
longer for what earlier steps made. Nothing here recurses.
"""

import pickletools
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from glad_ray.stylegan.refusal import RefusalError, damaged

Naming = Callable[[str, str], str]
"""Turns a module and a name into one label, or raises `RefusalError`."""

MOST_OPERATIONS = 5_000_000
_MOST_BITS = 1024
_LONGEST_KEY = 4096
_LONGEST_LINE = 1024
_COPIED_BYTES = 1024
_NEWEST_PROTOCOL = 5
_DICTIONARIES = ("collections.OrderedDict", "dnnlib.util.EasyDict", "builtins.dict")


@dataclass(eq=False, repr=False, slots=True, frozen=True)
class Name:
    """A class or function that the file names; it is not looked up."""

    text: str


@dataclass(eq=False, repr=False, slots=True)
class Inert:
    """An object that the file wants made: by which name, from what, and with which state. It is not made."""

    name: str
    arguments: tuple[Any, ...]
    state: Any = None


@dataclass(eq=False, repr=False, slots=True, frozen=True)
class OtherKey:
    """A dictionary key that is no short text: never hashed by value, which could take as long as a file likes."""

    key: Any


def unpickle(
    data: memoryview,
    naming: Naming,
    *,
    start: int = 0,
    persistent: bool = False,
    python2: bool = False,
    limit: int = MOST_OPERATIONS,
) -> tuple[Any, int]:
    """The pickle that begins at byte `start`: what it describes, and the byte after it.

    `persistent` lets it hold persistent ids, as the inside of a storage does; `python2` the strings of Python 2, which
    become text (Latin-1). Large bytes are views of `data`. Raises `RefusalError` for a pickle that is damaged, longer
    than `limit` operations, or of another kind than networks are.
    """
    # pickletools decodes such strings, however long, which a view cannot be.
    source = _Source(data, start, copied_bytes=len(data) if python2 else _COPIED_BYTES)
    machine = _Machine(naming)
    operations = _OPERATIONS | (_PERSISTENT if persistent else {}) | (_PYTHON2 if python2 else {})
    for count, (name, argument, position) in enumerate(_read_operations(source)):
        if count >= limit:
            raise RefusalError(
                f"takes more than {limit:,} pickle operations, and no generator does: get it from its authors"
            )
        if name == "STOP":
            break
        operation = operations.get(name)
        if operation is None:
            raise RefusalError(f"uses the pickle operation {name}, which no generator needs: get it from its authors")
        try:
            operation(machine, argument)
        except (IndexError, KeyError, TypeError) as error:
            raise damaged(position) from error
    if not machine.stack:
        raise damaged(source.tell())
    return machine.stack[-1], source.tell()


class _Source:
    """A file for `pickletools`: no piece is longer than what there is, and one above `copied_bytes` is not copied."""

    def __init__(self, data: memoryview, position: int, copied_bytes: int) -> None:
        self._data = data
        self._position = position
        self._copied_bytes = copied_bytes

    def tell(self) -> int:
        return self._position

    def read(self, count: int) -> bytes | memoryview:
        piece = self._data[self._position : self._position + count]
        self._position += len(piece)
        return piece if len(piece) > self._copied_bytes else bytes(piece)

    def readline(self) -> bytes:
        line, newline, _ = bytes(self._data[self._position : self._position + _LONGEST_LINE]).partition(b"\n")
        # pickletools would take a backslash for an escape, which the format does not know here.
        if not newline or b"\\" in line:
            raise ValueError("no line")
        self._position += len(line) + 1
        return line + newline


def _read_operations(source: _Source) -> Iterator[tuple[str, Any, int]]:
    try:
        for operation, argument, position in pickletools.genops(source):  # type: ignore[arg-type]
            yield operation.name, argument, position or 0
    except (ValueError, AttributeError, struct.error) as error:
        raise damaged(source.tell()) from error


class _Machine:
    """The stack, cut at marks, and the memo; an empty stack raises `IndexError`, an unknown memo `KeyError`."""

    def __init__(self, naming: Naming) -> None:
        self.naming = naming
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def above_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def last(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items


Operation = Callable[[_Machine, Any], None]


def _ignore(machine: _Machine, argument: Any) -> None:
    pass


def _protocol(machine: _Machine, version: int) -> None:
    if version > _NEWEST_PROTOCOL:
        raise RefusalError(f"is a pickle of protocol {version}, newer than the {_NEWEST_PROTOCOL} that is known")


def _argument(machine: _Machine, argument: Any) -> None:
    machine.stack.append(argument)


def _integer(machine: _Machine, argument: int) -> None:
    if argument.bit_length() > _MOST_BITS:
        raise RefusalError(f"holds an integer of {argument.bit_length():,} bits, and no generator does")
    machine.stack.append(argument)


def _constant(value: Any) -> Operation:
    return lambda machine, _: machine.stack.append(value)


def _mark(machine: _Machine, argument: None) -> None:
    machine.mark()


def _pop(machine: _Machine, argument: None) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.above_mark()


def _pop_mark(machine: _Machine, argument: None) -> None:
    machine.above_mark()


def _get(machine: _Machine, index: int) -> None:
    machine.stack.append(machine.memo[index])


def _put(machine: _Machine, index: int) -> None:
    machine.memo[index] = machine.stack[-1]


def _memoize(machine: _Machine, argument: None) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


def _empty_list(machine: _Machine, argument: None) -> None:
    machine.stack.append([])


def _empty_dict(machine: _Machine, argument: None) -> None:
    machine.stack.append({})


def _empty_set(machine: _Machine, argument: None) -> None:
    machine.stack.append(Inert("builtins.set", ()))


def _frozen_set(machine: _Machine, argument: None) -> None:
    items = tuple(machine.above_mark())
    machine.stack.append(Inert("builtins.frozenset", items))


def _tuple(machine: _Machine, argument: None) -> None:
    items = tuple(machine.above_mark())
    machine.stack.append(items)


def _short_tuple(length: int) -> Operation:
    return lambda machine, _: machine.stack.append(tuple(machine.last(length)))


def _append(machine: _Machine, argument: None) -> None:
    _extend(machine, machine.last(1))


def _appends(machine: _Machine, argument: None) -> None:
    _extend(machine, machine.above_mark())


def _extend(machine: _Machine, items: list[Any]) -> None:
    target = machine.stack[-1]
    if type(target) is list:
        target.extend(items)
    elif type(target) is not Inert:
        raise TypeError


def _set_item(machine: _Machine, argument: None) -> None:
    _update(machine, machine.last(2))


def _set_items(machine: _Machine, argument: None) -> None:
    _update(machine, machine.above_mark())


def _update(machine: _Machine, items: list[Any]) -> None:
    target = machine.stack[-1]
    if len(items) % 2:
        raise IndexError
    if type(target) is dict:
        target.update((_key(key), value) for key, value in zip(items[::2], items[1::2], strict=True))
    elif type(target) is not Inert:
        raise TypeError


def _key(key: Any) -> Any:
    return key if type(key) is str and len(key) <= _LONGEST_KEY else OtherKey(key)


def _global(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    machine.stack.append(Name(machine.naming(module, name)))


def _stack_global(machine: _Machine, argument: None) -> None:
    module, name = machine.last(2)
    if type(module) is not str or type(name) is not str:
        raise TypeError
    machine.stack.append(Name(machine.naming(module, name)))


def _reduce(machine: _Machine, argument: None) -> None:
    maker, arguments = machine.last(2)
    machine.stack.append(_made(maker, arguments))


def _new_object_ex(machine: _Machine, argument: None) -> None:
    maker, arguments, _ = machine.last(3)
    machine.stack.append(_made(maker, arguments))


def _made(maker: Any, arguments: Any) -> Any:
    if type(arguments) is not tuple:
        raise TypeError
    if type(maker) is Inert:
        return Inert("something that the file itself made", arguments)
    if type(maker) is not Name:
        raise TypeError
    if maker.text in _DICTIONARIES and not arguments:
        return {}
    return Inert(maker.text, arguments)


def _build(machine: _Machine, argument: None) -> None:
    (state,) = machine.last(1)
    target = machine.stack[-1]
    if type(target) is Inert:
        target.state = state
    elif type(target) is not dict:
        raise TypeError


def _persistent_id(machine: _Machine, argument: None) -> None:
    (identity,) = machine.last(1)
    machine.stack.append(Inert("persistent id", (identity,)))


_OPERATIONS: dict[str, Operation] = {
    "PROTO": _protocol,
    "FRAME": _ignore,
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "BININT": _argument,
    "BININT1": _argument,
    "BININT2": _argument,
    "LONG1": _integer,
    "LONG4": _integer,
    "BINFLOAT": _argument,
    "SHORT_BINUNICODE": _argument,
    "BINUNICODE": _argument,
    "BINUNICODE8": _argument,
    "SHORT_BINBYTES": _argument,
    "BINBYTES": _argument,
    "BINBYTES8": _argument,
    "BYTEARRAY8": _argument,
    "MARK": _mark,
    "POP": _pop,
    "POP_MARK": _pop_mark,
    "BINGET": _get,
    "LONG_BINGET": _get,
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": _memoize,
    "EMPTY_LIST": _empty_list,
    "APPEND": _append,
    "APPENDS": _appends,
    "EMPTY_DICT": _empty_dict,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "EMPTY_SET": _empty_set,
    "ADDITEMS": _appends,
    "FROZENSET": _frozen_set,
    "EMPTY_TUPLE": _constant(()),
    "TUPLE": _tuple,
    "TUPLE1": _short_tuple(1),
    "TUPLE2": _short_tuple(2),
    "TUPLE3": _short_tuple(3),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": _new_object_ex,
    "BUILD": _build,
}
_PERSISTENT: dict[str, Operation] = {"BINPERSID": _persistent_id}
_PYTHON2: dict[str, Operation] = {"SHORT_BINSTRING": _argument, "BINSTRING": _argument}
