"""The paper's experiments in sweeps/paper: their results meet every number in print, and their docstrings are true."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from glad_ray.plan import make_plan, write_plan
from glad_ray.plan.total import total
from glad_ray.report import write_report
from glad_ray.report.published.numbers import published_numbers
from glad_ray.report.report_data import make_report_data, read_found
from glad_ray.results import Distillation, write_results
from glad_ray.spec.written.sweep_file import load_sweep
from glad_ray.storage import Storage
from tests.report.sample import trainings

FOLDER = Path(__file__).parents[1] / "sweeps" / "paper"
PAPER = "GLaD, CVPR 2023"
TABLES = {
    "table1": "Table 1",
    "table2": "Table 2 (= supplement Table 3)",
    "table3": "Table 3",
    "table4": "Table 4",
    "supplement_table2": "supplement Table 2",
    "supplement_table3": "Table 2 (= supplement Table 3)",
    "supplement_table4": "supplement Table 4",
}
UNSAID = {
    "table1": {""},
    "table2": {"network not stated; ours: mean of 4 unseen"},
    "table3": {"images per class not stated; ours: 1", "images per class and layer not stated; ours: 1, f2"},
    "table4": {"", "layer not stated; ours: f16"},
    "supplement_table2": {""},
    "supplement_table3": {"network not stated; ours: ConvNet"},
    "supplement_table4": {""},
}
COST = re.compile(
    r"Cost, by `glad-ray plan`: ([\d,.]+) GPU hours at 20 TFLOP/s"
    r"(?:; no experts|, ([\d,.]+) of them for experts, which take ([\d,.]+) GB)\."
)
TAKEN = Distillation(seconds=1, peak_memory_bytes=1, device="made up", versions={})


def printed(table):
    return {of for of in published_numbers() if (of.source, of.table) == (PAPER, table)}


def sweep_of(name):
    return load_sweep(FOLDER / f"{name}.py")


def write_made_up_results(storage, sweep):
    """Accuracies that no network had, for every run of a sweep."""
    write_plan(make_plan(sweep), storage)
    rng = np.random.default_rng(0)
    for run in sweep.runs:
        for evaluation in sweep.evaluations:
            write_results(storage, run, evaluation, sweep.name, trainings(run, evaluation, rng), TAKEN)


def test_every_table_has_a_sweep():
    assert {of.table for of in published_numbers() if of.source == PAPER} == set(TABLES.values())


@pytest.mark.parametrize("name", TABLES)
def test_results_of_a_table_meet_all_its_numbers(name, tmp_path):
    storage = Storage.open(tmp_path)
    write_made_up_results(storage, sweep_of(name))
    compared = [one for of_section in make_report_data(read_found(storage)).compared for one in of_section]
    assert {one.published for one in compared if one.published.source == PAPER} >= printed(TABLES[name])
    of_table = [one for one in compared if one.published.table == TABLES[name]]
    assert len(of_table) == len(printed(TABLES[name]))
    assert {one.unstated for one in of_table} == UNSAID[name]


@pytest.fixture(params=sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def told(request):
    """A sweep, its path and its docstring in one line."""
    sweep = load_sweep(request.param)
    return sweep, request.param, " ".join(sweep.description.split())


def test_the_cost_told_is_what_the_plan_foretells(told):
    sweep, _, text = told
    cost = total(sweep.runs, sweep)
    hours, *of_experts = (float((number or "0").replace(",", "")) for number in COST.search(text).groups())
    assert hours == pytest.approx(cost.gpu_hours, rel=0.005, abs=0.5)
    assert of_experts == pytest.approx([cost.expert_gpu_hours, cost.expert_bytes / 1e9], rel=0.1)


def test_the_numbers_told_are_printed(told):
    _, path, text = told
    expected = re.search(r"Expected: (.*?) Cost", text)[1]
    numbers = {float(number) for number in re.findall(r"\d+\.\d", expected)}
    assert numbers or "no number is printed" in expected
    in_print = {round(100 * of.score.mean, 1) for of in printed(TABLES.get(path.stem, ""))}
    assert numbers <= in_print


def test_the_commands_told_name_the_file(told):
    _, path, text = told
    file = f"sweeps/paper/{path.name}"
    assert text.endswith(f"glad-ray plan {file} glad-ray sweep {file}")
    assert "Claim: " in text


def test_the_supplement_evaluates_the_runs_of_the_tables():
    def ids(name):
        return [run.run_id for run in sweep_of(name).runs]

    assert ids("supplement_table2") == ids("table1")
    assert ids("supplement_table3") == ids("table2")


def test_the_page_says_what_print_does_not_state(tmp_path):
    storage = Storage.open(tmp_path)
    write_made_up_results(storage, sweep_of("table3"))
    page = storage.read_bytes(write_report(storage)).decode()
    assert page.count("images per class and layer not stated; ours: 1, f2") == 30
    assert page.count("Figure 5 shows f2 for MTT") == 1
    lines = csv.DictReader(storage.read_bytes(storage.REPORT_PUBLISHED).decode().splitlines())
    of_table = [line for line in lines if line["table"] == "Table 3"]
    assert len(of_table) == 45
    assert {line["not_stated"] for line in of_table} == UNSAID["table3"]
