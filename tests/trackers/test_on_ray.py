"""A sweep on Ray whose trials report every two seconds: a tracker has every step all the same."""

import pytest

from glad_ray import api
from glad_ray.spec import Sweep
from tests.trackers import stores
from tests.trackers.tiny_sweep import DRAWN, NETWORKS, SWEEP

pytestmark = [pytest.mark.cluster, pytest.mark.full]


def test_a_sweep_on_ray_in_tensorboard(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    run = DRAWN.replace(algorithm=DRAWN.algorithm.replace(iterations=300))
    sweep = Sweep(name="tracked", runs=(run, run.replace(seed=1)), evaluations=SWEEP.evaluations)
    api.run(sweep, tmp_path / "kept", address="local", trackers=[f"tensorboard:{tmp_path}/boards"])
    held = stores.tensorboard(tmp_path / "boards")
    losses = api.load(tmp_path / "kept").losses(run)
    assert set(held) == {each.run_id for each in sweep.runs}
    for each in sweep.runs:
        assert [step for step, _ in held[each.run_id].series["loss"]] == list(range(1, 301))
        assert held[each.run_id].images == 1
        assert held[each.run_id].outcome == "finished"
        for network in NETWORKS:
            assert len(held[each.run_id].series[f"accuracy/{network.key}"]) == 2
    assert [value for _, value in held[run.run_id].series["loss"]] == pytest.approx(losses["loss"].tolist(), rel=1e-6)
