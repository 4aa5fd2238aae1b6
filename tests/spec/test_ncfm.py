"""What NCFM's record refuses."""

import pytest

from glad_ray.errors import UserError
from glad_ray.spec import NCFM, Experts


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"frequencies": 31}, "needs 32 or more: set frequencies to that, or sampling='gaussian'"),
        ({"amplitude_weight": 0, "phase_weight": 0}, "compares nothing"),
        ({"experts": Experts(epochs=4, keep_until=2)}, "leave keep_until out"),
        ({"sampling": "psi"}, "Known: network, untrained, gaussian"),
        ({"optimiser": "adam"}, "sgd"),
    ],
)
def test_what_cannot_be(fields, said):
    with pytest.raises(UserError, match=said):
        NCFM(**fields)


def test_few_frequencies_need_no_network():
    assert NCFM(frequencies=8, sampling="gaussian").frequencies == 8
