"""What W&B's files on this machine hold of a run: the records of `<run id>.wandb`, which `wandb sync` uploads later.

W&B has no reader of them that can be called. They are a log as LevelDB writes it (blocks of 32 KiB; a record is whole,
or in pieces marked first, middle, last) behind a header of 7 bytes, and each record is a message of `wandb.proto`.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from wandb.proto.wandb_internal_pb2 import Record

_HEADER_BYTES, _BLOCK_BYTES = 7, 32768
_PIECE = struct.Struct("<IHB")
_WHOLE, _LAST = 1, 4


def records_of_run(folder: Path, run_id: str) -> Iterator[Record]:
    """The records that all processes wrote of a run, the first process's first; the end of one that was killed may be
    missing.
    """
    for path in sorted(folder.glob(f"*run-*-{run_id}/run-{run_id}.wandb")):
        for record in _records(path.read_bytes()):
            yield Record.FromString(record)


def _records(log: bytes) -> Iterator[bytes]:
    at, record = _HEADER_BYTES, b""
    while at + _PIECE.size <= len(log):
        left_in_block = _BLOCK_BYTES - at % _BLOCK_BYTES
        if left_in_block < _PIECE.size:
            at += left_in_block
            continue
        _, size, kind = _PIECE.unpack_from(log, at)
        begins = at + _PIECE.size
        at = begins + size
        if kind == 0 or at > len(log):
            return
        record += log[begins:at]
        if kind in (_WHOLE, _LAST):
            yield record
            record = b""
