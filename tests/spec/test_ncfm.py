"""What NCFM's record refuses, and what a search may vary in it."""

import pytest

from glad_ray.errors import UserError
from glad_ray.spec import NCFM, SGD, AdamW, Choice, Experts, FloatRange, IntRange, Run, Search
from glad_ray.spec.search_space import grid_points, representatives


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"frequencies": 31}, "needs 32 or more: set frequencies to that, or to less than 16"),
        ({"amplitude_weight": 0, "phase_weight": 0}, "compares nothing"),
        ({"experts": Experts(epochs=4, keep_until=2)}, "leave keep_until out"),
        ({"experts": Experts(norm="batchnorm")}, "leave their norm out, or set the backbone's"),
        ({"sampling": "psi"}, "Known: network, untrained, gaussian"),
        ({"optimiser": "adam"}, "sgd"),
    ],
)
def test_what_cannot_be(fields, said):
    with pytest.raises(UserError, match=said):
        NCFM(**fields)


def test_few_frequencies_need_no_network():
    assert NCFM(frequencies=8).frequencies == 8
    assert NCFM(frequencies=20, sampling="gaussian").frequencies == 20


def test_a_search_varies_its_options_and_its_optimiser():
    base = Run(algorithm=NCFM(iterations=10), held_out=10)
    vary = {
        "algorithm.optimiser": Choice(values=(SGD(), AdamW())),
        "algorithm.sampling": Choice(values=("network", "gaussian")),
        "algorithm.amplitude_weight": FloatRange(low=0.1, high=0.9),
        "algorithm.frequencies": IntRange(low=64, high=256),
    }
    runs = representatives(Search(name="s", base=base, vary=vary))
    assert {run.algorithm.frequencies for run in runs} == {64, 256}
    made = grid_points(Search(name="s", base=base, vary=vary), 2)
    assert len({tuple(point.values()) for point in made}) == 16
