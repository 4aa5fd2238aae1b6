"""A search in TensorBoard: a record for each of its trials, and for each run of the winner with fresh seeds."""

import pytest

from glad_ray import DM, FloatRange, Halving, Rung, Search, api
from tests.trackers import stores
from tests.trackers.tiny_sweep import DRAWN, NETWORKS, SWEEP

pytestmark = [pytest.mark.unit, pytest.mark.full]
STEPS = 6


def test_a_search_in_tensorboard(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    search = Search(
        name="tracked",
        base=DRAWN.replace(algorithm=DM(iterations=STEPS, real_batch_size=4), held_out=5),
        vary={"algorithm.learning_rates.pixels": FloatRange(low=0.1, high=10, log=True)},
        trials=3,
        rungs=(Rung(share=1 / 3, epochs=1), Rung(share=1, epochs=1)),
        stopping=Halving(keep=2),
        evaluation=SWEEP.evaluations[0],
        finalists=1,
        controls=0,
        seeds=2,
    )
    places = [f"tensorboard:{tmp_path}/boards"]
    found = api.search(search, tmp_path / "kept", in_process=True, device="cpu", trackers=places)
    held = stores.tensorboard(tmp_path / "boards")
    trials = {trial.run.run_id: trial for trial in found.trials}
    winners = {run.run_id for run in found.runs}
    assert held.keys() == trials.keys() | winners
    for run_id, each in held.items():
        steps = [step for step, _ in each.series["loss"]]
        assert steps == list(range(1, len(steps) + 1))
        assert each.outcome == "finished"
        if run_id in winners:
            assert len(steps) == STEPS
            assert all(len(each.series[f"accuracy/{network.key}"]) == 2 for network in NETWORKS)
        else:
            accuracies = [value for _, value in each.series["search/held_out_accuracy"]]
            assert accuracies == pytest.approx(trials[run_id].rung_accuracies)
            assert ("search/accuracy_in_full" in each.series) == (trials[run_id].full_accuracy is not None)
