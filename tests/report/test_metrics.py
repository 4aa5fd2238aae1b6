"""Metrics beside accuracy on the report: which tables there are, and what stands in them."""

import math
import statistics

import pytest

from glad_ray.report.tables.accuracy import sections
from glad_ray.report.tables.metrics import metric_tables
from glad_ray.results import Distillation, Training, package_versions, write_results
from glad_ray.spec import DM, Evaluation, Network, RandomReal, Run, dataset_facts, grid
from glad_ray.storage import Storage
from tests.report.parsed import page_of, said
from tests.report.rows import row

SAMPLE = "fashion-mnist-sample"
SPREAD, CONFIDENCE = "own.metrics:spread", "own.metrics:confidence"
EVALUATION = Evaluation(
    networks=(Network(width=4), Network(name="alexnet", width=8), Network(name="vgg11", width=4)),
    repeats=2,
    metrics=("per_class_accuracy", SPREAD, CONFIDENCE),
)
PLAIN = EVALUATION.replace(metrics=(), augmentation="")
RUNS = grid(
    Run(algorithm=RandomReal(), backbone=Network(width=4)), algorithm=[RandomReal(), DM(iterations=2)], seed=[0, 1]
)


def measured(run, place, repeat):
    """The metrics of a training: all numbers are different."""
    base = 0.001 * run.seed + 0.002 * repeat + 0.01 * place + 0.1 * run.distils
    classes = {f"per_class_accuracy.{label}": base + 0.05 * label for label in range(10)}
    return classes | {f"{SPREAD}.low": base, f"{SPREAD}.a.b:c": -base, CONFIDENCE: 100 + base}


def write(storage, run, evaluation):
    trainings = {
        network.key: [
            Training(
                step=step,
                network=network.key,
                repeat=repeat,
                accuracy=0.5,
                held_out_accuracy=None,
                learning_rate=0.01,
                seconds=1.0,
                peak_memory_bytes=1,
                device="cpu",
                metrics=measured(run, place, repeat) if evaluation.metrics else {},
            )
            for step in run.snapshot_steps
            for repeat in range(evaluation.repeats)
        ]
        for place, network in enumerate(evaluation.networks)
    }
    taken = Distillation(seconds=1.0, peak_memory_bytes=1, device="cpu", versions=package_versions())
    storage.write_bytes(storage.run_path(run.run_id), run.model_dump_json().encode())
    write_results(storage, run, evaluation, "metrics", trainings, taken)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    storage = Storage.open(tmp_path_factory.mktemp("metrics"))
    for run in RUNS:
        write(storage, run, EVALUATION)
        write(storage, run, PLAIN)
    return page_of(storage)


def tables(page):
    """The grids of the page by their title, those of sections whose evaluation has metrics."""
    regions = {"Accuracy per class", "Metrics", "spread (own.metrics)"}
    return {
        region["attributes"]["aria-label"]: page.grid(table)
        for region in page.all("div")
        if region["attributes"].get("aria-label") in regions
        for table in page.within(region, "table")
    }


def cell(runs, column):
    """Mean over the two unseen networks of the means over seeds and repeats, and the mean of their deviations."""
    of_networks = [
        [measured(run, place, repeat)[column] for run in runs for repeat in range(EVALUATION.repeats)]
        for place in (1, 2)
    ]
    mean = statistics.fmean(map(statistics.fmean, of_networks))
    return mean, statistics.fmean(map(statistics.pstdev, of_networks))


def test_accuracy_per_class_has_a_row_per_run_and_a_column_per_class(page):
    header, *lines = tables(page)["Accuracy per class"]
    assert header == ["Set", *dataset_facts(SAMPLE).class_names]
    assert [line[0] for line in lines] == ["Random real images 2 seeds", "DM pixel 2 seeds"]
    for runs, line in zip((RUNS[:2], RUNS[2:]), lines, strict=True):
        expected = [cell(runs, f"per_class_accuracy.{label}") for label in range(10)]
        assert line[1:] == [f"{100 * mean:.1f} ± {100 * std:.1f}" for mean, std in expected]


def test_a_metric_of_ones_own_with_several_numbers_has_a_table(page):
    header, *lines = tables(page)["spread (own.metrics)"]
    assert header == ["Set", "a.b:c", "low"]
    mean, std = cell(RUNS[2:], f"{SPREAD}.low")
    assert lines[1][2] == f"{mean:.4g} ± {std:.4g}"
    assert lines[1][1] == f"−{mean:.4g} ± {std:.4g}"


def test_those_of_one_number_stand_together(page):
    header, *lines = tables(page)["Metrics"]
    assert header == ["Set", "confidence (own.metrics)"]
    mean, std = cell(RUNS[:2], CONFIDENCE)
    assert lines[0][1] == f"{mean:.4g} ± {std:.4g}"


def test_sections_without_metrics_have_none(page):
    sections_shown = [said(heading) for heading in page.all("h2") if "Fashion-MNIST" in said(heading)]
    headings = [said(heading) for heading in page.all("h3")]
    assert len(sections_shown) == 2
    assert headings.count("Accuracy per class") == headings.count("Metrics") == 1


def tables_of(rows):
    made = sections(rows, {each["run_id"]: "" for each in rows})
    (of_section,) = metric_tables(made, rows)
    return of_section


def test_the_backbone_speaks_where_no_other_network_was_trained():
    (table,) = tables_of([row("convnet", 0.5, repeat=n, **{"metric.a:b": float(n)}) for n in range(2)])
    ((_, (score,)),) = table.rows
    assert (score.mean, score.std) == (0.5, 0.5)
    assert table.several is None


def test_what_is_not_finite_or_not_there_breaks_nothing():
    rows = [
        row("convnet", 0.5, run_id="p", algorithm="dc", **{"metric.a:b": math.inf, "metric.c:d": None}),
        row("convnet", 0.5, run_id="p", algorithm="dc", repeat=1, **{"metric.a:b": -math.inf, "metric.c:d": None}),
        row("convnet", 0.5, run_id="q", algorithm="dm", **{"metric.a:b": None, "metric.c:d": None}),
    ]
    (table,) = tables_of(rows)
    assert [metric.title for metric, _ in table.columns] == ["b (a)"]
    (_, (infinite,)), (_, (missing,)) = table.rows
    assert math.isnan(infinite.mean)
    assert infinite.std is None
    assert missing is None


def test_only_the_last_step_counts():
    chosen = row("convnet", 0.5, selection="best-on-test", step=50, **{"metric.a:b": 9.0})
    (table,) = tables_of([row("convnet", 0.5, **{"metric.a:b": 1.0}), chosen])
    ((_, (score,)),) = table.rows
    assert score.mean == 1.0


def test_classes_come_in_the_order_of_their_numbers():
    columns = {f"metric.per_class_accuracy.{label}": 0.5 for label in sorted(map(str, range(12)))}
    (table,) = tables_of([row("convnet", 0.5, **columns)])
    assert [part for _, part in table.columns] == [str(label) for label in range(12)]
    assert table.several.of_classes
