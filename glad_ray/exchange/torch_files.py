"""Files of `torch.save`, of which tensors in lists are read and no code is run."""

import warnings
import zipfile
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from glad_ray.errors import DataError, is_of_system, unreadable


def read_tensors(path: Path) -> Any:
    """What a file holds, on the CPU and mapped, not copied, where its format allows; raises `DataError`."""
    try:
        with warnings.catch_warnings():
            # Of odd files, which are read or refused here in any case.
            warnings.simplefilter("ignore")
            # Files of before PyTorch 1.6 are no zip archives and cannot be mapped.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
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


def is_plain(value: Any, dtype: torch.dtype) -> TypeGuard[Tensor]:
    """Whether something read is a dense tensor of numbers of that type, and all of its numbers are in the file."""
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and not value.is_nested
        and value.device.type == "cpu"
        and value.dtype == dtype
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )
