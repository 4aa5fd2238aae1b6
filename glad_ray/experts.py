"""Expert trajectories: networks trained on the real data, their parameters kept after every epoch.

MTT (Cazenavette et al., 2022) matches segments of them. One Arrow file an expert: a record batch a snapshot, so that a
reader maps the file and touches only the two snapshots it needs. Settings as the paper's supplement, section E; as its
code does, experts are trained with DSA. Parameters are stored as float32 or, where the experts say so, as bfloat16.
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float
from torch import Tensor

from glad_ray.data import Dataset, normalise
from glad_ray.errors import DataError, RunError
from glad_ray.networks import build_network, flat_parameters
from glad_ray.randomness import rng_for
from glad_ray.spec import ExpertSet
from glad_ray.storage import Storage
from glad_ray.training import train_epoch

FlatArray = np.ndarray[Any, np.dtype[np.float32]]
"""all parameters of a network as one vector, in registration order"""
Shapes = Sequence[tuple[str, tuple[int, ...]]]
"""name and shape of every parameter, in registration order"""


def missing_experts(storage: Storage, expert_set: ExpertSet) -> list[int]:
    """Indices of the experts that are not on storage yet."""
    return [
        i for i in range(expert_set.experts.count) if not storage.exists(storage.expert_path(expert_set.content_id, i))
    ]


def train_expert(
    expert_set: ExpertSet,
    index: int,
    dataset: Dataset,
    storage: Storage,
    *,
    device: str,
    on_epoch: Callable[[int], None],
) -> None:
    """Train one expert and write its trajectory whole; every draw follows from the set's id and the index."""
    settings, target = expert_set.experts, torch.device(device)
    identity = expert_set.content_id
    network = build_network(
        expert_set.network,
        channels=dataset.train_images.shape[1],
        resolution=dataset.train_images.shape[-1],
        classes=len(dataset.class_names),
        rng=rng_for(identity, "expert network", index),
    ).to(target)
    images, labels = (
        torch.tensor(dataset.train_images, device=target),
        torch.tensor(dataset.train_labels, device=target),
    )
    optimiser = torch.optim.SGD(
        network.parameters(), lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
    )
    snapshots, losses = [_snapshot(network)], [math.nan]
    for epoch in range(settings.last_epoch):
        loss = train_epoch(
            network,
            optimiser,
            lambda batch: normalise(images[batch], dataset.mean, dataset.std),
            labels,
            batch_size=settings.batch_size,
            augmentation=settings.augmentation,
            rng=rng_for(identity, "expert epoch", index, epoch),
        )
        if not math.isfinite(loss):
            raise RunError(f"the loss of expert {index} is {loss} in epoch {epoch}: lower algorithm.experts.lr")
        snapshots.append(_snapshot(network))
        losses.append(loss)
        on_epoch(epoch + 1)
    write_trajectory(storage, expert_set, index, parameter_shapes(network), zip(snapshots, losses, strict=True))


def parameter_shapes(network: torch.nn.Module) -> Shapes:
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
        storage.expert_path(expert_set.content_id, index), _to_arrow(expert_set, parameters, snapshots, source)
    )


def _snapshot(network: torch.nn.Module) -> FlatArray:
    return flat_parameters(network).detach().cpu().numpy().copy()


def _to_arrow(
    expert_set: ExpertSet, parameters: Shapes, snapshots: Iterable[tuple[FlatArray, float]], source: str | None
) -> pa.Buffer:
    size = sum(math.prod(shape) for _, shape in parameters)
    rounded = expert_set.experts.dtype == "bfloat16"
    meaning = "flat, in registration order" + (", as the bits of bfloat16" if rounded else "")
    number = pa.uint16() if rounded else pa.float32()
    metadata = {"expert_set": expert_set.model_dump_json(), "parameters": json.dumps(parameters)}
    schema = pa.schema(
        [
            pa.field("epoch", pa.int32(), metadata={"meaning": "epochs trained; 0 is the initialisation"}),
            pa.field("loss", pa.float64(), metadata={"meaning": "mean training loss of the epoch"}),
            pa.field("parameters", pa.list_(number, size), metadata={"meaning": meaning}),
        ],
        metadata=metadata if source is None else metadata | {"source": source},
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        for epoch, (snapshot, loss) in enumerate(snapshots):
            columns = [
                pa.array([epoch], pa.int32()),
                pa.array([loss], pa.float64()),
                pa.FixedSizeListArray.from_arrays(pa.array(_bfloat16_bits(snapshot) if rounded else snapshot), size),
            ]
            writer.write_batch(pa.record_batch(columns, schema=schema))
    return sink.getvalue()


def _bfloat16_bits(values: FlatArray) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """The nearest bfloat16 of each value, as its bits: Arrow has no such type."""
    return torch.tensor(values).to(torch.bfloat16).view(torch.uint16).numpy()


def _of_bfloat16_bits(bits: np.ndarray[Any, np.dtype[np.uint16]]) -> FlatArray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


class ExpertFiles:
    """The trajectories of an expert set on storage; local files are memory-mapped."""

    def __init__(self, storage: Storage, expert_set: ExpertSet) -> None:
        self.storage, self.expert_set = storage, expert_set
        self._readers: dict[int, pa.ipc.RecordBatchFileReader] = {}

    def segment_arrays(self, expert: int, start_epoch: int, epochs: int) -> tuple[FlatArray, FlatArray]:
        """Flat float32 parameters at `start_epoch` and `epochs` later, as views of the file where that holds them."""
        return self._parameters(expert, start_epoch), self._parameters(expert, start_epoch + epochs)

    def segment(self, expert: int, start_epoch: int, epochs: int) -> tuple[Float[Tensor, " p"], Float[Tensor, " p"]]:
        """The same as tensors of their own."""
        start, end = self.segment_arrays(expert, start_epoch, epochs)
        return torch.tensor(start), torch.tensor(end)

    def _parameters(self, expert: int, epoch: int) -> FlatArray:
        values = self._reader(expert).get_batch(epoch).column("parameters").values.to_numpy()
        return values if self.expert_set.experts.dtype == "float32" else _of_bfloat16_bits(values)

    def _reader(self, expert: int) -> pa.ipc.RecordBatchFileReader:
        if expert not in self._readers:
            path = self.storage.expert_path(self.expert_set.content_id, expert)
            local = self.storage.local_path(path)
            try:
                source = pa.memory_map(str(local)) if local else pa.BufferReader(self.storage.read_bytes(path))
                reader = pa.ipc.open_file(source)
            except (pa.ArrowInvalid, FileNotFoundError) as error:
                raise DataError(
                    f"{path} is not a whole expert trajectory ({error}): delete it and run again."
                ) from error
            last_epoch = self.expert_set.experts.last_epoch
            if reader.num_record_batches != last_epoch + 1:
                raise DataError(
                    f"{path} has {reader.num_record_batches - 1} epochs, not {last_epoch}: delete it and run again."
                )
            self._readers[expert] = reader
        return self._readers[expert]
