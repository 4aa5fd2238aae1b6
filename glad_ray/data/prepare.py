"""A dataset prepared once: an Arrow file of 8-bit images in a cache folder, mapped into memory; of a cache that other
machines share on an object store, this one keeps a copy.

The file is named by a hash of what it is made of (the content of the files, see `identity`) and how, so that changed
data or settings are prepared anew. Parts are written first, as they are decoded, here or elsewhere; an interrupted
preparation goes on with those that are there. Every file is written aside and renamed, so that none is ever half.
"""

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from filelock import FileLock, Timeout

from glad_ray.data.dataset import Split
from glad_ray.data.identity import stamps
from glad_ray.data.parts import Form, Part
from glad_ray.errors import (
    DataError,
    UnavailableError,
    UserError,
    is_lasting,
    is_of_system,
    is_text,
    printable,
    unreadable,
)
from glad_ray.paths import expanded
from glad_ray.spec import DatasetFacts
from glad_ray.storage import Storage, is_uri
from glad_ray.whole_files import replacing

CACHE_VARIABLE = "GLAD_RAY_CACHE"
OnProgress = Callable[[int, int], None]
"""Is told how many images are prepared, of how many."""
Decode = Callable[[Sequence[Part], Form], Iterator[tuple[Part, Iterable[Split]]]]
"""Decodes parts wherever it likes and gives them in any order, each with its images."""

_DEFAULT_CACHE = "~/.cache/glad_ray"
_VERSION = 3
"""Raised whenever the same files give other pixels or another file."""
_KEY_DIGITS = 16
_NAME_CHARACTERS = 60
_KEY = b"glad_ray_key"
_SPLITS = ("train", "test")
WAIT_SECONDS = 1.0


def decode_here(parts: Sequence[Part], form: Form) -> Iterator[tuple[Part, Iterable[Split]]]:
    """Decode parts one after another, by a thread per CPU of this process."""
    with ThreadPoolExecutor(os.cpu_count()) as executor, _one_thread_each():
        for part in parts:
            yield part, part.images(form, executor)


def cache_folder() -> Path:
    """Where prepared images are kept on this machine: $GLAD_RAY_CACHE, if that is a folder, else ~/.cache/glad_ray.

    Raises `UserError` if there is no home folder, or its name is not UTF-8.
    """
    named = os.environ.get(CACHE_VARIABLE, "")
    try:
        folder = expanded(named if named and not is_uri(named) else _DEFAULT_CACHE)
    except UserError as error:
        raise UserError(
            f"There is no place for prepared images: {error} Or set {CACHE_VARIABLE} to a folder that can be written."
        ) from error
    if not is_text(str(folder)):
        raise UserError(
            f"Prepared images cannot be kept in {printable(folder)}, for its name is not UTF-8: set {CACHE_VARIABLE} "
            "to another folder."
        )
    return folder


def shared_cache() -> Storage | None:
    """Where they are kept for other machines: $GLAD_RAY_CACHE, if that is a URI."""
    named = os.environ.get(CACHE_VARIABLE, "")
    return Storage(named) if is_uri(named) else None


def prepared(
    facts: DatasetFacts,
    parts: Sequence[Part],
    form: Form,
    *,
    decode: Decode = decode_here,
    on_progress: OnProgress | None = None,
) -> dict[str, Split]:
    """The splits `train` and `test` of some parts, sorted by label: read-only views of a file mapped into memory.

    They are decoded unless that was done before, here or where it was kept for others; while another process does it,
    this one waits for it. Raises `DataError` naming an image that cannot be decoded or a prepared file that is damaged,
    `UserError` if the cache cannot be written, `UnavailableError` if files cannot be read or written at present.
    """
    keys = [_key(form, str(number), stamp) for number, stamp in enumerate(stamps(parts, cache_folder()))]
    key = _key(form, *keys)
    name = re.sub(r"[^\w.-]+", "-", facts.title.lower()).strip("-")[:_NAME_CHARACTERS]
    path = cache_folder() / f"{name}-{form.resolution}-{key}.arrow"
    try:
        if not path.exists():
            _Preparation(facts, path, key, dict(zip(keys, parts, strict=True)), form, on_progress).run(decode)
        return _read(path, key, form)
    except OSError as error:
        if not is_lasting(error):
            raise UnavailableError(
                f"The prepared images of {facts.title} cannot be reached in {shared_cache() or path.parent} at present "
                f"({error.strerror}): see to its disk or network, then run the same command again."
            ) from error
        raise UserError(
            f"The prepared images of {facts.title} cannot be kept in {shared_cache() or path.parent} "
            f"({error.strerror or error}): make room there, or set {CACHE_VARIABLE} to another folder."
        ) from error


