"""Values of NumPy, PyTorch and the standard library in records are Python's, and give the same ids."""

import enum
import itertools
import json
from pathlib import PurePosixPath

import numpy as np
import pytest
import torch

from glad_ray import DM, Choice, Evaluation, FloatRange, Network, Resources, Run, grid
from glad_ray.errors import UserError

RUN = Run(algorithm=DM(iterations=3), seed=1)


class Name(enum.StrEnum):
    VIT = "vit"


class Number(enum.IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    "one",
    [np.int64(1), np.uint8(1), np.float64(1), np.array(1), np.arange(2)[1], torch.tensor(1), Number.ONE],
    ids=lambda one: type(one).__name__,
)
def test_a_number_gives_the_run_of_pythons_number(one):
    run = RUN.replace(seed=one)
    assert run.run_id == RUN.run_id
    assert type(run.seed) is int
    assert Run.model_validate_json(run.model_dump_json()) == RUN


@pytest.mark.parametrize("half", [np.float16(0.5), np.float32(0.5), np.float64(0.5), torch.tensor(0.5)])
def test_a_real_number_is_pythons_number(half):
    resources = Resources(hours=half)
    assert resources.content_id == Resources(hours=0.5).content_id
    assert type(resources.hours) is float


def test_a_number_keeps_its_exact_value():
    assert FloatRange(low=np.float32(0.1), high=1).low == 0.10000000149011612


def test_values_of_a_choice_are_written_as_json():
    given = [np.arange(1, 3), (np.float32(0.5), np.bool_(True), Name.VIT, np.str_("a"), PurePosixPath("x/y"))]
    for values, written in zip(given, [[1, 2], [0.5, True, "vit", "a", "x/y"]], strict=True):
        assert json.loads(Choice(values=values).model_dump_json())["values"] == written


@pytest.mark.parametrize(
    "networks",
    [np.array(["convnet", "vit"]), ("convnet", Name.VIT), iter(["convnet", "vit"]), {"convnet": 1, "vit": 2}.keys()],
    ids=["array", "enumeration", "iterator", "keys"],
)
def test_what_has_an_order_is_a_tuple(networks):
    assert Evaluation(networks=networks).content_id == Evaluation(networks=["convnet", "vit"]).content_id


def test_a_grid_of_arrays_and_ranges():
    runs = grid(RUN, seed=np.arange(2), images_per_class=range(1, 3))
    assert [run.run_id for run in runs] == [run.run_id for run in grid(RUN, seed=[0, 1], images_per_class=[1, 2])]


def test_options_of_a_network_of_ones_own():
    plain = Network(name="mine:net", options={"width": 3})
    assert Network(name="mine:net", options={np.str_("width"): np.int32(3)}) == plain


def test_a_path_is_text():
    assert RUN.replace(dataset=PurePosixPath("mnist")) == RUN.replace(dataset="mnist")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Evaluation(networks={"convnet", "vit"}), "is a set, which has no order"),
        (lambda: Choice(values=itertools.count()), "An iterator gives more than"),
        (lambda: RUN.replace(seed=np.float32(1.5)), "Run.seed is 1.5"),
        (lambda: RUN.replace(seed=np.nan), "Run.seed is nan"),
        (lambda: RUN.replace(seed=np.arange(3)), "Run.seed is"),
        (lambda: RUN.replace(seed=np.longdouble(1.5)), "Run.seed is"),
        (lambda: RUN.replace(seed=np.complex64(1)), "Run.seed is"),
        (lambda: FloatRange(low=np.float32(np.inf), high=1), "finite"),
    ],
)
def test_what_is_no_plain_value_is_refused(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()
