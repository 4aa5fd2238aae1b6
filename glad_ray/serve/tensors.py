"""Single tensors out of safetensors files, without PyTorch, and without reading the rest of the file."""

import json
import math
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from glad_ray.errors import DataError
from glad_ray.results.parquet import damaged
from glad_ray.storage import Storage

_MOST_HEADER_BYTES = 2**24
_MOST_TENSOR_BYTES = 2**28
_KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "U8": "|u1"}


class Part(NamedTuple):
    """Some tensors of a file."""

    metadata: Mapping[str, str]
    tensors: Mapping[str, np.ndarray[Any, Any]]


def read_tensors(storage: Storage, path: str, names: Collection[str]) -> Part:
    """Those tensors of a file that it has under some names, and its metadata.

    Raises `DataError` if it is not there or damaged, or a tensor has more than 256 MiB, `OSError` if storage cannot be
    read.
    """
    try:
        with storage.open_file(path) as file:
            size = file.size()
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_MOST_HEADER_BYTES, size - 8):
                raise ValueError("no header")
            header = json.loads(file.read(length))
            metadata = header.pop("__metadata__", {})
            tensors = {name: _tensor(file, 8 + length, size, header[name]) for name in names if name in header}
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing from {storage}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(storage, path) from error
    return Part(metadata, tensors)


def _tensor(file: Any, start: int, size: int, described: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    kind = np.dtype(_KINDS[described["dtype"]])
    shape = tuple(int(side) for side in described["shape"])
    begin, end = (int(place) for place in described["data_offsets"])
    if min(shape, default=0) < 0 or math.prod(shape) * kind.itemsize != end - begin:
        raise ValueError("a tensor of another size than its header says")
    if not 0 <= begin <= end <= size - start or end - begin > _MOST_TENSOR_BYTES:
        raise ValueError("a tensor that is not in the file, or too large")
    file.seek(start + begin)
    return np.frombuffer(file.read(end - begin), kind).reshape(shape)
