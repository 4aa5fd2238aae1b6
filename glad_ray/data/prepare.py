"""Images that have to be decoded and resized, prepared once: an Arrow file in a cache folder, mapped into memory.

The file is named by a hash of what it is made of (names, sizes and times of the image files) and how, so that changed
data or settings are prepared anew. Parts, one per class or file, are written first; an interrupted preparation goes on
with those that are there. Every file is written aside and renamed, so that none is ever half.
"""

import contextlib
import hashlib
import itertools
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Int64, UInt8

from glad_ray.data.dataset import Split
from glad_ray.data.pictures import Part, Picture
from glad_ray.errors import DataError, UserError
from glad_ray.spec import DatasetFacts

CACHE_VARIABLE = "GLAD_RAY_CACHE"
OnProgress = Callable[[int, int], None]
"""Is told how many images are prepared, of how many."""

_DEFAULT_CACHE = Path("~/.cache/glad_ray")
_VERSION = 1
"""Raised whenever the same image files give other pixels or another file."""
_KEY_DIGITS = 16
_KEY = b"glad_ray_key"
_DECODED_AT_ONCE = 256
_SPLITS = ("train", "test")


@dataclass(frozen=True)
class _Form:
    """What the images are made into."""

    channels: int
    resolution: int
    antialias: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.resolution, self.resolution

    @property
    def schema(self) -> pa.Schema:
        pixels = self.channels * self.resolution**2
        return pa.schema(
            [
                pa.field("image", pa.list_(pa.uint8(), pixels), metadata={"shape": " x ".join(map(str, self.shape))}),
                pa.field("label", pa.int64()),
                pa.field("split", pa.string(), metadata={"meaning": "train or test"}),
            ]
        )

    def key(self, *stamps: str) -> str:
        """Hexadecimal digits that tell images by what they are made of and how."""
        text = "\n".join((repr((_VERSION, *astuple(self))), *stamps))
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]


def cache_folder() -> Path:
    """Where prepared images are kept: $GLAD_RAY_CACHE, else ~/.cache/glad_ray."""
    return Path(os.environ.get(CACHE_VARIABLE) or _DEFAULT_CACHE).expanduser()


def prepared(
    facts: DatasetFacts,
    parts: Sequence[Part],
    *,
    resolution: int,
    antialias: bool = True,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Split]:
    """The splits `train` and `test` of some parts, sorted by label: read-only views of a file mapped into memory.

    They are decoded by `workers` threads (None: one per CPU) unless that was done before. Raises `DataError` naming an
    image that cannot be decoded or a prepared file that is damaged, `UserError` if the cache folder cannot be written.
    """
    form = _Form(facts.channels, resolution, antialias)
    keys = [form.key(str(number), part.stamp) for number, part in enumerate(parts)]
    key = form.key(*keys)
    name = re.sub(r"[^\w.-]+", "-", facts.title.lower()).strip("-")
    path = cache_folder() / f"{name}-{resolution}-{key}.arrow"
    try:
        if not path.exists():
            _prepare(path, key, dict(zip(keys, parts, strict=True)), form, workers, on_progress)
        return _read(path, key, form)
    except OSError as error:
        raise UserError(
            f"The prepared images of {facts.title} cannot be kept in {path.parent} ({error.strerror or error}): make "
            f"room there, or set {CACHE_VARIABLE} to another folder."
        ) from error


def _prepare(
    path: Path, key: str, parts: dict[str, Part], form: _Form, workers: int | None, on_progress: OnProgress | None
) -> None:
    folder = path.with_suffix(".parts")
    paths = {part_key: folder / f"{part_key}.arrow" for part_key in parts}
    total, done = sum(part.count for part in parts.values()), 0
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool, _one_thread_each():
        for part_key, part in parts.items():
            if _is_whole(paths[part_key], part_key, form):
                done += part.count
                _tell(on_progress, done, total)
                continue
            images = np.empty((part.count, *form.shape), np.uint8)
            labels = np.empty(part.count, np.int64)
            for row, (picture, image) in enumerate(_decoded(part.read(), form, pool)):
                images[row], labels[row] = image, picture.label
                done += 1
                _tell(on_progress, done, total)
            batch = _batch(images, labels, part.split, form)
            _write(paths[part_key], folder, part_key, form, [batch])
    try:
        _join(path, folder, key, paths, form)
    except FileNotFoundError:
        # Another process that prepared the same was faster, and has deleted the parts.
        if not path.exists():
            raise
    shutil.rmtree(folder, ignore_errors=True)


