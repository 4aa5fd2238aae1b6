"""The order of methods between regimes, and a small sweep under three of them from runs to report."""

import csv
import io

import numpy as np
import pytest
from scipy.stats import kendalltau

from glad_ray.engine.in_process import run_in_process
from glad_ray.plan import make_plan
from glad_ray.plan.baselines import baselines
from glad_ray.report.fields import report_fields
from glad_ray.report.page import write_report
from glad_ray.report.tables.accuracy import sections
from glad_ray.report.tables.orders import kendall_tau, orders
from glad_ray.results import read_results
from glad_ray.spec import (
    DM,
    EL2N,
    RDED,
    Evaluation,
    Experts,
    KCenter,
    Mixing,
    Network,
    RandomReal,
    Run,
    Sweep,
    Views,
)
from glad_ray.storage import Storage
from tests.recorded import Recorded
from tests.report.parsed import Page
from tests.report.rows import row


@pytest.mark.parametrize("seed", range(6))
def test_tau_is_scipys(seed):
    rng = np.random.default_rng(seed)
    # Of few values, so that there are ties.
    first, second = rng.integers(0, 5 + 40 * (seed % 2), (2, 12))
    assert kendall_tau(first.tolist(), second.tolist()) == pytest.approx(kendalltau(first, second).statistic)


def test_tau_by_hand():
    assert kendall_tau([1, 2, 3, 4], [10, 20, 40, 30]) == pytest.approx(4 / 6)
    assert kendall_tau([1, 2, 3], [3, 2, 1]) == -1
    assert kendall_tau([1, 2], [5, 5]) is None
    assert kendall_tau([1], [1]) is None


def scored(evaluation_id, labels, **accuracies):
    return [
        row("resnet18", accuracy, run_id=name, algorithm=name, evaluation_id=evaluation_id, labels=labels)
        for name, accuracy in accuracies.items()
    ]


def test_orders_are_of_what_both_regimes_scored():
    rows = [
        *scored("v", "hard", random=0.2, dc=0.4, dm=0.5, mtt=0.6),
        *scored("w", "teacher", random=0.3, dc=0.7, dm=0.5),
        *scored("x", "hard", random=0.1, dc=0.2),
        *scored("y", "online", random=0.6),
        row("resnet18", 0.9, run_id="all", algorithm="whole", ipc=None, evaluation_id="v"),
        row("resnet18", 0.9, run_id="all", algorithm="whole", ipc=None, evaluation_id="w"),
    ]
    made = sections(rows, dict.fromkeys(("random", "dc", "dm", "mtt", "all"), ""))
    assert [section.regime for section in made] == ["hard", "hard", "fixed-soft", "teacher"]
    (of,) = orders(made)
    # Two evaluations with hard labels are no two regimes, and of one method there is no order.
    between = {(one.evaluation_ids, one.regimes): (one.methods, one.tau) for one in of.agreements}
    assert between == {
        (("v", "w"), ("hard", "fixed-soft")): (3, pytest.approx(1 / 3)),
        (("x", "w"), ("hard", "fixed-soft")): (2, 1.0),
    }
    assert [(method.row.algorithm, method.ranks) for method in of.methods] == [("random", (1, 1, 1, 1))]
    assert orders(sections(scored("v", "hard", dc=0.1, dm=0.2), {"dc": "", "dm": ""})) == ()


BACKBONE = Network(width=8)
TRAINED = Experts(count=1, epochs=1, batch_size=256)
HARD = Evaluation(networks=(BACKBONE,), repeats=1, epochs=4, test_images=100, batch_size=16)
ONLINE = HARD.replace(
    labels="online",
    teacher=TRAINED,
    optimiser="adamw",
    weight_decay=0.01,
    decay_vectors=False,
    schedule="slow-cosine",
    ema_decay=0.0,
    augmentation="",
    mixing=Mixing(),
    views=Views(parts=2, smallest_area=0.5),
    seen_twice=True,
)
SWEEP_RUN = Run(algorithm=DM(iterations=3, real_batch_size=8), resolution=32, backbone=BACKBONE, images_per_class=2)
BASELINES = (
    RandomReal(), KCenter(features=None), EL2N(networks=TRAINED), RDED(images=12, crops=2, factor=2, observer=TRAINED),
)  # fmt: skip


@pytest.fixture(scope="module")
def scored_sweep(tmp_path_factory):
    storage = Storage.open(str(tmp_path_factory.mktemp("regimes")))
    sweep = Sweep(
        name="regimes",
        runs=(SWEEP_RUN, *baselines([SWEEP_RUN], BASELINES)),
        evaluations=(ONLINE, HARD, HARD.replace(labels="soft", teacher=TRAINED)),
    )
    run_in_process(make_plan(sweep), storage, device="cpu", view=Recorded())
    write_report(storage)
    return storage


def test_a_sweep_under_three_regimes(scored_sweep):
    rows = read_results(scored_sweep).to_pylist()
    found = {(each["algorithm"], each["regime"], each["labels"]) for each in rows if each["selection"] == "last"}
    names = ("dm", "random", "kcenter", "el2n", "rded")
    kinds = (("hard", "hard"), ("fixed-soft", "teacher"), ("teacher", "online"))
    assert found == {(name, *kind) for name in names for kind in kinds}
    online = [each for each in rows if each["regime"] == "teacher"]
    assert {(each["evaluation_optimiser"], each["evaluation_mixing"]) for each in online} == {("adamw", "cutmix")}
    assert {each["evaluation_views"] for each in online} == {"2x2 parts, crops from 0.5, flip"}
    sizes = {(each["algorithm"], each["regime"]): each["set_bytes"] for each in rows}
    # 20 images of 1024 8-bit pixels, and 10 float32 numbers each; the teacher's parameters.
    parameters = SWEEP_RUN.experts_of(TRAINED).parameters
    assert [sizes["rded", regime] for regime in ("hard", "fixed-soft", "teacher")] == [
        20 * 1024, 20 * 1024 + 20 * 40, 20 * 1024 + 4 * parameters,
    ]  # fmt: skip


def test_the_report_names_regimes_and_has_tau_between_them(scored_sweep):
    page = Page(scored_sweep.read_bytes(Storage.REPORT).decode())
    assert "Order of methods between regimes" in page.words
    for regime in ("hard labels", "fixed soft labels", "a teacher at every step"):
        assert f"Regime: {regime};" in page.words
    lines = list(csv.DictReader(io.StringIO(scored_sweep.read_bytes(Storage.REPORT_ORDERS).decode())))
    assert [(line["regime"], line["other_regime"]) for line in lines] == [
        ("hard", "fixed-soft"), ("hard", "teacher"), ("fixed-soft", "teacher"),
    ]  # fmt: skip
    assert {line["methods"] for line in lines} == {"5"}
    (of,) = report_fields(scored_sweep, None, None)["orders"]
    assert [f"{one['kendall_tau']:.6f}" for one in of["between"]] == [line["kendall_tau"] for line in lines]
    markdown = scored_sweep.read_bytes(Storage.REPORT_ORDERS_TEXT).decode()
    assert markdown.count("\n| hard labels ") == 2
    assert "| RDED |" in markdown


def test_rows_of_another_regime_are_never_in_one_table(scored_sweep):
    table = list(csv.DictReader(io.StringIO(scored_sweep.read_bytes(Storage.REPORT_TABLE).decode())))
    by_evaluation = {}
    for line in table:
        if line["ipc"]:
            by_evaluation.setdefault(line["evaluation_id"], set()).add(line["regime"])
    assert sorted(map(tuple, by_evaluation.values())) == [("fixed-soft",), ("hard",), ("teacher",)]
