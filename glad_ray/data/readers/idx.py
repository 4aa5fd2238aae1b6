"""IDX, the format of MNIST and its kin: a magic number, the lengths of the axes, then the bytes; often gzipped.

A file says how long it must be, so that a cut or padded one is found out; a gzipped one carries a checksum as well.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from glad_ray.data.readers.files import damaged, file_bytes

_UNSIGNED_BYTES = 0x08


def read_idx(path: Path, dimensions: int) -> UInt8[np.ndarray, "..."]:
    """The array of unsigned bytes in an IDX file, gzipped if its name ends in .gz.

    Raises `DataError`, naming the file, if it cannot be read, is damaged, or has another number of dimensions.
    """
    data = _contents(path)
    header = 4 + 4 * dimensions
    if len(data) < header:
        raise damaged(path, f"it ends after {len(data)} bytes, within its header of {header}")
    magic = int.from_bytes(data[:4], "big")
    expected = _UNSIGNED_BYTES << 8 | dimensions
    if magic != expected:
        raise damaged(path, f"it begins with 0x{magic:08x} where IDX of {dimensions} dimensions has 0x{expected:08x}")
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    size = math.prod(shape)
    if len(data) != header + size:
        raise damaged(path, f"it holds {len(data) - header} bytes where its header promises {size}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _contents(path: Path) -> bytes:
    data = file_bytes(path)
    try:
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise damaged(path, f"it is no whole gzip file ({error})") from error