class _Preparation:
    """The making of one prepared file."""

    def __init__(
        self,
        facts: DatasetFacts,
        path: Path,
        key: str,
        parts: Mapping[str, Part],
        form: Form,
        on_progress: OnProgress | None,
    ) -> None:
        self.facts, self.path, self.key, self.parts, self.form = facts, path, key, parts, form
        self.folder = path.with_suffix(".parts")
        self.paths = {part_key: self.folder / f"{part_key}.arrow" for part_key in parts}
        self.whole = self.folder / path.name
        self.shared = shared_cache()
        self.on_progress = on_progress
        self.total = sum(part.count for part in parts.values())
        self.done = 0

    def run(self, decode: Decode) -> None:
        """Fetch it, or decode what is missing and join it, unless another process has done so meanwhile."""
        with self._alone():
            if not self.path.exists():
                self.folder.mkdir(exist_ok=True)
                if not self._fetched():
                    self._make(decode)
                self.whole.replace(self.path)
            shutil.rmtree(self.folder, ignore_errors=True)
        self._tell(self.total)

    def _fetched(self) -> bool:
        """Whether what is kept for others could be had, and is whole."""
        if self.shared is None or not self.shared.exists(self.path.name):
            return False
        self.shared.download(self.path.name, self.whole)
        return _is_whole(self.whole, self.key, self.form)

    def _make(self, decode: Decode) -> None:
        missing = {
            part: part_key
            for part_key, part in self.parts.items()
            if not _is_whole(self.paths[part_key], part_key, self.form)
        }
        self._decoded(self.total - sum(part.count for part in missing))
        for part, batches in decode(list(missing), self.form) if missing else ():
            part_key = missing[part]
            _write(self.paths[part_key], self.folder, part_key, self.form, self._counted(part, batches))
        _write(self.whole, self.folder, self.key, self.form, self._joined())
        if self.shared is not None:
            self.shared.upload(self.whole, self.path.name)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other process prepares the same; until then, its parts are told as progress."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path.with_name(f".{self.path.stem}.lock"))
        while True:
            try:
                lock.acquire(timeout=WAIT_SECONDS)
                break
            except Timeout:
                self._decoded(sum(self.parts[key].count for key, path in self.paths.items() if path.exists()))
            except NotImplementedError:
                # Some network file systems know no locks: then both do the work, and the last file stays.
                break
        try:
            yield
        finally:
            lock.release()

    def _counted(self, part: Part, batches: Iterable[Split]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield _record_batch(batch, part.split, self.form)
            self._decoded(self.done + len(batch.labels))

    def _decoded(self, count: int) -> None:
        """Tell it, but of the last one only when all are in one file."""
        self.done = count
        self._tell(min(count, self.total - 1))

    def _tell(self, done: int) -> None:
        if self.on_progress is not None:
            self.on_progress(done, self.total)

    def _joined(self) -> Iterator[pa.RecordBatch]:
        """A batch per split, sorted by label; pixels go through a file, for they may not fit into memory."""
        batches = [batch for key, path in self.paths.items() for batch in _batches(path, key, self.form)]
        for name in _SPLITS:
            own = [batch for split, batch in batches if split == name]
            if not own:
                raise DataError(f"{self.facts.title} has no {name} images: fetch its files again.")
            labels = np.concatenate([batch.labels for batch in own])
            order = np.argsort(labels, kind="stable")
            places = np.empty_like(order)
            places[order] = np.arange(len(order))
            with tempfile.TemporaryFile(dir=self.folder) as scratch:
                pixels = np.memmap(scratch, np.uint8, "w+", shape=(len(labels), *self.form.shape))
                end = 0
                for batch in own:
                    start, end = end, end + len(batch.labels)
                    pixels[places[start:end]] = batch.images
                yield _record_batch(Split(pixels, labels[order]), name, self.form)


def _key(form: Form, *stamps: str) -> str:
    """Hexadecimal digits that tell images by what they are made of and how."""
    text = "\n".join((repr((_VERSION, *astuple(form))), *stamps))
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]


def _schema(form: Form) -> pa.Schema:
    return pa.schema(
        [
            pa.field(
                "image",
                pa.list_(pa.uint8(), form.channels * form.resolution**2),
                metadata={"shape": " x ".join(map(str, form.shape))},
            ),
            pa.field("label", pa.int64()),
            pa.field("split", pa.string(), metadata={"meaning": "train or test"}),
        ]
    )


def _record_batch(batch: Split, split: str, form: Form) -> pa.RecordBatch:
    schema = _schema(form)
    images = np.ascontiguousarray(batch.images)
    pixels = pa.Array.from_buffers(pa.uint8(), images.size, [None, pa.py_buffer(images)])
    columns = [
        pa.FixedSizeListArray.from_arrays(pixels, type=schema.field("image").type),
        pa.array(batch.labels, pa.int64()),
        pa.array([split] * len(batch.labels), pa.string()),
    ]
    return pa.record_batch(columns, schema=schema)


def _write(path: Path, folder: Path, key: str, form: Form, batches: Iterable[pa.RecordBatch]) -> None:
    """Write a file, aside in `folder` first."""
    schema = _schema(form).with_metadata({_KEY: key})
    with replacing(path, folder) as file, pa.ipc.new_file(file, schema) as writer:
        for batch in batches:
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))


def _read(path: Path, key: str, form: Form) -> dict[str, Split]:
    """The splits in a prepared file."""
    return dict(_batches(path, key, form))


def _batches(path: Path, key: str, form: Form) -> list[tuple[str, Split]]:
    """The record batches of a file with their splits, as views of it; raises `DataError` if it is damaged or another
    file.
    """
    found = []
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
            if reader.schema != _schema(form) or (reader.schema.metadata or {}).get(_KEY) != key.encode():
                raise pa.ArrowInvalid("another file")
            for index in range(reader.num_record_batches):
                batch = reader.get_batch(index)
                images = batch["image"].values.to_numpy(zero_copy_only=True).reshape(len(batch), *form.shape)
                found.append((batch["split"][0].as_py(), Split(images, batch["label"].to_numpy())))
    except FileNotFoundError:
        raise
    except (pa.ArrowException, ValueError, OSError) as error:
        if is_of_system(error):
            raise unreadable(path, error) from error
        raise DataError(
            f"{path} is damaged, or no file that was prepared here: delete it, and its images are prepared again."
        ) from error
    return found


def _is_whole(path: Path, key: str, form: Form) -> bool:
    """Whether it is there and what it should be."""
    try:
        return bool(_batches(path, key, form))
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
