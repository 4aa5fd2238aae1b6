"""The order in which runs start."""

import pytest

from glad_ray.errors import UserError
from glad_ray.plan import make_plan
from glad_ray.spec import DC, DM, RandomReal, Run, Sweep, grid
from glad_ray.spec.written.overrides import first

SWEEP = Sweep(
    name="s",
    runs=grid(
        Run(algorithm=RandomReal(), resolution=32),
        algorithm=[RandomReal(), DM(iterations=10), DC(iterations=10), DM(iterations=20)],
        seed=[0, 1],
    ),
)


def order(sweep):
    return [(run.algorithm.name, run.steps, run.seed) for run in make_plan(sweep).runs]


def test_long_runs_start_first():
    assert [name for name, _, _ in order(SWEEP)] == ["dc", "dc", "dm", "dm", "dm", "dm", "random", "random"]
    assert [steps for name, steps, _ in order(SWEEP) if name == "dm"] == [20, 20, 10, 10]


def test_those_wanted_first_start_first():
    wanted = first(SWEEP, ["algorithm.name=random", "seed=1"])
    assert order(wanted)[:2] == [("random", 0, 0), ("random", 0, 1)]
    assert [(name, seed) for name, _, seed in order(wanted)[2:]] == [
        ("dc", 1), ("dm", 1), ("dm", 1), ("dc", 0), ("dm", 0), ("dm", 0),
    ]  # fmt: skip


def test_the_command_comes_before_the_file():
    wanted = first(SWEEP.replace(first=("algorithm.name=random",)), ["algorithm.iterations=10"])
    assert [(name, steps) for name, steps, _ in order(wanted)[:6]] == [
        ("dc", 10), ("dc", 10), ("dm", 10), ("dm", 10), ("random", 0), ("random", 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [("algorithm.nam=dc", "Did you mean 'algorithm.name'?"), ("seed", "first takes key=value")],
)
def test_mistakes_are_one_sentence(condition, sentence):
    for mistaken in (lambda: first(SWEEP, [condition]), lambda: first(SWEEP.replace(first=(condition,)), [])):
        with pytest.raises(UserError) as caught:
            mistaken()
        assert sentence in str(caught.value)
        assert "\n" not in str(caught.value)
