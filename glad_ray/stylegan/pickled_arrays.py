"""Numbers in a pickle: tensors of torch, arrays and scalars of numpy, from the records of how they would be made.

A tensor stays a claim (so many numbers of a storage, from an offset, in strides) until it is asked for. A claim is
compared with the bytes that are there first, and what is made of it is a copy.
"""

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from glad_ray.stylegan.pickle_machine import Inert, Name, unpickle
from glad_ray.stylegan.pickle_names import storage_name
from glad_ray.stylegan.refusal import RefusalError, shown

Shape = tuple[int, ...]

_MAGIC = 0x1950A86A20F9469CFC6C
_FORMAT = 1001
_STORAGE_OPERATIONS = 1000
_MOST_DIMENSIONS = 8
_LITTLE_ENDIAN = ("<", "|", "=")
_NUMPY_CODES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
_STORED_AS: dict[str, np.dtype[Any]] = {
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.DoubleStorage": np.dtype("<f8"),
    "torch.HalfStorage": np.dtype("<f2"),
    # The upper halves of float32 numbers, which numpy has no type for.
    "torch.BFloat16Storage": np.dtype("<u2"),
}
_PARAMETERS = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")


@dataclass(frozen=True, eq=False, repr=False)
class Tensor:
    """A tensor that a pickle describes; `where` is what to call it."""

    where: str
    storage: Any
    offset: int
    shape: Shape
    strides: Shape

    @classmethod
    def of(cls, value: Any, where: str) -> "Tensor":
        """From the record of a tensor or parameter; raises `RefusalError` for anything else."""
        if _is_made_by(value, *_PARAMETERS) and value.arguments:
            value = value.arguments[0]
        if not _is_made_by(value, "torch._utils._rebuild_tensor_v2") or len(value.arguments) < 4:
            raise RefusalError(f"has {described(value)} for {where}, where a tensor belongs")
        storage, offset, shape, strides = value.arguments[:4]
        if not (_is_count(offset) and _are_counts(shape) and _are_counts(strides) and len(shape) == len(strides)):
            raise RefusalError(f"has a tensor without a sensible shape for {where}")
        return cls(where, storage, offset, shape, strides)

    @property
    def size(self) -> int:
        """How many numbers it claims to have."""
        return math.prod(self.shape)

    def numbers(self) -> np.ndarray:
        """As float32, of its shape, a copy; raises `RefusalError` if the bytes there do not hold that much."""
        stored, is_bfloat16 = self._view()
        if is_bfloat16:
            upper = stored.astype(np.uint32, order="C")
            upper <<= 16
            return upper.view(np.float32)
        with np.errstate(over="ignore"):
            return stored.astype(np.float32, order="C")

    def check(self) -> None:
        """Raises what `numbers` would, and copies nothing."""
        self._view()

    def _view(self) -> tuple[np.ndarray, bool]:
        kind, values = _read_storage(self.storage, self.where)
        last = self.offset + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        if 0 in self.shape or last >= len(values) or math.prod(self.shape) > len(values):
            raise RefusalError(f"claims more numbers for {self.where} than it holds: fetch or make it again")
        steps = [
            stride * values.itemsize if size > 1 else 0 for size, stride in zip(self.shape, self.strides, strict=True)
        ]
        view = np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, steps, writeable=False)
        return view, kind == "torch.BFloat16Storage"


def plain_numbers(value: Any, where: str) -> list[float | int]:
    """A number, or the few of a scalar, array or tensor; raises `RefusalError` for anything else."""
    if type(value) in (bool, int, float):
        return [value]
    if _is_made_by(value, "torch._utils._rebuild_tensor_v2", *_PARAMETERS):
        tensor = Tensor.of(value, where)
        _require_few(tensor.shape, where)
        return list(tensor.numbers().ravel().tolist())
    kind, shape, raw = _numpy_parts(value, where)
    _require_few(shape, where)
    content = _raw_bytes(raw, where)
    if len(content) != kind.itemsize * math.prod(shape):
        raise RefusalError(f"has an array of the wrong length for {where}")
    return list(np.frombuffer(content, kind).tolist())


def byte_array(value: Any, where: str) -> np.ndarray:
    """An array of unsigned bytes, of its shape, in a pickle of Python 2 or 3; raises `RefusalError` for all else."""
    kind, shape, raw = _numpy_parts(value, where)
    by_columns = type(value.state) is not tuple or value.state[3] is not False
    content = _raw_bytes(raw, where, python2=True)
    if kind != np.uint8 or by_columns or len(content) != math.prod(shape):
        raise RefusalError(f"has an array for {where} that is not of {shown(str(shape))} bytes, row by row")
    return np.frombuffer(content, kind).reshape(shape)


