"""Files of `torch.save`, of which tensors in lists are read and no code is run."""

import warnings
import zipfile
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from glad_ray.errors import DataError, is_of_system, unreadable

_SHOWN = 5
_SHOWN_CHARACTERS = 30


def read_tensors(path: Path) -> Any:
    """What a file holds, on the CPU and mapped, not copied, where its format allows; raises `DataError`.

    No tensor requires a gradient, whatever required one when it was saved.
    """
    try:
        with warnings.catch_warnings():
            # Of odd files, which are read or refused here in any case.
            warnings.simplefilter("ignore")
            # Files of before PyTorch 1.6 are no zip archives and cannot be mapped.
            value = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
            _require_no_gradient(value)
            return value
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): name a file of torch.save.") from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged file breaks the reader in any way
        if is_of_system(error):
            raise unreadable(path, error) from error
        raise DataError(
            f"{path} is damaged or holds more than tensors, and other objects are never loaded: save its tensors alone."
        ) from error


def is_plain(value: Any, *dtypes: torch.dtype) -> TypeGuard[Tensor]:
    """Whether something read is a dense tensor of numbers of one of these types, all of which are in the file."""
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and not value.is_nested
        and value.device.type == "cpu"
        and value.dtype in dtypes
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def told(value: Any) -> str:
    """What something read is, for a message: `a float32 tensor of 10 x 3 x 32 x 32`, `a list of 10`."""
    if isinstance(value, Tensor):
        kind = str(value.dtype).removeprefix("torch.")
        tensor = f"{'an' if kind.startswith('int') else 'a'} {kind} tensor"
        if value.layout is not torch.strided or value.is_nested or value.device.type != "cpu":
            return f"{tensor} that is not dense"
        return f"{tensor} of {' x '.join(map(str, value.shape[: 2 * _SHOWN])) or 'a single number'}"
    if isinstance(value, dict):
        keys = ", ".join(str(key)[:_SHOWN_CHARACTERS] for key in list(value)[:_SHOWN])
        return f"a dict of {len(value)}" + (f" ({keys}{', ...' if len(value) > _SHOWN else ''})" if value else "")
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a value of type {type(value).__name__}"


def _require_no_gradient(value: Any) -> None:
    """Code that optimises images on a CPU saves the very tensor that it optimises, which requires a gradient."""
    waiting, seen = [value], set()
    while waiting:
        each = waiting.pop()
        if isinstance(each, Tensor):
            each.requires_grad_(False)
        elif isinstance(each, list | tuple | dict) and id(each) not in seen:
            seen.add(id(each))
            waiting.extend(each.values() if isinstance(each, dict) else each)
