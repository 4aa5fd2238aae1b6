"""The bookkeeping of benchmarks/scale.py and its parts, and the whole of it at a size that measures nothing."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from glad_ray.plan import make_plan
from glad_ray.plan.total import total
from glad_ray.results import read_results
from glad_ray.spec import DM, MTT, Evaluation, Experts, Network, Run, Sweep
from glad_ray.storage import Storage

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.cluster
@pytest.mark.full
def test_a_quick_one():
    command = [sys.executable, str(BENCHMARKS / "scale.py"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "200 runs, 4 nodes" in done.stdout
    assert re.search(r"│ 200 +│ +\d+\.\d +│ +\d+\.\d +│", done.stdout)
    words = r"(\d+) processes of trials on (\d+) of 4 nodes, \d+ on the head, at most (\d+) on one"
    processes, nodes, most = map(int, re.search(words, " ".join(done.stdout.split())).groups())
    assert (processes, nodes, most) == (4, 4, 1), "each has the share of a node"


def test_runs_that_differ():
    import scale

    sweep = scale.many(500)
    assert len({run.run_id for run in sweep.runs}) == 500
    assert {run.algorithm.name for run in sweep.runs} == {"dc", "dm", "mtt"}


def test_what_is_missing_or_made_twice():
    import scale

    sweep = scale.many(3)
    once = Counter(run.run_id for run in sweep.runs)
    one = Counter([sweep.runs[0].run_id])
    assert not scale.Seen(distilled=once, finished=once).faults(sweep)
    assert "2 results of 2 runs" in " ".join(scale.Seen(distilled=once, finished=once - one).faults(sweep))
    assert "4 results of 3 runs" in " ".join(scale.Seen(distilled=once, finished=once + one).faults(sweep))
    assert "4 distillations of 3 runs" in " ".join(scale.Seen(distilled=once + one, finished=once).faults(sweep))


def test_a_storage_of_finished_runs(tmp_path):
    import scale
    import scale_storage

    sweep, storage = scale.many(4), Storage.open(tmp_path)
    scale_storage.fill(make_plan(sweep), storage)
    assert {row["run_id"] for row in read_results(storage).to_pylist()} == {run.run_id for run in sweep.runs}
    asked = {cost.what: cost.asked for cost in scale_storage.costs(sweep, storage)}
    assert asked["sweep: keeps the plan"] == {"write_bytes": 1}
    assert not asked["sweep: its progress"]
    assert storage.exists(Storage.REPORT)


def test_units_of_work_on_a_clock(monkeypatch):
    import scale_cost

    experts = Experts(count=3, epochs=3)
    runs = [Run(algorithm=algorithm, seed=seed) for seed in range(2) for algorithm in (DM(), MTT(experts=experts))]
    sweep = Sweep(name="few", runs=runs, evaluations=Evaluation(networks=(Network(), Network(name="vit"))))
    plan = make_plan(sweep)
    monkeypatch.setattr(scale_cost, "SHARE", 1.0)
    hours = total(plan.runs, sweep).flops / 1e12 / 3600
    alone = scale_cost.clock(plan, 1, 1.0)
    assert (alone.end, alone.computing) == pytest.approx((hours, 1.0))
    several = scale_cost.clock(plan, 64, 1.0)
    longest = max(scale_cost.Flops.of(run, sweep).distillation for run in plan.runs) / 1e12 / 3600
    assert longest < several.end < alone.end
    assert several.experts == pytest.approx(alone.experts / 3), "the three of them at once"
    assert several.computing * several.end * 64 == pytest.approx(hours)


def test_the_large_grid_has_no_run_twice():
    import scale_cost

    runs = scale_cost.large().runs
    assert len(runs) == 10 * 3 * (1 + 13 * 5) * 5
    assert sum(run.generator is None for run in runs) == 10 * 3 * 5
