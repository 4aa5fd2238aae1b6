"""Every machine has replicas and stores of its own, those that come later too."""

import sys

import pytest

from tests.telling import told_by

pytestmark = [pytest.mark.cluster, pytest.mark.full]


@pytest.fixture(scope="module")
def seen():
    """See `tests.engine.machines`."""
    (told,) = told_by([sys.executable, "-m", "tests.engine.machines"])
    return told


def test_work_finds_the_actors_of_its_machine_also_of_one_that_came_later(seen):
    assert len({node for node, _, _ in seen["asked"]}) == 2
    for node, replica, store in seen["asked"]:
        assert replica.split()[-1] == store.split()[-1] == node


def test_a_machine_that_went_leaves_none_behind(seen):
    assert [name.split()[-1] for name in seen["left"]] == [seen["head"]]


def test_replicas_on_gpus_serve_machines_without(seen):
    (here, elsewhere, own_store), (node, replica, _) = seen["with a GPU"]
    assert here != node
    assert elsewhere == replica
    assert elsewhere.split()[-1] == node
    assert own_store.split()[-1] == here


def test_work_does_not_wait_for_ever(seen):
    assert seen["nothing"] == "no replica of its generator answered for 1 seconds"
