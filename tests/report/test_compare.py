"""Two storages beside one another, against numbers computed by hand."""

import csv
import io
import json

import pytest

from glad_ray.cli import main
from glad_ray.errors import UserError
from glad_ray.report import write_comparison
from glad_ray.results import Distillation, Training, package_versions, write_results
from glad_ray.spec import DM, Evaluation, LearningRates, RandomReal, Run, Sweep
from glad_ray.storage import Storage
from tests.report.parsed import Page, said

T = {1: 12.7062, 2: 4.30265}
"""Student's t of 95 %, by degrees of freedom"""
RUN = Run(algorithm=DM(iterations=20), resolution=32)
EVALUATION = Evaluation(networks=("convnet", "alexnet", "vit"), repeats=2, epochs=100)


def scored(storage, accuracies, run=RUN, evaluation=EVALUATION, sweep="s"):
    """Write the runs of some seeds: `accuracies` are by seed, of each network and repeat."""
    for seed, of_seed in accuracies.items():
        one = run.replace(seed=seed)
        trainings = {
            network.key: [
                Training(
                    step=one.steps,
                    network=network.key,
                    repeat=repeat,
                    accuracy=accuracy,
                    held_out_accuracy=None,
                    learning_rate=evaluation.learning_rate(network),
                    seconds=1.0,
                    peak_memory_bytes=0,
                    device="cpu",
                )
                for repeat, accuracy in enumerate(of_network)
            ]
            for network, of_network in zip(evaluation.networks, of_seed, strict=True)
        }
        taken = Distillation(seconds=1.0, peak_memory_bytes=0, device="cpu", versions=package_versions())
        storage.write_bytes(storage.run_path(one.run_id), one.model_dump_json().encode())
        write_results(storage, one, evaluation, sweep, trainings, taken)


def planned(storage, *evaluations, runs=(RUN,)):
    sweep = Sweep(name="s", runs=runs, evaluations=evaluations)
    storage.write_bytes(storage.PLAN, json.dumps({"sweep": sweep.model_dump(mode="json")}).encode())


@pytest.fixture
def pair(tmp_path):
    return Storage.open(tmp_path / "a"), Storage.open(tmp_path / "b")


def compared(a, b, selection="last"):
    """The page, and the lines of the CSV under one selection."""
    path = write_comparison(a, b)
    assert path == "report/compare.html"
    lines = csv.DictReader(io.StringIO(a.read_bytes(Storage.REPORT_COMPARISON_TABLE).decode()))
    return Page(a.read_bytes(path).decode()), [line for line in lines if line["selection"] == selection]


A = {0: [(0.60, 0.62), (0.50, 0.50), (0.30, 0.40)], 1: [(0.64, 0.66), (0.54, 0.56), (0.40, 0.40)], 2: [(0.5, 0.5)] * 3}
B = {0: [(0.63, 0.65), (0.52, 0.52), (0.38, 0.42)], 1: [(0.70, 0.72), (0.55, 0.55), (0.46, 0.48)], 5: [(0.9, 0.9)] * 3}


