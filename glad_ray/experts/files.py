"""The files of expert trajectories, one an expert: a record batch a snapshot of its parameters.

So a reader takes only the two snapshots it needs: views of the file where that is mapped into memory, two reads of an
object store's elsewhere. Parameters are stored as float32 or, where the experts say so, as bfloat16, with a checksum:
Arrow itself does not see that a number has changed.
"""

import json
import math
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.dlpack import from_dlpack
from typing_extensions import override

from glad_ray.errors import DataError, UserError, is_of_system, unreadable
from glad_ray.spec import ExpertSet
from glad_ray.spec.record import Record, field_paths, value_at
from glad_ray.storage import Storage
from glad_ray.trajectories import Trajectories

FlatArray = np.ndarray[Any, np.dtype[np.float32]]
"""all parameters of a network as one vector, in registration order"""
Shapes = Sequence[tuple[str, tuple[int, ...]]]
"""name and shape of every parameter, in registration order"""

_WORDS_CHARACTERS = 150
_COLUMNS = ["epoch", "loss", "parameters", "crc32"]
_NOT_THEIRS = ("experts.count", "experts.epochs", "experts.keep_until")
"""what may differ between a set of experts and one that its files serve"""


def parameter_shapes(network: nn.Module) -> Shapes:
    """What the snapshots of a network's trajectory are made of."""
    return [(name, tuple(parameter.shape)) for name, parameter in network.named_parameters()]


def write_trajectory(
    storage: Storage,
    expert_set: ExpertSet,
    index: int,
    parameters: Shapes,
    snapshots: Iterable[tuple[FlatArray, float]],
    *,
    source: str | None = None,
) -> None:
    """Write the file of one expert whole.

    `snapshots` are its parameters and mean training loss (NaN: not known) after 0, 1, ... `last_epoch` epochs;
    `source` says where they come from if they were not trained here.
    """
    storage.write_bytes(
        storage.expert_path(expert_set.stored_id, index), _to_arrow(expert_set, parameters, snapshots, source)
    )


def read_only_tensor(array: FlatArray) -> Float[Tensor, " p"]:
    """A tensor that shares the memory of an array; it must not be written into, as the array may be read-only."""
    # Arrow's arrays are always so, and PyTorch takes them as they are; of numpy's it may warn.
    return from_dlpack(pa.array(array))


@final
class ExpertFiles(Trajectories):
    """The trajectories of an expert set on storage; local files are memory-mapped, of others only what is needed is
    read.

    Every method raises `DataError` if a file is missing, damaged, or written for other experts, `UnavailableError` if
    it cannot be read at present.
    """

    def __init__(self, storage: Storage, expert_set: ExpertSet) -> None:
        self.storage, self.expert_set = storage, expert_set
        self._readers: dict[int, pa.ipc.RecordBatchFileReader] = {}
        self._sound: set[tuple[int, int]] = set()

    def segment_arrays(self, expert: int, start_epoch: int, epochs: int) -> tuple[FlatArray, FlatArray]:
        """Flat float32 parameters at `start_epoch` and `epochs` later, as views of the file where that holds them."""
        return self._parameters(expert, start_epoch), self._parameters(expert, start_epoch + epochs)

    @override
    def segment(self, expert: int, start_epoch: int, epochs: int) -> tuple[Float[Tensor, " p"], Float[Tensor, " p"]]:
        start, end = self.segment_arrays(expert, start_epoch, epochs)
        return read_only_tensor(start), read_only_tensor(end)

    @override
    def expect(self, expert: int, start_epoch: int, epochs: int) -> None:
        """Nothing is to be done: the system reads ahead of a mapped file by itself."""

    def _parameters(self, expert: int, epoch: int) -> FlatArray:
        try:
            batch = self._reader(expert).get_batch(epoch)
            batch.validate()
            values = batch.column("parameters").values.to_numpy()
            if (expert, epoch) not in self._sound:
                _check_snapshot(batch, values, epoch)
                self._sound.add((expert, epoch))
        except FileNotFoundError as error:
            raise DataError(f"{self._name(expert)} is missing: run again, which makes it.") from error
        except (pa.ArrowException, OSError, ValueError) as error:
            if is_of_system(error):
                raise unreadable(self._name(expert), error) from error
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
            raise DataError(
                f"{self._name(expert)} cannot be read as a whole expert trajectory ({_plain(reason)}): delete it, if "
                "its storage can be reached, and run again."
            ) from error
        return values if self.expert_set.experts.dtype == "float32" else _of_bfloat16_bits(values)

    def _reader(self, expert: int) -> pa.ipc.RecordBatchFileReader:
        if expert not in self._readers:
            path = self.storage.expert_path(self.expert_set.stored_id, expert)
            reader = pa.ipc.open_file(self.storage.open_file(path))
            what = _difference(reader, self.expert_set)
            if what is not None:
                raise DataError(f"{self._name(expert)} {what}: delete it and run again.")
            self._readers[expert] = reader
        return self._readers[expert]

    def _name(self, expert: int) -> str:
        return f"{self.storage}/{self.storage.expert_path(self.expert_set.stored_id, expert)}"


