"""The wait for a process of Ray: it is said, and it has an end."""

import math

import pytest

from glad_ray.engine.cluster.first_process import FirstProcess, check_first_process
from glad_ray.engine.on_ray import executor
from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.errors import UserError
from glad_ray.progress.events import Waiting
from glad_ray.progress.sweep_reporter import make_view
from tests.engine import tiny


def test_a_wait_is_said_once(view):
    first = FirstProcess("the first process", view, said_after_seconds=-1, at_most_seconds=60)
    first.check()
    first.check()
    (waiting,) = view.of(Waiting)
    assert waiting.what == "the first process"
    assert "logs" in waiting.why


def test_nothing_is_said_of_a_short_wait(view):
    FirstProcess("the first process", view).check()
    assert not view.events


def test_a_wait_has_an_end(view):
    with pytest.raises(UserError, match="The first process has not started"):
        FirstProcess("the first process", view, at_most_seconds=-1).check()


def test_what_is_in_the_way_is_not_counted(view):
    first = FirstProcess("the first process", view, said_after_seconds=-1, at_most_seconds=60)
    first.hold()
    assert not view.events
    first.check()
    first.hold()
    first.check()


def test_views_show_a_wait(capsys):
    with make_view(tiny.plan("dm")) as shown:
        shown.show(Waiting("the first process", 15.2, 300, "the logs tell why"))
        shown.show(Waiting("a machine", 15.2, math.inf, "it is to be started"))
    lines = capsys.readouterr().out.splitlines()
    assert "waiting    for the first process, 15 seconds so far and at most 300: the logs tell why" in lines
    assert "waiting    for a machine, 15 seconds so far: it is to be started" in lines


@pytest.mark.ray
def test_a_process_that_answers(ray_session, view):
    check_first_process(view)
    assert not view.of(Waiting)


@pytest.mark.ray
@pytest.mark.full
def test_a_sweep_ends_where_no_trial_gets_a_process(ray_session, storage, view, monkeypatch):
    monkeypatch.setattr(executor, "AT_MOST_SECONDS", -1.0)
    with pytest.raises(UserError, match="first process of a trial"):
        run_on_ray(tiny.plan("dm"), storage, address=None, view=view)
