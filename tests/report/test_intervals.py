"""Intervals over seeds against the tables of Student's t and against scipy."""

import math

import pytest
from scipy import stats

from glad_ray.report.tables.accuracy import sections
from glad_ray.report.tables.intervals import difference, interval
from tests.report.rows import row


@pytest.mark.parametrize(("values", "t"), [(2, 12.7062), (3, 4.30265), (5, 2.77645), (10, 2.26216)])
def test_half_the_width_is_t_times_the_standard_error(values, t):
    numbers = [0.5 + 0.01 * (-1) ** n * n for n in range(values)]
    mean = sum(numbers) / values
    error = math.sqrt(sum((number - mean) ** 2 for number in numbers) / (values - 1) / values)
    found = interval(numbers)
    assert (found.mean, found.values) == (pytest.approx(mean), values)
    assert found.half == pytest.approx(t * error, rel=1e-5)
    assert (found.low, found.high) == (pytest.approx(mean - found.half), pytest.approx(mean + found.half))


def test_one_value_has_none():
    found = interval([0.4])
    assert (found.mean, found.half, found.low, found.high) == (0.4, None, None, None)
    assert difference([0.4], [0.5, 0.6]).half is None


def test_of_values_that_are_not_paired_it_is_welchs():
    a, b = [0.50, 0.54, 0.49, 0.55], [0.60, 0.58, 0.66]
    found = difference(a, b)
    expected = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert difference([0.5, 0.5], [0.6, 0.6]).half == 0.0


def test_a_row_has_the_interval_of_its_seeds_means_and_the_deviation_of_its_trainings():
    """Seeds 0, 1 with means 0.5 and 0.6 on the one network, 0.3 and 0.5 on the other: 0.4 and 0.55 on both."""
    accuracies = {
        ("vit", 0): (0.49, 0.51), ("vit", 1): (0.58, 0.62), ("vgg11", 0): (0.30, 0.30), ("vgg11", 1): (0.5, 0.5),
    }  # fmt: skip
    rows = [
        row(network, accuracy, run_id=f"r{seed}", seed=seed, repeat=repeat)
        for (network, seed), of_seed in accuracies.items()
        for repeat, accuracy in enumerate(of_seed)
    ]
    (section,) = sections(rows, {"r0": "", "r1": ""})
    (line,) = section.rows
    assert line.scores["vit"].std == pytest.approx(math.sqrt((0.06**2 + 0.04**2 + 0.03**2 + 0.07**2) / 4))
    vit, unseen = line.interval("vit"), line.interval(None)
    assert (vit.mean, vit.half) == (pytest.approx(0.55), pytest.approx(12.7062 * 0.05, rel=1e-5))
    assert (unseen.mean, unseen.half) == (pytest.approx(0.475), pytest.approx(12.7062 * 0.075, rel=1e-5))
    (single,) = sections([each for each in rows if each["seed"] == 0], {"r0": ""})[0].rows
    assert single.interval("vit") is None
    assert single.interval(None) is None
