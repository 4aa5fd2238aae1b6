"""Where a study is kept: a journal beside the results, or any database that Optuna knows."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.exceptions import OptunaError, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from glad_ray.errors import GladRayError, UserError
from glad_ray.paths import expanded
from glad_ray.storage import Storage

_SQLITE = b"SQLite format 3\x00"
_BEGINNING = b'{"op_code":'
"""of every line that Optuna writes to a journal"""
_CREATES_STUDY = 0
_LOCK = ".lock"
"""after a journal's name, what Optuna's lock of it is called"""


@contextlib.contextmanager
def told_in_a_sentence() -> Iterator[None]:
    """Raise `GladRayError` where a study, or what is kept beside it, cannot be read or written any more."""
    try:
        yield
    except (OSError, SQLAlchemyError, StorageInternalError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise GladRayError(
            f"The search cannot go on: {reason}. What is finished is kept; the same command goes on from there."
        ) from error


def open_study_storage(storage: Storage, where: str | None, study: str) -> BaseStorage:
    """Optuna's storage at `where`, a file or a database's URL; None: a journal in the results' folder. `study` is the
    name of the one that is to be opened there.

    Raises `UserError` if it cannot be opened, or holds something else. Nothing is changed then.
    """
    if where is not None and "://" in where:
        return _database(where)
    path = storage.local_path(Storage.SEARCH_STUDY) if where is None else expanded(where)
    if path is None:
        raise UserError(
            f"{storage} is no folder, where a study's journal could be: name a file, or a database's URL, with --study."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Of a relative path, Optuna's lock points nowhere, and one that was left behind is never taken for old.
        path = path.resolve()
        cut = _check_journal(path, study)
        lock = _lock(path)
        if where is None:
            # There is one driver a storage: what locks its journal is a process that was killed.
            with contextlib.suppress(OSError, RuntimeError):
                lock.release()
        if cut:
            _repair(path, study, lock)
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    except OSError as error:
        raise UserError(f"The study {path} cannot be opened: {error.strerror or error}; name another file.") from error
    except (ValueError, KeyError) as error:
        raise _no_journal(path) from error


def _no_journal(path: Path) -> UserError:
    return UserError(f"{path} is no journal of a study, or is damaged: name another file with --study.")


def _lock(path: Path) -> JournalFileSymlinkLock:
    """Optuna's lock of a journal, a link beside it; raises `UserError` if another file has that name, which would be
    deleted for an old lock.
    """
    link = path.with_name(path.name + _LOCK)
    if link.exists() and not link.is_symlink():
        raise UserError(f"{link} is in the way of the lock of {path}: name another file with --study.")
    return JournalFileSymlinkLock(str(path))


def _check_journal(path: Path, study: str) -> bool:
    """Whether the last line of a journal is half written, as a killed process leaves it; False if it is not there.

    Raises `UserError` if a file is no journal, or ends in a half line and has no study of this name.
    """
    if not path.exists():
        return False
    with path.open("rb") as file:
        beginning = file.read(len(_SQLITE))
    if beginning == _SQLITE:
        raise UserError(f"{path} is a SQLite database: name it by its URL, --study sqlite:///{path}.")
    if beginning and not beginning.startswith(_BEGINNING):
        raise _no_journal(path)
    content = path.read_bytes()
    *whole, last = content.split(b"\n")
    records = [_record(path, line) for line in whole]
    names = [record.get("study_name") for record in records if record["op_code"] == _CREATES_STUDY]
    if not last:
        return False
    if not last.startswith(_BEGINNING):
        raise _no_journal(path)
    if whole and study not in names:
        raise UserError(
            f"{path} ends in a half-written line, and has no study {study} whose driver could have left it: open it "
            "with the program that it belongs to, or name another file with --study."
        )
    return True


def _record(path: Path, line: bytes) -> dict[str, Any]:
    """A line of a journal; raises `UserError` if it is none."""
    try:
        record = json.loads(line)
    except ValueError as error:
        raise _no_journal(path) from error
    if not isinstance(record, dict) or not isinstance(record.get("op_code"), int) or "worker_id" not in record:
        raise _no_journal(path)
    return record


def _repair(path: Path, study: str, lock: JournalFileSymlinkLock) -> None:
    """Cut off the line that a killed process has left half written; with it Optuna could not read on."""
    lock.acquire()
    try:
        # What looked half written may have been a line that another driver was writing.
        if _check_journal(path, study):
            with path.open("r+b") as file:
                file.truncate(file.read().rfind(b"\n") + 1)
    finally:
        lock.release()


def _database(url: str) -> RDBStorage:
    try:
        shown = make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError as error:
        raise UserError("--study is no database's URL: for example sqlite:///study.db, or a file's name.") from error
    try:
        if foreign := _tables_of_others(url):
            raise UserError(f"{shown} holds other things than studies ({foreign}): name a database of its own.")
        return RDBStorage(url)
    except (SQLAlchemyError, OptunaError, ImportError, RuntimeError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise UserError(f"The study at {shown} cannot be opened: {reason.rstrip('.')}.") from error


def _tables_of_others(url: str) -> str:
    """Some tables of a SQLite file that is no study's, to which Optuna would add its own; empty: it has none."""
    place = make_url(url)
    # Databases of servers are shared, and hold what they are asked to. An empty file is made by whoever opens it first.
    if place.get_backend_name() != "sqlite" or not place.database or not Path(place.database).exists():
        return ""
    engine = create_engine(url)
    try:
        tables = inspect(engine).get_table_names()
    finally:
        engine.dispose()
    return "" if "studies" in tables else ", ".join(tables[:3])
