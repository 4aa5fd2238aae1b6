"""What a budget says of networks."""

import pytest

from glad_ray.report.budget import budgets
from tests.report.rows import row


@pytest.mark.parametrize(
    ("network", "narrower"),
    [
        ("convnet", False),
        ("convnet-w32", True),
        ("convnet-w32-d2", True),
        ("convnet-d2", False),
        ("torchvision.models.resnet50-width_per_group=128", False),
    ],
)
def test_narrower_networks_are_those_of_a_width_of_their_own(network, narrower):
    (budget,) = budgets([row(network, 0.5, repeat=repeat) for repeat in range(5)], {})
    assert budget.smaller == (("narrower networks",) if narrower else ())
