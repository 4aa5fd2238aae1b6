"""Real images decoded on a cluster: the same as in one process, wherever their files are seen."""

import dataclasses
import os
import signal
from functools import partial

import numpy as np
import pytest

from glad_ray.data import load_dataset
from glad_ray.data.parts import Form, class_part
from glad_ray.data.prepare import CACHE_VARIABLE
from glad_ray.engine.in_process import run_in_process
from glad_ray.engine.on_ray.decoding import decode_on_cluster
from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.errors import DataError, UserError
from glad_ray.progress.events import ImagesPrepared, Retried, RunFinished
from glad_ray.spec import Evaluation
from tests.data.trees import write_classes
from tests.engine import tiny

pytestmark = pytest.mark.usefixtures("ray_session")

CLASSES = ("ant", "bee", "cat")
FORM = Form(channels=3, resolution=16, antialias=True)


@pytest.fixture
def name(tmp_path, monkeypatch):
    """A dataset of 24 training and 9 test images, not prepared yet."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    write_classes(tmp_path / "own", {"train": dict.fromkeys(CLASSES, 8), "test": dict.fromkeys(CLASSES, 3)})
    return f"folder:{tmp_path / 'own'}"


@pytest.fixture
def plan(name):
    run = tiny.RUNS["random"].replace(dataset=name, resolution=16, held_out=1)
    evaluation = Evaluation(networks=(tiny.BACKBONE,), repeats=1, epochs=1)
    return tiny.make_plan(tiny.Sweep(name="own", runs=(run,), evaluations=evaluation))


def test_the_same_images_as_in_one_process(name, view, monkeypatch, tmp_path):
    here = load_dataset(name, resolution=16, held_out=1)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "other"))
    dataset = load_dataset(name, resolution=16, held_out=1, decode=partial(decode_on_cluster, view))
    for split in ("train", "held_out", "test"):
        for what in ("images", "labels"):
            assert np.array_equal(getattr(dataset, f"{split}_{what}"), getattr(here, f"{split}_{what}"))


@pytest.mark.parametrize(
    "run",
    [pytest.param(run_in_process, id="in process"), pytest.param(run_on_ray, id="on Ray", marks=pytest.mark.full)],
)
def test_a_sweep_prepares_its_images_once_and_shows_it(run, plan, storage, view, tmp_path):
    options = {"device": "cpu"} if run is run_in_process else {"address": None}
    run(plan, storage, view=view, **options)
    told = view.of(ImagesPrepared)
    assert {(event.data, event.total) for event in told} == {(f"{plan.runs[0].dataset} 16px", 33)}
    done = [event.done for event in told]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 33)
    assert len(done) == 8
    assert len(view.of(RunFinished)) == 1

    again = plan.sweep.replace(runs=(plan.runs[0].replace(seed=1),))
    view.events.clear()
    run(tiny.make_plan(again), storage, view=view, **options)
    assert len(view.of(RunFinished)) == 1
    assert not view.of(ImagesPrepared)


def test_files_that_no_other_machine_sees_are_decoded_here(name, view, tmp_path):
    # What a worker elsewhere is told is not there.
    part = class_part("train", 0, sorted((tmp_path / "own" / "train" / "ant").iterdir()))
    ((_, seen),) = decode_on_cluster(view, [part], FORM)
    hidden = dataclasses.replace(part, files=(tmp_path / "nowhere", *part.files[1:]))
    ((given, unseen),) = [(part, list(batches)) for part, batches in decode_on_cluster(view, [hidden], FORM)]
    assert given is hidden
    assert np.array_equal(unseen[0].images, seen[0].images)


def test_what_is_no_image_is_told_in_one_sentence(plan, storage, view, tmp_path):
    broken = tmp_path / "own" / "train" / "bee" / "bee_5.png"
    broken.write_bytes(b"GIF87a and nothing more")
    with pytest.raises(DataError, match=r"bee_5\.png is no (whole )?image"):
        run_on_ray(plan, storage, address=None, view=view)


def test_data_that_is_not_there_is_told_before_anything_is_started(storage, view, monkeypatch, tmp_path):
    monkeypatch.setenv("GLAD_RAY_DATA", str(tmp_path))
    run = tiny.RUNS["random"].replace(dataset="cifar10", resolution=32)
    with pytest.raises(UserError, match="CIFAR-10 was not found"):
        run_on_ray(tiny.make_plan(tiny.Sweep(name="x", runs=(run,))), storage, address="127.0.0.1:1", view=view)


def test_a_part_whose_process_dies_is_decoded_again(name, view, tmp_path):
    part = class_part("train", 0, sorted((tmp_path / "own" / "train" / "ant").iterdir()))
    marker = tmp_path / "died"

    def images(form, executor):
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return part.images(form, executor)

    ((_, batches),) = decode_on_cluster(view, [dataclasses.replace(part, images=images)], FORM)
    assert sum(len(batch.labels) for batch in batches) == 8
    (retried,) = view.of(Retried)
    assert "decoding of ant_0.png" in retried.what
