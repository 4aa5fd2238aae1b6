"""Tensors are read out of files that may have anything in them: each is refused in one sentence, at no great cost."""

import json

import numpy as np
import pytest
from safetensors.numpy import save

from glad_ray.errors import DataError
from glad_ray.serve.pictures import picture_at
from glad_ray.serve.tensors import read_tensors
from tests.report import sample

HEADER = {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def file(header, data=b"\0" * 8, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def test_some_tensors_of_a_file(storage):
    tensors = {"a": np.arange(6.0).reshape(2, 3), "b": np.array([1, 2], np.uint8), "c": np.zeros(0)}
    storage.write_bytes("x", save(tensors, {"step": "3"}))
    part = read_tensors(storage, "x", ("a", "c", "missing"))
    assert part.metadata == {"step": "3"}
    assert set(part.tensors) == {"a", "c"}
    np.testing.assert_array_equal(part.tensors["a"], tensors["a"])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        file(HEADER, length=2**62),
        file(HEADER, length=1000),
        file(b"[" * 100_000),
        file(b"[1]"),
        file(b"{"),
        file({"x": 1}),
        file({"x": HEADER["x"] | {"dtype": "evil"}}),
        file({"x": HEADER["x"] | {"shape": [-2]}}),
        file({"x": HEADER["x"] | {"shape": [3]}}),
        file({"x": HEADER["x"] | {"shape": ["2"] * 2}}),
        file({"x": HEADER["x"] | {"data_offsets": [-8, 0]}}),
        file({"x": HEADER["x"] | {"data_offsets": [8, 16]}}),
        file({"x": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 2**62]}}),
        file(HEADER, data=b""),
    ],
)
def test_a_file_that_is_made_to_do_harm_is_refused(content, storage):
    storage.write_bytes("x", content)
    with pytest.raises(DataError, match=r"^x in .* is damaged"):
        read_tensors(storage, "x", ("x",))


@pytest.mark.parametrize(
    ("shape", "labels", "normalisation"),
    [
        ((2, 4, 8, 8), 2, {"mean": [0.0], "std": [1.0]}),
        ((2, 3, 8, 8), 1, {"mean": [0.0], "std": [1.0]}),
        ((2, 3, 8), 2, {"mean": [0.0], "std": [1.0]}),
        ((0, 3, 8, 8), 0, {"mean": [0.0], "std": [1.0]}),
        ((2, 3, 8, 8), 2, {"mean": "x", "std": [1.0]}),
        ((2, 3, 8, 8), 2, [1]),
    ],
)
def test_images_that_cannot_be_drawn(shape, labels, normalisation, storage):
    run = sample.small_sweep().runs[1]
    content = save(
        {"images": np.zeros(shape, np.float32), "labels": np.arange(labels)},
        {"normalisation": json.dumps(normalisation)},
    )
    storage.write_bytes(storage.set_path(run.run_id, 1), content)
    with pytest.raises(DataError, match="has no images that can be drawn"):
        picture_at(storage, run, 1)


def test_images_that_are_not_numbers_are_drawn(storage):
    run = sample.small_sweep().runs[1]
    images = np.full((2, 1, 8, 8), np.nan, np.float32)
    metadata = {"normalisation": json.dumps({"mean": [0.0], "std": [1.0]})}
    storage.write_bytes(storage.set_path(run.run_id, 1), save({"images": images, "labels": np.arange(2)}, metadata))
    assert picture_at(storage, run, 1).startswith(b"\x89PNG")
