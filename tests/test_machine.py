"""What the process of a unit of work is set to while it computes."""

import pytest
import torch

from glad_ray.machine import fp32_precision, fp32_precision_on
from glad_ray.process_state import restored

pytestmark = pytest.mark.unit


def _set_to():
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    precise = torch.get_float32_matmul_precision()
    return precise, matmul.allow_tf32, cudnn.allow_tf32, matmul.fp32_precision, cudnn.conv.fp32_precision


@pytest.mark.parametrize("found", ["none", "tf32", "ieee"])
@pytest.mark.parametrize(("precision", "expected"), [("float32", "ieee"), ("tf32", "tf32")])
def test_the_precision_is_what_is_said_whatever_the_process_is_set_to(found, precision, expected):
    fast = expected == "tf32"
    with restored():
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = found == "tf32"
        for each in (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn):
            each.fp32_precision = found
        before = _set_to()
        with fp32_precision(precision, torch.device("cuda")):
            assert _set_to() == ("high" if fast else "highest", fast, fast, expected, expected)
        assert _set_to() == before
        with fp32_precision(precision, torch.device("cpu")):
            assert _set_to() == before


def test_tf32_is_of_recent_gpus_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert (
        fp32_precision_on(torch.device("cuda"), "tf32") == fp32_precision_on(torch.device("cpu"), "tf32") == "float32"
    )
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert fp32_precision_on(torch.device("cuda"), "tf32") == "tf32"
    assert fp32_precision_on(torch.device("cuda"), "float32") == "float32"