def _to_arrow(
    expert_set: ExpertSet, parameters: Shapes, snapshots: Iterable[tuple[FlatArray, float]], source: str | None
) -> pa.Buffer:
    rounded = expert_set.experts.dtype == "bfloat16"
    meaning = "flat, in registration order" + (", as the bits of bfloat16" if rounded else "")
    vector = pa.list_(_number(expert_set), sum(math.prod(shape) for _, shape in parameters))
    metadata = {"expert_set": expert_set.model_dump_json(), "parameters": json.dumps(parameters)}
    schema = pa.schema(
        [
            pa.field("epoch", pa.int32(), metadata={"meaning": "epochs trained; 0 is the initialisation"}),
            pa.field("loss", pa.float64(), metadata={"meaning": "mean training loss of the epoch"}),
            pa.field("parameters", vector, metadata={"meaning": meaning}),
            pa.field("crc32", pa.uint32(), metadata={"meaning": "checksum of the bytes of the parameters"}),
        ],
        metadata=metadata if source is None else metadata | {"source": source},
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        for epoch, (snapshot, loss) in enumerate(snapshots):
            values = np.ascontiguousarray(_bfloat16_bits(snapshot) if rounded else snapshot)
            columns = [
                pa.array([epoch], pa.int32()),
                pa.array([loss], pa.float64()),
                pa.FixedSizeListArray.from_arrays(pa.array(values), vector.list_size),
                pa.array([zlib.crc32(values.data)], pa.uint32()),
            ]
            writer.write_batch(pa.record_batch(columns, schema=schema))
    return sink.getvalue()


def _number(expert_set: ExpertSet) -> pa.DataType:
    return pa.uint16() if expert_set.experts.dtype == "bfloat16" else pa.float32()


def _bfloat16_bits(values: FlatArray) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """The nearest bfloat16 of each value, as its bits: Arrow has no such type."""
    return torch.tensor(values).to(torch.bfloat16).view(torch.uint16).numpy()


def _of_bfloat16_bits(bits: np.ndarray[Any, np.dtype[np.uint16]]) -> FlatArray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _difference(reader: pa.ipc.RecordBatchFileReader, asked: ExpertSet) -> str | None:
    """What first sets a file apart from one of the experts that are asked for, as a predicate; None: nothing."""
    metadata = reader.schema.metadata or {}
    try:
        found = ExpertSet.model_validate_json(metadata.get(b"expert_set", b""))
    except (UserError, ValueError):
        return "does not say which experts it holds, or not in words of this version"
    if found.content_id != asked.content_id:
        there, wanted = _two(found, asked)
        return f"holds experts of {_plain(there)}, and experts of {wanted} are asked for"
    # Files of before there was a checksum have none.
    if reader.schema.names not in (_COLUMNS, _COLUMNS[:-1]):
        return f"has other columns than {', '.join(_COLUMNS)}"
    kept = reader.schema.field("parameters").type
    if not pa.types.is_fixed_size_list(kept) or kept.value_type != _number(asked):
        return f"has no snapshots of parameters in {asked.experts.dtype}"
    if kept.list_size != asked.parameters:
        return f"has snapshots of {kept.list_size:,} parameters, and {_described(asked)} has {asked.parameters:,}"
    if reader.num_record_batches <= asked.experts.last_epoch:
        return f"has {reader.num_record_batches - 1} epochs, not {asked.experts.last_epoch}"
    return None


def _two(found: ExpertSet, asked: ExpertSet) -> tuple[str, str]:
    """Two sets of experts for people: what they are of, and the settings that differ."""
    said = {"dataset", "resolution", "network.name"}
    if found.network.title != asked.network.title:
        said.add("network.width")
    there_too = set(field_paths(found))
    differing = [
        path
        for path in field_paths(asked)
        if path not in said
        and path in there_too
        and path not in _NOT_THEIRS
        and not isinstance(value_at(asked, path), Record)
        and value_at(found, path) != value_at(asked, path)
    ]
    there, wanted = (
        ", ".join(f"{path.rpartition('.')[2]} {value_at(each, path)}" for path in differing) for each in (found, asked)
    )
    if not differing:
        return _described(found), _described(asked)
    return f"{_described(found)} ({there})", f"{_described(asked)} ({wanted})"


def _plain(words: str) -> str:
    """What a file says of itself, as part of a sentence."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in words[:_WORDS_CHARACTERS])
    return shown + ("..." if len(words) > _WORDS_CHARACTERS else "")


def _described(expert_set: ExpertSet) -> str:
    return f"{expert_set.network.title} on {expert_set.dataset} at {expert_set.resolution} pixels"


def _check_snapshot(batch: pa.RecordBatch, values: np.ndarray[Any, Any], epoch: int) -> None:
    """Raise `ArrowInvalid` if a snapshot is not the one that was written."""
    if batch.num_rows != 1 or batch.column("epoch")[0].as_py() != epoch:
        raise pa.ArrowInvalid(f"no snapshot after {epoch} epochs in its place")
    if "crc32" in batch.schema.names and batch.column("crc32")[0].as_py() != zlib.crc32(values.data):
        raise pa.ArrowInvalid(f"the parameters after {epoch} epochs are not those that were written")
