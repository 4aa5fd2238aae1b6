"""Files of experts: what is read of them and how much, and what is told of one that cannot be used."""

import json
import math
import random
import warnings

import fsspec
import numpy as np
import pyarrow as pa
import pytest
import torch
from fsspec.implementations.memory import MemoryFile

from glad_ray.errors import DataError
from glad_ray.experts import ExpertFiles, parameter_shapes, write_trajectory
from glad_ray.networks import build_network
from glad_ray.spec import Experts, ExpertSet, Network
from glad_ray.storage import Storage
from tests.object_store import ObjectStore, object_store

EPOCHS = 4


def expert_set(**fields):
    given = {"dataset": "fashion-mnist-sample", "resolution": 28, "held_out": 0, "network": Network(width=4)}
    return ExpertSet(**given | {"experts": Experts(count=1, epochs=EPOCHS)} | fields)


def size(which):
    return sum(math.prod(shape) for _, shape in shapes(which))


def shapes(which):
    built = build_network(which.network, channels=1, resolution=which.resolution, classes=10, rng=None)
    return parameter_shapes(built)


def snapshots(which):
    return np.random.default_rng(0).standard_normal((which.experts.last_epoch + 1, size(which)), dtype=np.float32)


def written(storage, which=None, **fields):
    """The files of a set, its one expert written, and where."""
    which = which or expert_set(**fields)
    write_trajectory(storage, which, 0, shapes(which), [(row, 0.5) for row in snapshots(which)])
    return ExpertFiles(storage, which), storage.expert_path(which.content_id, 0)


@pytest.fixture(params=["folder", "object-store"])
def anywhere(request, tmp_path):
    return Storage.open(tmp_path / "storage" if request.param == "folder" else object_store())


def refused(files, said):
    """What is told of a file, which must be one sentence that names it and its remedy."""
    for _ in range(2):  # nor is it taken the second time
        with pytest.raises(DataError) as caught:
            files.segment(0, 1, 2)
        text = str(caught.value)
        assert said in text
        assert "\n" not in text
        assert len(text) < 700
        assert files.storage.expert_path(files.expert_set.content_id, 0) in text
        assert text.endswith(("run again.", "run again, which makes it."))


def test_segments_are_what_was_written(anywhere):
    files, _ = written(anywhere)
    rows = snapshots(files.expert_set)
    for _ in range(2):
        start, end = files.segment(0, 1, 2)
        assert torch.equal(start, torch.tensor(rows[1]))
        assert torch.equal(end, torch.tensor(rows[3]))


def test_a_mapped_segment_is_no_copy_and_warns_of_nothing(storage):
    files, _ = written(storage)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        arrays, tensors = files.segment_arrays(0, 1, 2), files.segment(0, 1, 2)
    assert [each.data_ptr() for each in tensors] == [each.ctypes.data for each in arrays]
    assert files.segment(0, 1, 2)[0].data_ptr() == tensors[0].data_ptr()
    # It outlives what it was read by.
    expected = torch.tensor(snapshots(files.expert_set)[1])
    del files, arrays
    assert torch.equal(tensors[0], expected)


class CountedFile(MemoryFile):
    def read(self, length=-1):
        data = super().read(length)
        CountedStore.read_bytes += len(data)
        return data


class CountedStore(ObjectStore):
    """Counts what is read."""

    protocol = "counted"
    read_bytes = 0

    def _open(self, path, mode="rb", **options):
        file = super()._open(path, mode, **options)
        return CountedFile(self, path, file.getvalue()) if mode == "rb" else file


def test_of_a_file_elsewhere_the_footer_and_two_snapshots_are_read():
    fsspec.register_implementation("counted", CountedStore, clobber=True)
    which = expert_set(network=Network(width=16), experts=Experts(count=1, epochs=50))
    files, path = written(Storage.open(object_store("counted")), which)
    whole, snapshot = len(files.storage.read_bytes(path)), 4 * size(which)
    CountedStore.read_bytes = 0
    files.segment(0, 7, 2)
    overhead = CountedStore.read_bytes - 2 * snapshot
    assert 0 < overhead < 0.2 * whole - 2 * snapshot
    files.segment(0, 9, 2)
    assert CountedStore.read_bytes - overhead < 4.1 * snapshot


def test_a_file_that_is_missing(anywhere):
    files, path = written(anywhere)
    anywhere.delete(path)
    refused(files, "is missing")


