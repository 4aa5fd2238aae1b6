"""Other people's modules."""

import os

import pytest
import torch

from glad_ray.importing import import_callable

pytestmark = pytest.mark.unit
MODULE = """
import os
import torch
torch.set_default_dtype(torch.float64)
os.environ["SET_BY_A_MODULE"] = "1"

def network():
    return torch.nn.Linear(1, 1)
"""


def test_what_a_module_sets_as_it_is_imported_is_as_it_was_afterwards(tmp_path, monkeypatch):
    """It is imported once: what computes before would otherwise differ from what computes after."""
    (tmp_path / "module_that_sets.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    make = import_callable("module_that_sets:network", "Network", "a classifier")
    assert make().weight.dtype == torch.float32
    assert "SET_BY_A_MODULE" not in os.environ
