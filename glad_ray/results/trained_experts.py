"""Which experts of a set lie on storage, as far as their files tell without PyTorch."""

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from glad_ray.spec.experts import ExpertSet
from glad_ray.storage import Storage

_QUESTIONS_AT_ONCE = 16


def missing_experts(storage: Storage, expert_set: ExpertSet) -> list[int]:
    """Indices of the experts of a set that have to be trained: those without a file, and those trained here whose file
    has fewer epochs than the set keeps.

    What was imported, and what cannot be read, is never trained over: reading it says what is wrong.
    """
    last_epoch = expert_set.experts.last_epoch
    paths = [storage.expert_path(expert_set.stored_id, index) for index in range(expert_set.experts.count)]
    # One question for all: an object store takes its time over each.
    there = set(storage.list(paths[0].rpartition("/")[0]))

    def is_missing(path: str) -> bool:
        return path not in there or _ends_before(storage, path, last_epoch)

    with ThreadPoolExecutor(_QUESTIONS_AT_ONCE) as pool:
        return [index for index, missing in enumerate(pool.map(is_missing, paths)) if missing]


def _ends_before(storage: Storage, path: str, epoch: int) -> bool:
    """Whether a file is of an expert that was trained here, and not up to an epoch."""
    try:
        reader = pa.ipc.open_file(storage.open_file(path))
    except (pa.ArrowException, OSError, ValueError):
        return False
    metadata = reader.schema.metadata or {}
    return b"expert_set" in metadata and b"source" not in metadata and reader.num_record_batches <= epoch
