"""A whitening fitted once: an Arrow file in the cache folder, beside the prepared images, that is mapped into memory.

The file is named by a hash of the training images that it was fitted to, so that other images (of another dataset,
resolution or number held out) have a whitening of their own. It has a checksum, is written aside and renamed, and one
that is damaged is fitted again.
"""

import contextlib
import hashlib
import os
import re
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from filelock import FileLock
from jaxtyping import UInt8

from glad_ray.data.prepare import CACHE_VARIABLE, cache_folder, shared_cache
from glad_ray.data.whitening import ZCA, fit_zca
from glad_ray.errors import DataError, UserError
from glad_ray.spec.images.whitening import ZCA_EPS

_VERSION = 1
"""Raised whenever the same images give other numbers or another file."""
_KEY_DIGITS = 16
_KEY, _CHECKSUM = b"glad_ray_key", b"crc32"
_COLUMNS = ("mean", "transform", "inverse")


def kept_zca(images: UInt8[np.ndarray, "n c h w"], title: str) -> ZCA:
    """The whitening of the training images of the dataset called `title`, fitted unless that was done before.

    While another process fits it, this one waits. Raises `UserError` if the cache cannot be written.
    """
    key = _key(images)
    name = re.sub(r"[^\w.-]+", "-", title.lower()).strip("-")
    path = cache_folder() / f"{name}-{images.shape[-1]}-zca-{key}.arrow"
    try:
        zca = _read(path, key)
        if zca is None:
            with _alone(path):
                zca = _read(path, key) or _made(path, key, images)
    except OSError as error:
        raise UserError(
            f"The whitening of {title} cannot be kept in {shared_cache() or path.parent} "
            f"({error.strerror or error}): make room there, or set {CACHE_VARIABLE} to another folder."
        ) from error
    return zca


def _made(path: Path, key: str, images: UInt8[np.ndarray, "n c h w"]) -> ZCA:
    """Take the file from where it is kept for other machines, or fit it and keep it there too."""
    aside, shared = path.with_name(f".{uuid.uuid4().hex}.partial"), shared_cache()
    try:
        if shared is not None and shared.exists(path.name):
            shared.download(path.name, aside)
        if _read(aside, key) is None:
            aside.unlink(missing_ok=True)
            _write(aside, key, fit_zca(images))
            if shared is not None:
                shared.upload(aside, path.name)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    made = _read(path, key)
    if made is None:
        raise DataError(
            f"{path} was written and cannot be read again: set {CACHE_VARIABLE} to a folder on another disk."
        )
    return made


def _key(images: UInt8[np.ndarray, "n c h w"]) -> str:
    """Hexadecimal digits that tell whitenings apart by the images they are fitted to, and how."""
    digest = hashlib.sha256(repr((_VERSION, ZCA_EPS, images.shape)).encode())
    digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()[:_KEY_DIGITS]


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """While no other process fits the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        # Some network file systems know no locks: then both do the work, and the last file stays.
        with contextlib.suppress(NotImplementedError):
            stack.enter_context(FileLock(path.with_name(f".{path.stem}.lock")))
        yield


def _write(path: Path, key: str, zca: ZCA) -> None:
    numbers = len(zca.mean)
    arrays = [np.ascontiguousarray(getattr(zca, name)) for name in _COLUMNS]
    columns = [pa.array(arrays[0])]
    columns += [pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), numbers) for array in arrays[1:]]
    metadata = {_KEY: key.encode(), _CHECKSUM: str(_checksum(arrays)).encode()}
    schema = pa.schema(zip(_COLUMNS, (column.type for column in columns), strict=True), metadata=metadata)
    with path.open("xb") as file:
        with pa.ipc.new_file(file, schema) as writer:
            writer.write_batch(pa.record_batch(columns, schema=schema))
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path, key: str) -> ZCA | None:
    """The whitening in a file, as views of it; None if the file is not there, damaged or another one."""
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
            metadata, batch = reader.schema.metadata or {}, reader.get_batch(0)
            batch.validate()
            mean = batch["mean"].to_numpy(zero_copy_only=True)
            matrices = [batch[name].values.to_numpy(zero_copy_only=True) for name in _COLUMNS[1:]]
            transform, inverse = (matrix.reshape(len(mean), len(mean)) for matrix in matrices)
    except (pa.ArrowException, ValueError, OSError, LookupError, AttributeError):
        return None
    sound = (
        metadata.get(_KEY) == key.encode()
        and metadata.get(_CHECKSUM) == str(_checksum([mean, transform, inverse])).encode()
    )
    return ZCA(mean=mean, transform=transform, inverse=inverse) if sound else None


def _checksum(arrays: list[np.ndarray]) -> int:
    value = 0
    for array in arrays:
        value = zlib.crc32(array.data, value)
    return value