def test_seeds_that_both_have_are_paired_and_others_left_out(pair):
    """On convnet 61 to 64 and 65 to 71, so 3 and 6 points. Unseen 42.5 to 46 and 47.5 to 51, so 3.5 twice; with
    deviations of 2.60 and 4.33 on its two networks in A, of 1.50 and 3.84 in B.
    """
    scored(pair[0], A)
    scored(pair[1], B)
    page, lines = compared(*pair)
    by_network = {line["network"]: line for line in lines}
    assert list(by_network) == ["mean of unseen", "convnet", "alexnet", "vit"]
    seen = by_network["convnet"]
    assert (float(seen["a_percent"]), float(seen["b_percent"])) == (63.0, 67.5)
    assert float(seen["a_std_percent"]) == pytest.approx((5e0) ** 0.5, abs=1e-3), "of 60, 62, 64, 66"
    assert float(seen["difference_points"]) == pytest.approx(4.5)
    half = T[1] * 1.5
    ends = float(seen["interval_low_points"]), float(seen["interval_high_points"])
    assert ends == (pytest.approx(4.5 - half, abs=1e-3), pytest.approx(4.5 + half, abs=1e-3))
    assert (seen["paired_seeds"], seen["a_trainings"], seen["b_trainings"]) == ("0 1", "4", "4")
    unseen = by_network["mean of unseen"]
    assert (float(unseen["a_percent"]), float(unseen["b_percent"])) == (45.0, 48.5)
    assert float(unseen["difference_points"]) == pytest.approx(3.5)
    assert float(unseen["interval_low_points"]) == pytest.approx(3.5), "both seeds differ by as much"
    assert "left out: A 2; B 5" in page.words
    table = next(table for table in page.all("table") if "Settings that differ" in page.grid(table)[0])
    assert page.grid(table)[1][:4] == ["DM pixel", "mean of unseen", "45.0 ± 3.5", "48.5 ± 2.7"]
    assert page.grid(table)[1][4:6] == ["+3.5", "+3.5 to +3.5"]
    assert page.grid(table)[1][-1] == "none"


def test_without_a_common_seed_the_interval_is_welchs(pair):
    scored(pair[0], {0: [(0.50, 0.50)] * 3, 1: [(0.54, 0.54)] * 3})
    scored(pair[1], {5: [(0.60, 0.60)] * 3, 6: [(0.64, 0.64)] * 3})
    page, lines = compared(*pair)
    assert {line["paired_seeds"] for line in lines} == {""}
    # Equal variances of 2 points², two of each: two degrees of freedom.
    error = (2 * 0.0008 / 2) ** 0.5 * 100
    for line in lines:
        assert float(line["difference_points"]) == pytest.approx(10)
        assert float(line["interval_low_points"]) == pytest.approx(10 - T[2] * error, abs=1e-3)
    assert "not paired" in page.words


def test_one_seed_has_a_difference_and_no_interval(pair):
    scored(pair[0], {0: [(0.5, 0.5)] * 3})
    scored(pair[1], {0: [(0.6, 0.6)] * 3})
    for line in compared(*pair)[1]:
        assert float(line["difference_points"]) == pytest.approx(10)
        assert (line["interval_low_points"], line["interval_high_points"]) == ("", "")


OTHERS = {
    "evaluation epochs: 100 in A, 50 in B": (RUN, EVALUATION.replace(epochs=50)),
    "augmentation": (RUN, EVALUATION.replace(augmentation="")),
    "test images: all in A, 50 in B": (RUN, EVALUATION.replace(test_images=50)),
    "distillation steps: 20 in A, 30 in B": (RUN.replace(algorithm=DM(iterations=30)), EVALUATION),
    "evaluation.weight_decay: 0.0005 in A, 0.0 in B": (RUN, EVALUATION.replace(weight_decay=0)),
    "labels: hard in A, teacher in B": (RUN, EVALUATION.replace(labels="soft")),
}


@pytest.mark.parametrize("why", OTHERS)
def test_what_was_made_otherwise_is_refused_with_its_reason(why, pair):
    run, evaluation = OTHERS[why]
    scored(pair[0], {0: [(0.5, 0.5)] * 3})
    scored(pair[1], {0: [(0.6, 0.6)] * 3}, run, evaluation)
    planned(pair[0], EVALUATION)
    planned(pair[1], evaluation, runs=(run,))
    page, lines = compared(*pair)
    assert lines == []
    assert "Nothing is compared." in page.words
    assert why in page.words.partition("Not compared Both have these")[2]


