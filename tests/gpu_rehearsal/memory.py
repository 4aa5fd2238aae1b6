"""The account of a pretended GPU's memory: what lies there, since when, and the most that there was.

A storage counts from the first tensor of it to the last, views and what autograd keeps included.
"""

from typing import NamedTuple

import torch


class Kept(NamedTuple):
    """A storage that lies on the GPU."""

    bytes: int
    shape: tuple[int, ...]
    """of the first tensor of it"""
    line: str
    """of the package that made it"""


class _Reference:
    """Lives as long as a tensor does, and then says so."""

    __slots__ = ("memory", "storage")

    def __init__(self, memory, storage):
        self.memory, self.storage = memory, storage

    def __del__(self):
        self.memory._forget(self.storage)


class Memory:
    """`live`: bytes that lie there, `peak`: the most since the last reset, `limit`: how much there is."""

    def __init__(self, limit):
        self.limit, self.live, self.peak = limit, 0, 0
        self._kept, self._references = {}, {}

    def hold(self, tensor, line):
        """Account for a new tensor, made by `line()`; raises `torch.OutOfMemoryError` where there is no room for it."""
        storage = tensor.untyped_storage()._cdata
        if storage not in self._kept:
            size = tensor.untyped_storage().nbytes()
            if self.live + size > self.limit:
                raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size} bytes. (pretended)")
            self.live += size
            self.peak = max(self.peak, self.live)
            self._kept[storage] = Kept(size, tuple(tensor.shape), line())
            self._references[storage] = 0
        self._references[storage] += 1
        tensor.reference = _Reference(self, storage)

    def _forget(self, storage):
        self._references[storage] -= 1
        if not self._references[storage]:
            del self._references[storage]
            self.live -= self._kept.pop(storage).bytes

    def kept(self, larger_than=0):
        """What lies there, the largest first; without tensors of few bytes."""
        return sorted((each for each in self._kept.values() if each.bytes > larger_than), reverse=True)