def _tell(on_progress: OnProgress | None, done: int, total: int) -> None:
    if on_progress is not None:
        on_progress(done, total)


def _decoded(
    pictures: Iterator[Picture], form: _Form, pool: ThreadPoolExecutor
) -> Iterator[tuple[Picture, UInt8[np.ndarray, "c r r"]]]:
    # Some at a time: a pool would read all of them at once.
    while some := list(itertools.islice(pictures, _DECODED_AT_ONCE)):
        yield from zip(some, pool.map(lambda picture: picture.decode(*astuple(form)), some), strict=True)


def _join(path: Path, folder: Path, key: str, paths: dict[str, Path], form: _Form) -> None:
    """Write the parts as one file, a batch per split; pixels go through a file, for they may not fit into memory."""
    parts = [_read(part, part_key, form) for part_key, part in paths.items()]
    with contextlib.ExitStack() as stack:
        batches = []
        for split in _SPLITS:
            own = [part[split] for part in parts if split in part]
            labels = np.concatenate([part.labels for part in own])
            order = np.argsort(labels, kind="stable")
            places = np.empty_like(order)
            places[order] = np.arange(len(order))
            scratch = stack.enter_context(tempfile.TemporaryFile(dir=folder))
            pixels = np.memmap(scratch, np.uint8, "w+", shape=(len(labels), *form.shape))
            ends = np.cumsum([len(part.labels) for part in own])
            for part, end in zip(own, ends, strict=True):
                pixels[places[end - len(part.labels) : end]] = part.images
            batches.append(_batch(pixels, labels[order], split, form))
        _write(path, folder, key, form, batches)


def _batch(
    images: UInt8[np.ndarray, "n c r r"], labels: Int64[np.ndarray, " n"], split: str, form: _Form
) -> pa.RecordBatch:
    pixels = pa.Array.from_buffers(pa.uint8(), images.size, [None, pa.py_buffer(images)])
    columns = [
        pa.FixedSizeListArray.from_arrays(pixels, type=form.schema.field("image").type),
        pa.array(labels, pa.int64()),
        pa.array([split] * len(labels), pa.string()),
    ]
    return pa.record_batch(columns, schema=form.schema)


def _write(path: Path, folder: Path, key: str, form: _Form, batches: Iterable[pa.RecordBatch]) -> None:
    """Write a file, aside in `folder` first."""
    schema = form.schema.with_metadata({_KEY: key})
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f"{uuid.uuid4().hex}.partial"
    try:
        with aside.open("xb") as file:
            with pa.ipc.new_file(file, schema) as writer:
                for batch in batches:
                    writer.write_batch(batch.replace_schema_metadata(schema.metadata))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _read(path: Path, key: str, form: _Form) -> dict[str, Split]:
    """The splits in a file, as views of it; raises `DataError` if it is damaged or another file."""
    splits = {}
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
            if reader.schema != form.schema or (reader.schema.metadata or {}).get(_KEY) != key.encode():
                raise pa.ArrowInvalid("another file")
            for index in range(reader.num_record_batches):
                batch = reader.get_batch(index)
                images = batch["image"].values.to_numpy(zero_copy_only=True).reshape(len(batch), *form.shape)
                splits[batch["split"][0].as_py()] = Split(images, batch["label"].to_numpy())
    except FileNotFoundError:
        raise
    except (pa.ArrowException, ValueError, OSError) as error:
        raise DataError(
            f"{path} is damaged, or no file that was prepared here: delete it, and its images are prepared again."
        ) from error
    return splits


def _is_whole(path: Path, key: str, form: _Form) -> bool:
    try:
        return bool(_read(path, key, form))
    except (DataError, FileNotFoundError):
        return False


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Each thread of the pool computes alone, for they share the CPUs already."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
