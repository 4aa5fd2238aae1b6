"""Where a study is kept: a journal beside the results, or any database that Optuna knows."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from optuna.exceptions import OptunaError, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from glad_ray.errors import GladRayError, UserError
from glad_ray.paths import expanded
from glad_ray.storage import Storage


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


def open_study_storage(storage: Storage, where: str | None) -> BaseStorage:
    """Optuna's storage at `where`, a file or a database's URL; None: a journal in the results' folder.

    Raises `UserError` if it cannot be opened.
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
        lock = JournalFileSymlinkLock(str(path))
        if where is None:
            # There is one driver a storage: what locks its journal is a process that was killed.
            with contextlib.suppress(OSError, RuntimeError):
                lock.release()
        _mend(path, lock)
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    except OSError as error:
        raise UserError(f"The study {path} cannot be opened: {error.strerror or error}; name another file.") from error
    except (ValueError, KeyError) as error:
        raise UserError(f"{path} is no journal of a study, or is damaged: name another file with --study.") from error


def _mend(path: Path, lock: JournalFileSymlinkLock) -> None:
    """Cut off the line that a killed process has left half written; with it Optuna could not read on."""
    if not path.exists():
        return
    lock.acquire()
    try:
        with path.open("r+b") as file:
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)
    finally:
        lock.release()


def _database(url: str) -> RDBStorage:
    try:
        shown = make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError as error:
        raise UserError("--study is no database's URL: for example sqlite:///study.db, or a file's name.") from error
    try:
        return RDBStorage(url)
    except (SQLAlchemyError, OptunaError, ImportError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise UserError(f"The study at {shown} cannot be opened: {reason.rstrip('.')}.") from error
