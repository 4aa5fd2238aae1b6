"""Budgets that a test spends."""

import pytest

from glad_ray.engine.budget import Budget


@pytest.fixture
def spend(monkeypatch):
    """Spends every budget when it is called, and gives a new one when called with False."""
    state = {"spent": False}
    monkeypatch.setattr(Budget, "spent", property(lambda budget: "the hours of this test" if state["spent"] else None))
    return lambda spent=True: state.update(spent=spent)
