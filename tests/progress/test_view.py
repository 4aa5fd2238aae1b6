"""The view: what it counts, what it says when piped, what it draws on a terminal, and how long it says is left."""

import io

import pytest
from rich.console import Console

from glad_ray.progress.events import (
    Begun,
    ExpertEpoch,
    ImagesPrepared,
    ReplicaHealth,
    Retried,
    RunDistilled,
    RunFinished,
    RunProgressed,
    TrainingDone,
)
from glad_ray.progress.sweep_progress import SweepProgress
from glad_ray.progress.sweep_reporter import SweepReporter, make_view
from glad_ray.progress.view import LiveView, PlainView
from glad_ray.results import Progress
from tests.engine import tiny
from tests.progress.happened import KEYS, NOTHING, WHICH, failure, replica, training, trainings

DM, MTT = tiny.RUNS["dm"], tiny.RUNS["mtt"]


def plan(*names):
    return tiny.plan(*names, evaluations=(tiny.EVALUATION,))


EVENTS = [
    NOTHING,
    *(ExpertEpoch(MTT.expert_set, expert, epoch) for expert in (0, 1) for epoch in (1, 2)),
    RunProgressed(DM, Progress(step=7, steps=40, loss=0.125, seconds=1.0)),
    Retried("dm pixel", "lost with its process or machine"),
    RunDistilled(MTT),
    *trainings(MTT),
    RunFinished(MTT),
]


def test_piped(capsys, clock):
    with make_view(plan("dm", "mtt", "random")) as view:
        for event in [*EVENTS, *EVENTS[1:5], failure(DM)]:
            view.show(event)
        clock[0] += 61
    assert isinstance(view, PlainView)
    *lines, summary = capsys.readouterr().out.splitlines()
    assert lines == [
        f"trained    {MTT.expert_set.label}",
        "again      dm pixel: lost with its process or machine",
        f"distilled  {MTT.label}",
        f"finished   {MTT.label}",
        f"failed     {DM.label} (distill after step 3): the [loss] is nan",
    ]
    assert summary.startswith("1 of 3 runs finished, 1 failed, 1 retried, in 0:01:01, about ")


def test_piped_says_once_a_minute_how_far_it_is(capsys, clock):
    with make_view(plan("dm")) as view:
        for step in range(1, 7):
            clock[0] += 25
            view.show(RunProgressed(DM, Progress(step=step, steps=40, loss=0.1, seconds=25.0 * step)))
    said = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[0] for line in said] == ["going", "going", "0"]
    assert said[2].startswith("0 of 1 runs finished, in 0:02:30, about ")
    assert said[0].endswith(f"; {DM.label}: step 3/40")
    assert "0/8 evaluation trainings  0:01:15  about" in said[0]


def test_piped_tells_of_prepared_images(capsys, clock):
    view = PlainView(SweepReporter(plan("dm")))
    view.show(ImagesPrepared("imagenette 128px", 0, 13394))
    clock[0] += 61
    view.show(ImagesPrepared("imagenette 128px", 6697, 13394))
    view.show(ImagesPrepared("imagenette 128px", 13394, 13394))
    clock[0] += 61
    view.show(NOTHING)
    under_way, done, later = capsys.readouterr().out.splitlines()
    assert "; imagenette 128px: 6697/13394 images  about 0:01:01 left" in under_way
    assert done == "prepared   imagenette 128px: 13,394 images"
    assert "imagenette" not in later


def test_piped_tells_of_replicas_once_a_minute(capsys, clock):
    view = PlainView(SweepReporter(plan("dm")))
    for waiting in (1, 0):
        clock[0] += 31
        view.show(ReplicaHealth((replica(waiting=waiting),)))
    (said,) = capsys.readouterr().out.splitlines()
    assert said.endswith(f"; {WHICH}: 12.0 requests/s in batches of 1.8, 0 waiting, 3.1 GiB")


def test_replicas_are_drawn_a_row_each_the_busiest_first(clock):
    console = Console(file=io.StringIO(), force_terminal=True, width=120, height=30, color_system=None)
    view = LiveView(SweepReporter(plan("dm")), console)
    view.show(ReplicaHealth(tuple(replica(waiting=waiting, requests_per_batch=0.0) for waiting in (1, 5, 0, 7, 2))))
    _, *rows = drawn(console, view).splitlines()
    assert [row.split("  ")[0] for row in rows] == [WHICH] * 4
    for waiting, row in zip((7, 5, 2, 1), rows, strict=True):
        assert f"12.0 requests/s, {waiting} waiting" in row
    assert rows[0].rstrip().endswith("3.1 GiB")
    view.show(ReplicaHealth(()))
    assert WHICH not in drawn(console, view)


