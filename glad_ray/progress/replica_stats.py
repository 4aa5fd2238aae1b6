"""How a replica is, as it says itself, and the file in which the driver leaves that for other terminals.

Neither PyTorch nor Ray is needed here: `glad-ray status` reads it.
"""

import contextlib
from collections.abc import Sequence

from pydantic import AwareDatetime, ConfigDict, TypeAdapter, ValidationError

from glad_ray.errors import UserError
from glad_ray.spec.record import Record
from glad_ray.storage import Storage


class ReplicaStats(Record):
    """How a replica is; counts are since it was started, or started again."""

    # Another version's are some too.
    model_config = ConfigDict(extra="ignore")

    generator: str
    """its title"""
    host: str
    at: AwareDatetime
    """when it said so"""
    loaded: bool
    """whether it holds the generator yet: the first call lets it"""
    requests: int
    requests_per_second: float
    """over the last half minute"""
    requests_per_batch: float
    """over the last half minute, their mean; 0: there were none"""
    waiting: int
    """requests that are not being computed"""
    batches: int
    largest_batch_requests: int
    largest_batch_images: int
    """a request that has more images than there is memory for is a batch alone, and decoded a part at a time"""
    memory_bytes: int
    """the most it took so far: of its GPU, or as a process; 0 until it is loaded"""


_FILE = TypeAdapter(tuple[ReplicaStats, ...])


def write_replicas(storage: Storage, stats: Sequence[ReplicaStats]) -> None:
    """Leave how replicas are; raises `OSError` if storage cannot be written."""
    storage.write_bytes(Storage.REPLICAS, _FILE.dump_json(tuple(stats), indent=1))


def read_replicas(storage: Storage) -> tuple[ReplicaStats, ...]:
    """How replicas were when the driver wrote last; none if there is no such file, or it is damaged."""
    with contextlib.suppress(UserError, ValidationError):
        return _FILE.validate_json(storage.read_bytes(Storage.REPLICAS))
    return ()
