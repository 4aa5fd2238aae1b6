import platform
from datetime import UTC, datetime

import pytest

from glad_ray.errors import DataError, UserError
from glad_ray.results import (
    Distillation,
    Failure,
    LossCurve,
    Training,
    clear_failure,
    package_versions,
    read_distillation,
    read_failures,
    read_losses,
    read_trainings,
    write_distillation,
    write_failure,
    write_losses,
    write_trainings,
)
from glad_ray.storage import Storage


@pytest.fixture
def storage(tmp_path):
    return Storage.open(tmp_path)


def training(**changes):
    fields = {
        "step": 100,
        "network": "vit-w64",
        "repeat": 1,
        "accuracy": 1 / 3,
        "held_out_accuracy": 0.1 + 0.2,
        "learning_rate": 0.1 + 0.2,
        "seconds": 1.25,
        "peak_memory_bytes": 3 * 2**40,
        "device": "NVIDIA H100",
    }
    return Training(**(fields | changes))


def test_trainings_come_back_exactly(storage):
    made = [training(), training(repeat=2, held_out_accuracy=None, accuracy=0.0), training(step=200, accuracy=1.0)]
    write_trainings(storage, "r", "v", "vit-w64", made)
    assert read_trainings(storage, "r", "v", "vit-w64") == made
    assert read_trainings(storage, "r", "v", "convnet") == []
    assert read_trainings(storage, "r", "w", "vit-w64") == []


@pytest.mark.parametrize("value", [-0.01, 1.01, 64.3, float("nan")])
def test_an_accuracy_in_percent_is_refused(value):
    with pytest.raises(ValueError, match="from 0 to 1"):
        training(accuracy=value)
    with pytest.raises(ValueError, match="from 0 to 1"):
        training(held_out_accuracy=value)


def test_a_distillation_comes_back(storage):
    made = Distillation(seconds=12.5, peak_memory_bytes=7, device="cpu", versions={"torch": "2.11.0"})
    write_distillation(storage, "r", made)
    assert read_distillation(storage, "r") == made
    with pytest.raises(DataError, match=r"runs/s/distillation\.json is missing"):
        read_distillation(storage, "s")


def test_losses_come_back_with_steps_from_one(storage):
    assert read_losses(storage, "r") is None
    write_losses(storage, "r", [0.5, 0.25, 1e-9], [1.0, 2.0, 3.5])
    curve = read_losses(storage, "r")
    assert curve == LossCurve((0.5, 0.25, 1e-9), (1.0, 2.0, 3.5))
    assert list(curve.steps) == [1, 2, 3]
    write_losses(storage, "empty", [], [])
    assert read_losses(storage, "empty") == LossCurve((), ())


def test_versions_are_those_that_run():
    versions = package_versions()
    assert versions["python"] == platform.python_version()
    assert {"glad_ray", "torch", "numpy", "pyarrow"} <= versions.keys()
    assert all(isinstance(version, str) and version for version in versions.values())


class TestFailures:
    def test_the_last_one_of_each_run_is_kept_until_cleared(self, storage):
        first = Failure(run_id="b" * 12, stage="distill", error="loss is not finite", traceback="Tb\n <x>", step=3)
        second = first.replace(stage="evaluate", step=None)
        other = Failure(run_id="a" * 12, stage="experts", error="disk full", traceback="")
        assert read_failures(storage) == ()
        for failure in (first, second, other):
            write_failure(storage, failure)
        storage.write_bytes("runs/no-failure/run.json", b"{}")
        assert read_failures(storage) == (other, second)
        clear_failure(storage, other.run_id)
        clear_failure(storage, other.run_id)
        assert read_failures(storage) == (second,)

    def test_it_is_stamped_with_the_time_in_utc(self):
        failure = Failure(run_id="a", stage="distill", error="x", traceback="")
        assert abs((datetime.now(UTC) - failure.finished_at).total_seconds()) < 60
        assert failure.finished_at.utcoffset().total_seconds() == 0

    def test_only_the_three_stages(self):
        with pytest.raises(UserError, match=r"Unknown Failure.stage 'destill'. Did you mean 'distill'"):
            Failure(run_id="a", stage="destill", error="x", traceback="")


DAMAGED = [
    (Storage.trainings_path("r", "v", "vit"), lambda storage: read_trainings(storage, "r", "v", "vit")),
    (Storage.losses_path("r"), lambda storage: read_losses(storage, "r")),
    (Storage.distillation_path("r"), lambda storage: read_distillation(storage, "r")),
    (Storage.failure_path("r"), read_failures),
]


@pytest.mark.parametrize(("path", "read"), DAMAGED)
@pytest.mark.parametrize("content", [b"", b"PAR1", b'{"seconds": 1', b"[1]", b'{"other": 1}'])
def test_a_damaged_record_is_named(storage, path, read, content):
    storage.write_bytes(path, content)
    with pytest.raises(DataError, match="is damaged: delete it") as raised:
        read(storage)
    assert str(raised.value).startswith(path)


def test_a_cut_record_is_named(storage):
    write_trainings(storage, "r", "v", "vit", [training() for _ in range(50)])
    path = Storage.trainings_path("r", "v", "vit")
    storage.write_bytes(path, storage.read_bytes(path)[:-100])
    with pytest.raises(DataError, match="is damaged"):
        read_trainings(storage, "r", "v", "vit")
