"""When a command reached the points of its start."""

import json
import re
import subprocess
import sys
import time

import pytest

from glad_ray.cli import main
from glad_ray.progress.events import ExpertEpoch, PointReached, RunDistilled, RunProgressed
from glad_ray.progress.timeline import Point, TimedView, Timeline, process_began
from glad_ray.results import Progress
from glad_ray.storage import Storage
from tests.engine import tiny

RUN = tiny.RUNS["mtt"]
SWEEP = """
from glad_ray import DM, Evaluation, Network, Run, Sweep

def sweep():
    run = Run(algorithm=DM(iterations=2, real_batch_size=4), resolution=32, backbone=Network(width=4), held_out=4)
    evaluation = Evaluation(networks=[Network(width=4)], repeats=1, epochs=1, test_images=20)
    return Sweep(name="small", evaluations=evaluation, runs=[run])
"""


def progress(step):
    return Progress(step=step, steps=10, loss=0.1, seconds=1.0)


def test_a_process_began_before_it_asked():
    code = (
        "import time; began = time.monotonic(); time.sleep(0.3)\n"
        "from glad_ray.progress.timeline import process_began; print(began - process_began())"
    )
    started = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # The kernel counts in hundredths of a second.
    assert -0.02 <= float(ended.stdout) <= time.monotonic() - started - 0.3
    assert process_began() < started


def test_without_a_kernel_that_tells_it_began_when_this_was_imported(monkeypatch):
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    assert process_began() <= time.monotonic()


def test_the_first_time_counts(view):
    timeline = Timeline()
    shown = TimedView(view, timeline)
    events = [
        PointReached("checks"),
        RunProgressed(RUN, progress(0)),
        ExpertEpoch(RUN.expert_set, 0, 1),
        RunProgressed(RUN, progress(1)),
    ]
    with shown:
        for event in (*events, RunDistilled(RUN)):
            shown.show(event)
        before = dict(timeline.points)
        for event in events:
            shown.show(event)
    assert view.events == [*events, RunDistilled(RUN), *events]
    assert list(before) == ["checks", "first expert epoch", "first step", "first set"]
    assert timeline.points == before
    assert list(before.values()) == sorted(before.values())


def test_in_words_and_in_a_file(storage):
    timeline = Timeline()
    timeline.points = {"command": Point(1.25, 0.5), "end": Point(12.0, 3.0)}
    timeline.write(storage)
    assert timeline.line.endswith("(CPU seconds of its process): command 1.2 (0.5), end 12.0 (3.0)")
    assert json.loads(storage.read_bytes(Storage.PROFILE)) == {
        "command": {"seconds": 1.25, "cpu_seconds": 0.5},
        "end": {"seconds": 12.0, "cpu_seconds": 3.0},
    }


@pytest.mark.parametrize("asked", [True, False])
def test_a_sweep_tells_its_times_if_asked(asked, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.py").write_text(SWEEP)
    assert main(["sweep", "small.py", "--in-process", "--device", "cpu", *["--profile"] * asked]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("times ")]
    kept = tmp_path / "runs/small/profile.json"
    assert (len(told), kept.exists()) == (asked, asked)
    if asked:
        names = ["command", "plan", "checks", "images", "first step", "first set", "first training", "end"]
        points = json.loads(kept.read_text())
        assert list(points) == names
        assert re.findall(r"([a-z ]+) [\d.]+ \([\d.]+\)", told[0]) == [f" {name}" for name in names]
        assert [each["seconds"] for each in points.values()] == sorted(each["seconds"] for each in points.values())


def test_a_sweep_that_is_refused_tells_and_keeps_none_of_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.py").write_text(SWEEP.replace("Run(", 'Run(dataset="cifar10", '))
    assert main(["sweep", "small.py", "--in-process", "--device", "cpu", "--profile"]) == 2
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1
    assert "times " not in captured.out
    assert not [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
