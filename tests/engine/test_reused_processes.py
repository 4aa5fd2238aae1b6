"""A process serves many units of work, and what one of them leaves behind reaches no other."""

import os
import re

import pytest
import torch

from glad_ray.engine.in_process import run_in_process
from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.plan import make_plan
from glad_ray.progress.events import RunFailed
from glad_ray.spec import Network, Resources, Share, Sweep
from glad_ray.storage import Storage
from tests.engine import tiny
from tests.recorded import Recorded

# One thread each, and no two of them at once on the two CPUs of the session.
RESOURCES = Resources(trial=Share(cpus=1.5), evaluation=Share(cpus=1.5))


def plan(folder, *kinds):
    """Two runs, each with networks of a user's own and one of ours after them."""
    own = [Network(name=f"tests.engine.intruder:{kind}", options={"folder": str(folder)}) for kind in kinds]
    evaluation = tiny.EVALUATION.replace(networks=(*own, tiny.BACKBONE), repeats=1, epochs=2)
    runs = (tiny.RUNS["random"], tiny.RUNS["dm"])
    return make_plan(Sweep(name="reused", runs=runs, evaluations=evaluation, resources=RESOURCES))


def in_process(plan, storage):
    view = Recorded()
    run_in_process(plan, storage, device="cpu", view=view)
    return view


def on_ray(plan, storage):
    view = Recorded()
    run_on_ray(plan, storage, address=None, view=view)
    return view


@pytest.mark.parametrize("run", [in_process, pytest.param(on_ray, marks=pytest.mark.full)])
def test_what_a_network_leaves_behind_reaches_no_other_unit_of_work(run, ray_session, tmp_path):
    alone, folder = Storage.open(tmp_path / "alone"), tmp_path / "processes"
    folder.mkdir()
    in_process(plan(folder, "Quiet"), alone)
    before = state()
    # Which of its idle processes a unit of work gets is Ray's choice.
    for attempt in range(4):
        for file in folder.iterdir():
            file.unlink()
        beside = Storage.open(tmp_path / f"beside {attempt}")
        view = run(plan(folder, "Intruder", "Quiet"), beside)
        assert state() == before
        assert not "\n".join(event.failure.traceback for event in view.of(RunFailed))
        if any(re.search("Intruder.*Quiet", file.read_text(), re.DOTALL) for file in folder.iterdir()):
            break
    else:
        pytest.fail("nothing was shared, so nothing was tested")
    for name in ("random", "dm"):
        assert scores(beside, name) == scores(alone, name) != []
        tiny.assert_same(beside, alone, name)


def scores(storage, name):
    """Of all networks but the intruder."""
    of = ("network", "step", "repeat", "accuracy", "held_out_accuracy")
    return [[row[each] for each in of] for row in tiny.rows(storage, name) if "Intruder" not in row["network"]]


def state():
    """Some of what the network changes, here."""
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        os.getcwd(),
        os.environ.get("TZ"),
    )
