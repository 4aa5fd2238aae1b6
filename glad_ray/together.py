"""Whether several repeats of a training are made together on a GPU, as one `Ensemble`: what a few epochs take both ways
decides, and is remembered for the process.

A training on few images leaves a GPU mostly idle: its kernels are short, and five trainings in one set of kernels take
little longer than one. On many images, or in wide networks, one training fills the GPU, and its kernels are the better
ones.
"""

import time
from collections.abc import Callable, Hashable
from typing import NamedTuple

import torch

from glad_ray.captured import CapturedTraining
from glad_ray.gpu_errors import lacks_gpu_memory

LEAST_EPOCHS = 100
"""of a training for which it is measured; shorter ones are made one after another"""
_ROUNDS = 3
_MINI_BATCHES = 8
"""of a round, at least one epoch of them"""

_faster: dict[Hashable, bool] = {}


class Beginning(NamedTuple):
    """A training that can be measured."""

    training: CapturedTraining
    rngs: list[torch.Generator]
    """one for each of its networks"""


def together_is_faster(
    of_what: Hashable,
    one: Callable[[], Beginning | None],
    together: Callable[[], Beginning | None],
    repeats: int,
) -> bool:
    """Whether a GPU makes so many repeats sooner `together` than one after another, each as `one`.

    Measured when first asked in this process, on what the callables begin, and then taken as it was for an equal
    `of_what`, which is all that decides it. False where no graphs are made of one (None), and where the GPU lacks the
    memory to make them together.
    """
    if of_what not in _faster:
        _faster[of_what] = _measured(one, together, repeats)
    return _faster[of_what]


def _measured(one: Callable[[], Beginning | None], together: Callable[[], Beginning | None], repeats: int) -> bool:
    alone = _epoch_seconds(one)
    if alone is None:
        return False
    try:
        joined = _epoch_seconds(together)
    except RuntimeError as error:
        if not lacks_gpu_memory(error):
            raise
        joined = None
    # What is measured here is not to count as taken by the training.
    torch.cuda.empty_cache()
    return joined is not None and joined < repeats * alone


def lacked_memory(of_what: Hashable) -> None:
    """From now on these are trained one after another in this process."""
    _faster[of_what] = False


def _epoch_seconds(begin: Callable[[], Beginning | None]) -> float | None:
    """Of an epoch whose mini-batches are all replayed: the least of a few rounds, for others may use the GPU, too."""
    begun = begin()
    if begun is None:
        return None
    training, rngs = begun
    epochs = max(1, _MINI_BATCHES // training.mini_batches)
    # The first computes without graphs, the second makes them. At these rates nothing moves.
    for _ in range(2):
        training.epoch(0.0, 0.0, rngs)
    taken = []
    for _ in range(_ROUNDS):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(epochs):
            training.epoch(0.0, 0.0, rngs)
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return min(taken) / epochs
