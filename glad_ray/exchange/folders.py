"""Folders that are whole or absent: written aside, then renamed."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from glad_ray.errors import UserError


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to write to, which becomes `folder` at the end, or vanishes after an error.

    Raises `UserError` if `folder` is there and not empty, or cannot be written.
    """
    target = Path(os.path.abspath(folder))
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UserError(f"{folder} is there and not empty: name a new folder.")
        aside.mkdir(parents=True)
        yield aside
        aside.replace(target)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}): name another folder.") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
