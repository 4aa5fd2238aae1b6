"""The base of every record a user writes: frozen, keyword-only, strict, with an identity made of its content."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from glad_ray.errors import UserError, unknown
from glad_ray.spec.written.plain import plain

_DECISIVE, _WHOLE = "decisive", "whole"
"""what is serialised for an identity: what decides results, or all of the content"""
_OPTIONS = "options"
"""the field that has keyword arguments of other people's code, each of which may be set by itself"""
_FILLED_IN = ("held_as",)
"""fields that nobody sets"""


class Record(BaseModel):
    """A frozen record; unknown fields and non-finite numbers are refused with a `UserError` of one sentence."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(value, cls | dict | str | bytes):
            raise UserError(f"{cls.__name__} takes its fields by name, not {value!r}.")
        try:
            return handler(plain(value) if isinstance(value, dict) else value)
        except ValidationError as error:
            raise explain(cls, error) from None

    @model_serializer(mode="wrap")
    def _said(self, serialise: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        identity = (info.context or {}).get("identity")
        unsaid = self._unsaid(identity=identity is not None)
        content = {name: value for name, value in serialise(self).items() if name not in unsaid}
        return self._decisive(content) if identity == _DECISIVE else content

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        """Fields left out of what is written: those that say nothing at their default, so that a record without them is
        what it was before there were any; and of an identity, what is content by another name.
        """
        return ()

    def _decisive(self, content: dict[str, Any]) -> dict[str, Any]:
        """The content of an identity, in which fields that decide no result have their defaults.

        Those fields only say how results are computed or stored. They are set to their defaults and not left out, so
        that records that never set them keep the ids that earlier versions gave them.
        """
        return content

    def _at_default(self, *names: str) -> set[str]:
        """Those of some fields that have their default."""
        return {name for name in names if getattr(self, name) == type(self).model_fields[name].default}

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated like a new one; what was never set is implied anew."""
        fields = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**(fields | changes))

    @cached_property
    def content_id(self) -> str:
        """Twelve hexadecimal digits: the hash of what decides results, the same on every machine."""
        return _hash(self.identity)

    @property
    def identity(self) -> dict[str, Any]:
        """What `content_id` is the hash of, in the types of JSON."""
        return self.model_dump(mode="json", context={"identity": _DECISIVE})

    @cached_property
    def former_id(self) -> str:
        """The hash of the whole content, with the fields too that decide no result: the id that earlier
        versions gave. Equal to `content_id` where those fields have their defaults.
        """
        return _hash(self.model_dump(mode="json", context={"identity": _WHOLE}))


def _hash(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class Stored(Record):
    """A record whose results storage keeps under its id."""

    held_as: tuple[Annotated[str, Field(pattern="^[0-9a-f]{12}$")], ...] = ()
    """former ids under which the storage at hand holds this record, or the networks it needs; filled in where a plan
    meets its storage (`glad_ray.plan.as_stored`), never set by a user"""

    @property
    def stored_id(self) -> str:
        """The id under which storage keeps its results, and from which its random draws follow: the former one where an
        earlier version began it there, else `content_id`.
        """
        if self.held_as and (former := self.former_id) in self.held_as:
            return former
        return self.content_id

    def stored_as(self, stored_id: str) -> Self:
        """The record as it was read from storage, where it has this id: be it the former one."""
        if stored_id == self.stored_id or stored_id != self.former_id:
            return self
        return self.replace(held_as=(*self.held_as, stored_id))

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return {"held_as"} if identity or not self.held_as else set()


R = TypeVar("R", bound=Record)


def imply(record: R, **values: Any) -> R:
    """A copy with fields that nobody set: `replace` of the copy implies them anew. Validated like a new record."""
    made = type(record)(**dict(record) | values)
    object.__setattr__(made, "__pydantic_fields_set__", set(record.model_fields_set))
    return made


def explain(record: type[Record], error: ValidationError) -> UserError:
    """The first mistake of a record as one sentence: the field, the value, what is allowed."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    value = first.get("input")
    where = f"{record.__name__}.{field}" if field else record.__name__
    match first["type"]:
        case "extra_forbidden":
            return unknown(f"field of {record.__name__}", field, fields_of(record))
        case "union_tag_invalid":
            expected = [name.strip(" '") for name in str(first["ctx"]["expected_tags"]).split(",")]
            return unknown(field, str(first["ctx"]["tag"]), expected)
        case "literal_error":
            allowed = str(first["ctx"]["expected"]).replace(" or ", ", ").split(", ")
            return unknown(where, str(value), [name.strip("'") for name in allowed])
        case "bool_parsing" | "bool_type":
            return UserError(f"{where} is {value!r}: use true or false.")
        case "missing":
            return UserError(f"{where} is missing: it has no default and must be set.")
        case _:
            message = first["msg"].removeprefix("Value error, ")
            return UserError(f"{where} is {value!r}: {message[0].lower()}{message[1:]}.")


def fields_of(record: type[Record]) -> list[str]:
    """Names of the fields of a kind of record that can be set."""
    return [name for name in record.model_fields if name not in _FILLED_IN]


def field_paths(record: Record, prefix: str = "") -> Iterator[str]:
    """Dotted names of all fields that can be set, nested records included."""
    for name in fields_of(type(record)):
        value = getattr(record, name)
        yield prefix + name
        if isinstance(value, Record):
            yield from field_paths(value, f"{prefix}{name}.")
        elif name == _OPTIONS:
            yield from (f"{prefix}{name}.{key}" for key in value)


def value_at(record: Record, path: str) -> Any:
    """The value of the field at a dotted path."""
    value: Any = record
    for name in path.split("."):
        value = value[name] if isinstance(value, Mapping) else getattr(value, name)
    return value


def replace_at(record: R, path: str, value: Any) -> R:
    """A copy with the field at a dotted path changed."""
    return replace_together(record, {path: value})


def replace_together(record: R, changes: Mapping[str, Any]) -> R:
    """A copy with the fields at several dotted paths changed, and validated once they all are."""
    whole = {path: value for path, value in changes.items() if "." not in path}
    inner: dict[str, dict[str, Any]] = {}
    for path, value in changes.items():
        head, _, rest = path.partition(".")
        if rest:
            inner.setdefault(head, {})[rest] = value
    for head, below in inner.items():
        now = whole.get(head, getattr(record, head))
        whole[head] = {**now, **below} if isinstance(now, Mapping) else replace_together(now, below)
    return record.replace(**whole) if whole else record
