"""What a unit of work changes in its process is as it was before, by whichever interface of PyTorch it was changed."""

import pytest
import torch
from torch import backends

from glad_ray.process_state import restored

PRECISIONS = (
    backends,
    backends.cudnn,
    backends.cudnn.conv,
    backends.cudnn.rnn,
    backends.cuda.matmul,
    backends.mkldnn,
    backends.mkldnn.conv,
    backends.mkldnn.matmul,
)


def precisions():
    return [each.fp32_precision for each in PRECISIONS]


def of_one_operation():
    backends.cudnn.conv.fp32_precision = "ieee"
    backends.cuda.matmul.fp32_precision = "tf32"


def by_the_older_interface():
    torch.set_float32_matmul_precision("medium")
    backends.cudnn.allow_tf32 = False


def of_everything():
    backends.fp32_precision = "tf32"


@pytest.mark.parametrize("change", [of_one_operation, by_the_older_interface, of_everything])
def test_precision_of_products(change):
    before = precisions()
    with restored():
        change()
        assert precisions() != before
    assert precisions() == before
