"""Metrics beside accuracy: each a column, by name."""

import re
import sys
from pathlib import Path

import pytest
import torch

from glad_ray.engine.in_process import run_in_process
from glad_ray.errors import UserError
from glad_ray.metrics.per_class_accuracy import per_class_accuracy
from glad_ray.plan import make_plan
from glad_ray.results import read_failures, read_results, read_trainings
from glad_ray.spec import Evaluation, Network, Sweep
from tests.engine import tiny
from tests.recorded import Recorded

PAGE = Path(__file__).parents[1] / "docs" / "results-columns.md"
EVALUATION = Evaluation(networks=(Network(width=4),), repeats=1, epochs=2, whole_dataset_epochs=1, test_images=100)


@pytest.fixture(scope="module", autouse=True)
def calibration(tmp_path_factory):
    """The file of the documentation, where Python finds it."""
    (code,) = re.findall(r"```python file=calibration.py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    folder = tmp_path_factory.mktemp("user")
    (folder / "calibration.py").write_text(code)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield
    sys.modules.pop("calibration", None)


def swept(storage, *metrics):
    evaluation = EVALUATION.replace(metrics=metrics)
    run_in_process(
        make_plan(Sweep(name="metrics", runs=(tiny.RUNS["random"],), evaluations=(EVALUATION, evaluation))),
        storage,
        device="cpu",
        view=Recorded(),
    )
    return read_results(storage).to_pylist(), evaluation


def test_they_are_columns(storage):
    rows, evaluation = swept(storage, "per_class_accuracy", "calibration:confidence")
    classes = [f"metric.per_class_accuracy.{label}" for label in range(10)]
    for row in rows:
        asked = row["evaluation_id"] == evaluation.content_id
        assert all((row[name] is not None) == asked for name in (*classes, "metric.calibration:confidence"))
        if asked:
            # As many test images of every class.
            assert sum(row[name] for name in classes) / 10 == pytest.approx(row["accuracy"])
            assert 0.1 <= row["metric.calibration:confidence"] <= 1
    # The training is the same one.
    assert len({row["accuracy"] for row in rows if row["selection"] == "last"}) == 1


def test_of_each_class():
    def network(images):
        return torch.nn.functional.one_hot(images[:, 0, 0, 0].long(), 3).float()

    images = torch.zeros(6, 1, 2, 2)
    images[:, 0, 0, 0] = torch.tensor([0, 0, 1, 1, 2, 0])
    labels = torch.tensor([0, 0, 0, 1, 2, 2])
    assert per_class_accuracy(Named(network), images, labels) == {"0": 2 / 3, "1": 1.0, "2": 0.5}


class Named(torch.nn.Module):
    """A network that is a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, images):
        return self.function(images)


def test_they_are_no_part_of_evaluations_that_name_none():
    assert EVALUATION.content_id == EVALUATION.replace(metrics=()).content_id
    assert "metrics" not in EVALUATION.model_dump_json()
    assert EVALUATION.replace(metrics=("per_class_accuracy",)).content_id != EVALUATION.content_id


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        (("per_class",), "per_class_accuracy"),
        (("per_class_accuracy", "per_class_accuracy"), "twice"),
        (("a b:c",), "package.module:callable"),
    ],
)
def test_what_no_metric_is_called(metrics, told):
    with pytest.raises(UserError, match=told):
        EVALUATION.replace(metrics=metrics)


@pytest.mark.parametrize(
    ("name", "told"), [("nowhere:metric", "nowhere cannot be imported"), ("calibration:confidense", "confidence")]
)
def test_one_that_is_not_there_is_told_before_anything_is_written(name, told, storage):
    with pytest.raises(UserError, match=told):
        swept(storage, name)
    assert not storage.list("runs")


def test_a_number_may_be_a_tensor(storage):
    rows, evaluation = swept(storage, "tests.test_metrics:mean_pixel")
    assert all(
        isinstance(row["metric.tests.test_metrics:mean_pixel"], float)
        for row in rows
        if row["evaluation_id"] == evaluation.content_id
    )


def test_one_that_returns_no_number_fails_its_run(storage):
    swept(storage, "tests.test_metrics:words")
    (failure,) = read_failures(storage)
    assert "Metric tests.test_metrics:words returns str" in failure.error


def mean_pixel(network, images, labels):
    """Returns a tensor of one number."""
    return images.mean()


def words(network, images, labels):
    """Returns no number."""
    return "good"


def test_trainings_with_metrics_are_members_of_sets(storage):
    rows, evaluation = swept(storage, "per_class_accuracy")
    (run_id,) = {row["run_id"] for row in rows}
    trainings = read_trainings(storage, run_id, evaluation.content_id, EVALUATION.networks[0].key)
    assert len({*trainings, *trainings}) == len(trainings)
