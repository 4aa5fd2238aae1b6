"""A process serves many units of work, and what one of them leaves behind reaches no other."""

import os

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


def plan(name, kind, folder):
    """A run with a network of a user's own, and one of ours after it."""
    own = Network(name=f"tests.engine.intruder:{kind}", options={"folder": str(folder)})
    evaluation = tiny.EVALUATION.replace(networks=(own, tiny.BACKBONE), repeats=1, epochs=2)
    return make_plan(Sweep(name="reused", runs=(tiny.RUNS[name],), evaluations=evaluation, resources=RESOURCES))


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
    folder = tmp_path / "processes"
    folder.mkdir()
    alone, ours = (Storage.open(tmp_path / name) for name in ("alone", "ours"))
    in_process(plan("dm", "Quiet", folder), alone)
    before = state()
    # Which of its idle processes a unit of work gets is Ray's choice.
    for attempt in range(6):
        (folder / "Quiet").unlink()
        beside = Storage.open(tmp_path / f"beside {attempt}")
        upset = run(plan("random", "Intruder", folder), beside)
        after = run(plan("dm", "Quiet", folder), beside)
        assert state() == before
        assert [event.failure.traceback for event in upset.of(RunFailed)] == []
        assert not after.of(RunFailed)
        processes = {name: set((folder / name).read_text().split()) for name in ("Intruder", "Quiet")}
        if processes["Quiet"] <= processes["Intruder"]:
            break
    else:
        pytest.fail("nothing was shared, so nothing was tested")
    assert tiny.rows(beside, "dm") == tiny.rows(alone, "dm")
    tiny.assert_same(beside, alone, "dm")
    in_process(plan("random", "Quiet", folder), ours)
    name = tiny.BACKBONE.key
    scores = [
        [row["accuracy"] for row in tiny.rows(each, "random") if row["network"] == name] for each in (beside, ours)
    ]
    assert scores[0] == scores[1] != []


def state():
    """Some of what the network changes, here."""
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        os.getcwd(),
        os.environ.get("TZ"),
    )