def described(value: Any) -> str:
    """What a value is, in a few words."""
    if value is None:
        return "nothing"
    if isinstance(value, Inert):
        return f"an object of {shown(value.name)}"
    if isinstance(value, Name):
        return f"the name {shown(value.text)}"
    return f"a value of type {type(value).__name__}"


def _numpy_parts(value: Any, where: str) -> tuple[np.dtype[Any], Shape, Any]:
    """Type, shape and content of a scalar or array, in the four ways that numpy and dill write them."""
    parts: tuple[Any, ...] = ()
    if _is_made_by(value, "numpy.core.multiarray.scalar") and len(value.arguments) == 2:
        parts = (value.arguments[0], (), value.arguments[1])
    elif _is_made_by(value, "numpy.core.numeric._frombuffer") and len(value.arguments) == 4:
        parts = (value.arguments[1], value.arguments[2], value.arguments[0])
    else:
        state = value.state if _is_made_by(value, "numpy.core.multiarray._reconstruct") else None
        if _is_made_by(value, "dill._dill._create_array") and len(value.arguments) >= 3:
            state = value.arguments[2]
        if type(state) is tuple and len(state) == 5:
            parts = (state[2], state[1], state[4])
    if not parts or not _are_counts(parts[1]):
        raise RefusalError(f"has {described(value)} for {where}, where a number belongs")
    kind, shape, raw = parts
    return _numpy_type(kind, where), shape, raw


def _numpy_type(value: Any, where: str) -> np.dtype[Any]:
    if _is_made_by(value, "numpy.dtype") and value.arguments:
        code, state = value.arguments[0], value.state
        order = state[1] if type(state) is tuple and len(state) > 1 else "="
        if type(code) is str and code in _NUMPY_CODES and type(order) is str and order in _LITTLE_ENDIAN:
            return np.dtype("<" + code)
    raise RefusalError(f"has numbers of a strange type for {where}")


def _read_storage(value: Any, where: str) -> tuple[str, np.ndarray]:
    """Class and numbers of a storage in torch's older format: five pickles, a count, then the numbers themselves."""
    if not _is_made_by(value, "torch.storage._load_from_bytes") or len(value.arguments) != 1:
        raise RefusalError(f"has {described(value)} for {where}, where a tensor's storage belongs")
    data = memoryview(_raw_bytes(value.arguments[0], where))
    found, position = [], 0
    try:
        for _ in range(5):
            part, position = unpickle(data, storage_name, start=position, persistent=True, limit=_STORAGE_OPERATIONS)
            found.append(part)
    except RefusalError as error:
        raise RefusalError(f"has a storage for {where} that {error}") from error
    magic, version, system, storage, _ = found
    if type(magic) is not int or magic != _MAGIC or type(version) is not int or version != _FORMAT:
        raise RefusalError(f"has a storage for {where} that is not in torch's format")
    if type(system) is not dict or system.get("little_endian") is not True:
        raise RefusalError(f"has a storage for {where} from a big-endian machine, which is not supported")
    kind, count = _storage_claim(storage, where)
    stored_as = _STORED_AS.get(kind)
    if stored_as is None:
        raise RefusalError(f"has a {shown(kind)} for {where}, where floating-point numbers belong")
    content = data[position:]
    if len(content) != 8 + count * stored_as.itemsize or struct.unpack_from("<q", content)[0] != count:
        raise RefusalError(f"has a storage for {where} that does not hold the {count:,} numbers it claims")
    return kind, np.frombuffer(content, stored_as, offset=8)


def _storage_claim(value: Any, where: str) -> tuple[str, int]:
    identity = value.arguments[0] if _is_made_by(value, "persistent id") else None
    if type(identity) is tuple and len(identity) >= 5:
        tag, kind, _, _, count = identity[:5]
        if type(tag) is str and tag == "storage" and type(kind) is Name and _is_count(count):
            return kind.text, count
    raise RefusalError(f"has a storage for {where} that is not in torch's format")


def _raw_bytes(value: Any, where: str, python2: bool = False) -> bytes | bytearray | memoryview:
    """Protocol 2 has no bytes: there they are Latin-1 text, to be encoded; of Python 2 that text is all there is."""
    if isinstance(value, bytes | bytearray | memoryview):
        return value
    text = value if python2 else None
    if _is_made_by(value, "_codecs.encode") and len(value.arguments) == 2:
        text = value.arguments[0]
    if type(text) is str:
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            pass
    raise RefusalError(f"has {described(value)} for {where}, where bytes belong")


def _is_made_by(value: Any, *names: str) -> bool:
    return type(value) is Inert and value.name in names


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**60


def _are_counts(value: Any) -> bool:
    return type(value) is tuple and len(value) <= _MOST_DIMENSIONS and all(_is_count(item) for item in value)


def _require_few(shape: Shape, where: str) -> None:
    if not 1 <= math.prod(shape) <= 2:
        raise RefusalError(f"has an array for {where}, where one number belongs")