def test_images_being_prepared_are_drawn_with_the_time_left(clock):
    console = Console(file=io.StringIO(), force_terminal=True, width=120, height=30, color_system=None)
    view = LiveView(SweepReporter(plan("dm")), console)
    view.show(ImagesPrepared("imagenette 128px", 1000, 5000))
    assert "image 1000/5000" in drawn(console, view)
    assert "left" not in drawn(console, view)
    clock[0] += 10
    view.show(ImagesPrepared("imagenette 128px", 2000, 5000))
    assert "about 0:00:30 left" in drawn(console, view)
    view.show(ImagesPrepared("imagenette 128px", 5000, 5000))
    assert "imagenette" not in drawn(console, view)


def drawn(console, view):
    with console.capture() as capture:
        console.print(view.draw())
    return capture.get()


def test_live(clock):
    console = Console(file=io.StringIO(), force_terminal=True, width=120, height=30, color_system=None)
    view = LiveView(SweepReporter(plan("dm", "mtt", "random")), console)

    def lines():
        return [line.rstrip() for line in drawn(console, view).splitlines()]

    for event in EVENTS[:4]:
        view.show(event)
    (head, experts) = lines()
    assert head.startswith("0/3 runs  1/2 experts  0/20 evaluation trainings")
    assert MTT.expert_set.label in experts
    assert "epoch 3/4" in experts

    for event in EVENTS[4:10]:
        view.show(event)
    (head, running, evaluating) = lines()
    assert head.startswith("0/3 runs  2/2 experts  2/20 evaluation trainings  1 retried")
    assert running.startswith(DM.label)
    assert running.split()[-4:] == ["step", "7/40", "loss", "0.125"]
    assert evaluating.startswith(MTT.label)
    assert evaluating.split()[-2:] == ["evaluation", "2/8"]

    for event in [*EVENTS[10:], *EVENTS[8:12], failure(DM)]:
        view.show(event)
    (head,) = lines()
    assert head.startswith("1/3 runs  2/2 experts  8/20 evaluation trainings  1 failed  1 retried")
    assert "the [loss] is nan" in console.file.getvalue()


def test_resumed(clock):
    counted = SweepProgress(plan("dm", "mtt", "random"))
    made = tuple((MTT, event.evaluation_id, event.training) for event in trainings(MTT)[:3])
    experts = {MTT.expert_set.content_id: 1}
    counted.add(Begun(finished=(DM,), distilled=(MTT,), trainings=made, looks=(), experts=experts))
    assert counted.finished == {DM.run_id}
    assert counted.trainings_done == 8 + 3
    assert list(counted.evaluating()) == [(MTT, 3, 8)]
    assert counted.experts(MTT.expert_set) == 1
    assert counted.expert_epochs(MTT.expert_set) == 2


def test_time_left_at_measured_rates(clock):
    counted = SweepProgress(plan("dm"))
    counted.add(NOTHING)
    assert counted.seconds_left() is None
    # Ten of 40 steps in 20 s, nothing beside them: 60 s of steps, and trainings at as many seconds an operation.
    counted.add(RunProgressed(DM, Progress(step=10, steps=40, loss=1.0, seconds=20.0)))
    counted.add(RunProgressed(DM, Progress(step=20, steps=40, loss=1.0, seconds=40.0)))
    clock[0] += 20
    distilling = 20 * 2.0
    assert counted.seconds_left() > distilling
    counted.add(RunDistilled(DM))
    # Two networks, two trainings at once, 2 s each: three of eight in 3 s leave five in 5 s, once steps are forgotten.
    counted = SweepProgress(plan("dm"))
    counted.add(Begun(finished=(), distilled=(DM,), trainings=(), looks=(), experts={}))
    for number, event in enumerate(trainings(DM)[:6]):
        clock[0] += 0 if number % 2 else 2
        counted.add(event)
    assert counted.seconds_left() == pytest.approx(2.0)


def test_continuous_integration_is_not_a_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("CI", raising=False)
    assert isinstance(make_view(plan("dm")), LiveView)
    monkeypatch.setenv("CI", "true")
    assert isinstance(make_view(plan("dm")), PlainView)


def test_trainings_of_all_evaluations_are_counted(clock):
    counted = SweepProgress(tiny.plan("dm", "random"))
    # Two snapshots of dm, one of random; two networks twice, and one once.
    assert counted.trainings_total == 3 * (2 * 2 + 1)
    counted.add(TrainingDone(DM, tiny.EVALUATION.content_id, training(KEYS[0], 40, 0)))
    counted.add(TrainingDone(DM, tiny.SOFT.content_id, training(KEYS[0], 40, 0)))
    assert counted.trainings_done == 2
