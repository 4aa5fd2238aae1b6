"""What a process has one of and code of a user's may set: given back after each unit of work, so that the next one in
the process computes as if it were alone.

Random generators are not among it: ours are explicit, and networks of others are lent the global ones (`foreign.py`).
"""

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import backends


class _Setting(NamedTuple):
    read: Callable[[], Any]
    write: Callable[[Any], Any]


def _attribute(of: Any, name: str) -> _Setting:
    return _Setting(lambda: getattr(of, name), lambda value: setattr(of, name, value))


# Precision of products, by PyTorch's newer interface: it reads what the older one has set too. What others inherit from
# comes first.
_OF_PRECISION = (
    "backends",
    "backends.cudnn",
    "backends.cudnn.conv",
    "backends.cudnn.rnn",
    "backends.cuda.matmul",
    "backends.mkldnn",
    "backends.mkldnn.conv",
    "backends.mkldnn.rnn",
    "backends.mkldnn.matmul",
)
_SETTINGS = (
    _Setting(torch.get_default_dtype, torch.set_default_dtype),
    # On the CPU there is nothing to set; naming it would put a hook before every call.
    _Setting(
        torch.get_default_device, lambda device: torch.set_default_device(None if device.type == "cpu" else device)
    ),
    _Setting(torch.is_grad_enabled, torch.set_grad_enabled),
    _Setting(torch.get_num_threads, torch.set_num_threads),
    _Setting(torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    *(_attribute(backends.cudnn, name) for name in ("enabled", "benchmark", "deterministic")),
    _attribute(backends.mkldnn, "enabled"),
    *(_attribute(attrgetter(name)(torch), "fp32_precision") for name in _OF_PRECISION),
    _Setting(np.geterr, lambda errors: np.seterr(**errors)),
    _Setting(os.getcwd, os.chdir),
    _Setting(lambda: dict(os.environ), lambda variables: _set_environment(variables)),
)


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Give back what was there before: settings of PyTorch and NumPy, the filters of warnings, environment, folder."""
    before = [setting.read() for setting in _SETTINGS]
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for setting, value in zip(_SETTINGS, before, strict=True):
            if setting.read() != value:
                setting.write(value)


def _set_environment(variables: dict[str, str]) -> None:
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)