def test_the_one_line_of_each_is_compared_where_settings_differ_and_several_are_not(pair):
    base = DM(iterations=20)
    rates = [RUN.replace(algorithm=base.replace(learning_rates=LearningRates(pixels=p, f=1, w=1))) for p in (2, 3, 4)]
    scored(pair[0], {0: [(0.5, 0.5)] * 3}, rates[0])
    scored(pair[1], {0: [(0.6, 0.6)] * 3}, rates[1])
    page, lines = compared(*pair)
    assert {line["differing_settings"] for line in lines} == {"algorithm.learning_rates.pixels 2 -> 3"}
    assert "learning_rates.pixels: 2 in A, 3 in B" in page.words
    scored(pair[1], {0: [(0.7, 0.7)] * 3}, rates[2])
    page, lines = compared(*pair)
    assert lines == []
    assert "nothing says which belong together" in page.words
    scored(pair[1], {0: [(0.8, 0.8)] * 3}, rates[0])
    _, lines = compared(*pair)
    assert {line["differing_settings"] for line in lines} == {""}
    assert [float(line["difference_points"]) for line in lines] == [pytest.approx(30)] * 4


def test_networks_of_other_rates_and_their_mean_are_not_compared(pair):
    other = EVALUATION.replace(learning_rates=dict(EVALUATION.learning_rates) | {"vit": 0.5})
    scored(pair[0], {0: [(0.5, 0.5)] * 3})
    scored(pair[1], {0: [(0.6, 0.6)] * 3}, evaluation=other)
    page, lines = compared(*pair)
    assert [line["network"] for line in lines] == ["convnet", "alexnet"]
    assert "vit was trained at a rate of 0.001 in A and 0.5 in B" in page.words
    assert "their means are not compared" in page.words


def test_what_only_one_has_is_listed(pair):
    for storage in pair:
        scored(storage, {0: [(0.5, 0.5)] * 3})
    scored(pair[0], {0: [(0.25, 0.25)] * 3}, RUN.replace(algorithm=RandomReal()))
    scored(pair[1], {0: [(0.75, 0.75)] * 3, 1: [(0.85, 0.85)] * 3}, RUN.replace(images_per_class=10))
    page, _ = compared(*pair)
    assert {"Only in A", "Only in B"} <= {said(heading) for heading in page.all("h2")}
    grids = [page.grid(table) for table in page.all("table")]
    only_a, only_b = (next(grid for grid in grids if grid[1][0] == name and len(grid[0]) == 5 and grid[1][2] == "last"
                           and grid[0][3] == "Seeds") for name in ("Random real images", "DM pixel"))  # fmt: skip
    assert only_a[1][3:] == ["1", "25.0 ± 0.0"]
    assert only_b[1][3:] == ["2", "80.0 ± 5.0"]


def test_a_damaged_run_costs_the_comparison_that_run_alone(pair):
    scored(pair[0], A)
    scored(pair[1], B)
    pair[1].write_bytes(pair[1].results_path(RUN.replace(seed=5).run_id, EVALUATION.content_id), b"no table")
    page, lines = compared(*pair)
    assert len(lines) == 4
    assert "In B: " in page.words.partition("What could not be shown")[2]


def test_what_cannot_be_compared_is_said_in_a_sentence(pair):
    scored(pair[0], {0: [(0.5, 0.5)] * 3})
    with pytest.raises(UserError, match="cannot be compared with itself"):
        write_comparison(pair[0], pair[0])
    with pytest.raises(UserError, match="has no results to compare"):
        write_comparison(*pair)


def test_the_command_compares_two_and_refuses_three(pair, capsys):
    for storage in pair:
        scored(storage, {0: [(0.5, 0.5)] * 3})
    names = [str(storage) for storage in pair]
    assert main(["report", *names]) == 0
    assert f"The comparison is {names[0]}/report/compare.html" in "".join(capsys.readouterr().out.split("\n"))
    assert not pair[1].exists("report")
    assert main(["report", *names, names[0]]) == 2
    assert "takes one storage, or two to compare, not 3" in " ".join(capsys.readouterr().err.split())