DAMAGES = {
    "empty": lambda data: b"",
    "cut short": lambda data: data[: len(data) // 2],
    "without its end": lambda data: data[:-7],
    "no Arrow file": lambda data: b"no trajectory" * 1000,
    "a stream": lambda data: b"ARROW1\0\0" + data[200:],
    "zeros in a snapshot": lambda data: _overwritten(data, 0.3, bytes(64)),
    "zeros all through": lambda data: _overwritten(data, 0.1, bytes(int(0.8 * len(data)))),
}


def _overwritten(data, where, what):
    start = int(where * len(data))
    return data[:start] + what + data[start + len(what) :]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file(damage, anywhere):
    files, path = written(anywhere)
    anywhere.write_bytes(path, DAMAGES[damage](anywhere.read_bytes(path)))
    refused(files, "cannot be read as a whole expert trajectory (")


def test_whatever_byte_is_changed_no_other_numbers_are_read(storage):
    files, path = written(storage)
    data, rows = storage.read_bytes(path), snapshots(files.expert_set)
    draws, told = random.Random(0), 0
    for _ in range(300):
        place = draws.randrange(len(data))
        storage.write_bytes(path, _overwritten(data, place / len(data), bytes([draws.randrange(256)])))
        try:
            start, end = ExpertFiles(storage, files.expert_set).segment(0, 1, 2)
        except DataError:
            told += 1
        else:
            assert torch.equal(start, torch.tensor(rows[1]))
            assert torch.equal(end, torch.tensor(rows[3]))
    assert told > 50


OTHERS = {
    "network": (
        {"network": Network(name="vgg11", width=8)},
        "holds experts of VGG11 (width 8) on fashion-mnist-sample at 28 pixels, and experts of ConvNet (width 4) on "
        "fashion-mnist-sample at 28 pixels are asked for: delete it and run again.",
    ),
    "dataset": ({"dataset": "mnist"}, "holds experts of ConvNet (width 4) on mnist at 28 pixels, and"),
    "resolution": ({"resolution": 32}, "on fashion-mnist-sample at 32 pixels, and experts of"),
    "norm": ({"network": Network(width=4, norm="none")}, "(norm none), and experts of"),
    "line breaks": ({"dataset": "mnist\n" * 1000}, "on mnist?mnist?mnist?"),
    "settings": (
        {"held_out": 5, "experts": Experts(count=1, epochs=EPOCHS, lr=0.5)},
        "(held_out 5, lr 0.5), and experts of ConvNet (width 4) on fashion-mnist-sample at 28 pixels (held_out 0, lr "
        "0.01) are asked for",
    ),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_file_of_other_experts(other, storage):
    fields, said = OTHERS[other]
    asked = ExpertFiles(storage, expert_set())
    _, path = written(storage, **fields)
    data = storage.read_bytes(path)
    storage.write_bytes(storage.expert_path(asked.expert_set.content_id, 0), data)
    refused(asked, said)


def rewritten(storage, path, metadata=lambda it: it, batches=lambda them: them):
    """Write a file anew with other metadata, or other record batches."""
    reader = pa.ipc.open_file(pa.py_buffer(storage.read_bytes(path)))
    kept = batches([reader.get_batch(number) for number in range(reader.num_record_batches)])
    schema = kept[0].schema.with_metadata(metadata(dict(reader.schema.metadata)))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        for batch in kept:
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))
    storage.write_bytes(path, sink.getvalue())


def test_fewer_epochs_than_it_says(storage):
    files, path = written(storage)
    rewritten(storage, path, batches=lambda them: them[:3])
    refused(files, "has 2 epochs, not 4")


def test_epochs_in_another_order(storage):
    files, path = written(storage)
    rewritten(storage, path, batches=lambda them: them[::-1])
    refused(files, "no snapshot after 1 epochs in its place")


def test_vectors_of_another_length(storage):
    which = expert_set()
    write_trajectory(storage, which, 0, [("weight", (3,))], [(np.zeros(3, np.float32), 0.5)] * (EPOCHS + 1))
    refused(
        ExpertFiles(storage, which),
        "has snapshots of 3 parameters, and ConvNet (width 4) on fashion-mnist-sample at 28 pixels has "
        f"{size(which):,}",
    )


@pytest.mark.parametrize("column", ["epoch", "parameters"])
def test_a_file_without_a_column(column, storage):
    files, path = written(storage)
    rewritten(storage, path, batches=lambda them: [each.drop_columns(column) for each in them])
    refused(files, "has other columns than epoch, loss, parameters, crc32")


def test_vectors_of_other_numbers(storage):
    files, path = written(storage)
    rewritten(storage, path, batches=lambda them: [_as_doubles(each) for each in them])
    refused(files, "has no snapshots of parameters in float32")


def _as_doubles(batch):
    values = batch.column("parameters").values.cast(pa.float64())
    return batch.set_column(2, "parameters", pa.FixedSizeListArray.from_arrays(values, len(values)))


@pytest.mark.parametrize(
    "metadata",
    [
        lambda it: {},
        lambda it: it | {b"expert_set": b"\xff{"},
        lambda it: it | {b"expert_set": it[b"expert_set"].replace(b'"held_out"', b'"held_in"')},
    ],
)
def test_a_file_that_does_not_say_what_it_holds(metadata, storage):
    files, path = written(storage)
    rewritten(storage, path, metadata)
    refused(files, "does not say which experts it holds, or not in words of this version")


def test_a_file_of_before_some_field_or_the_checksum_means_the_same(storage):
    files, path = written(storage)

    def older(metadata):
        said = json.loads(metadata[b"expert_set"])
        for field in ("momentum", "norm"):
            del said["experts"][field]
        said["network"] = {"width": 4}
        return metadata | {b"expert_set": json.dumps(said, indent=1).encode(), b"source": b"replay_buffer_0.pt"}

    rewritten(storage, path, older, lambda them: [each.drop_columns("crc32") for each in them])
    assert torch.equal(files.segment(0, 1, 2)[1], torch.tensor(snapshots(files.expert_set)[3]))
