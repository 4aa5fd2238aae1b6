"""How far a set's scoring is: a live table on a terminal, a line for every training elsewhere, the time left."""

import io

import pytest
from rich.console import Console

from glad_ray.progress.events import ImagesPrepared, NetworkFailed, SetTrained
from glad_ray.progress.scoring_reporter import ScoringReporter
from glad_ray.progress.view import LiveView, PlainView
from glad_ray.results import Training
from glad_ray.spec import Network

SMALL, LARGE, FOREIGN = Network(width=4), Network(name="alexnet"), Network(name="torchvision.models:resnet18")


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("glad_ray.progress.scoring_reporter.time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def reporter(clock):
    return ScoringReporter([SMALL, LARGE, FOREIGN], 2, {SMALL: 10, LARGE: 30, FOREIGN: 0})


def trained(network, repeat=0, *, accuracy=0.5, seconds=4.0, earlier=False):
    training = Training(
        step=0,
        network=network.key,
        repeat=repeat,
        accuracy=accuracy,
        held_out_accuracy=None,
        learning_rate=0.1,
        seconds=seconds,
        peak_memory_bytes=0,
        device="cpu",
    )
    return SetTrained(network, training, earlier=earlier)


def test_time_left_follows_from_what_was_measured_and_the_networks_operations(reporter, clock):
    assert reporter.seconds_left() is None
    reporter.add(trained(SMALL))
    # One of 4 s, two of three times the operations, and two that are taken to be as long as those measured.
    assert reporter.seconds_left() == pytest.approx(4 + 2 * 12 + 2 * 4)
    clock[0] += 3
    assert reporter.seconds_left() == pytest.approx(33)
    reporter.add(trained(SMALL, 1))
    reporter.add(NetworkFailed(LARGE, "out of memory"))
    assert reporter.seconds_left() == pytest.approx(8)
    reporter.add(trained(FOREIGN, 0, seconds=1.0))
    reporter.add(trained(FOREIGN, 1, seconds=1.0))
    assert reporter.seconds_left() is None


def test_piped_output_has_a_line_for_every_training_and_none_twice(reporter, capsys):
    view = PlainView(reporter)
    events = [ImagesPrepared("real images", 5, 5), trained(SMALL, earlier=True), trained(SMALL), trained(SMALL, 1)]
    with view:
        for event in [*events, NetworkFailed(LARGE, "the loss is nan")]:
            view.show(event)
    prepared, kept, new, failed = capsys.readouterr().out.splitlines()
    assert prepared.startswith("prepared")
    assert kept.split() == ["kept", "ConvNet", "(width", "4)", "1/2:", "50.0", "%"]
    assert new.startswith("trained    ConvNet (width 4) 2/2: 50.0 %  about")
    assert failed == "failed     AlexNet: the loss is nan"


def test_a_terminal_has_a_row_for_every_network(reporter):
    console = Console(file=io.StringIO(), force_terminal=True, width=120, height=30, color_system=None)
    view = LiveView(reporter, console, transient=True)
    for event in (trained(SMALL, accuracy=0.4), trained(SMALL, 1, accuracy=0.6), NetworkFailed(LARGE, "[nan]")):
        view.show(event)
    with console.capture() as capture:
        console.print(view.draw())
    head, small, large, foreign = capture.get().splitlines()
    assert head.startswith("2/6 trainings")
    assert small.split()[-4:] == ["2/2", "50.0", "±", "10.0"]
    assert "failed" in large
    assert "0/2" in foreign
    assert "[nan]" in console.file.getvalue()


def test_the_table_has_what_was_trained_or_failed(reporter):
    reporter.add(trained(SMALL))
    reporter.add(NetworkFailed(LARGE, "nan"))
    table = reporter.table("a [b] set")
    columns = [list(column.cells) for column in table.columns]
    assert columns == [["ConvNet (width 4)", "AlexNet"], ["50.0 ± 0.0", "failed"], ["1 of 2", "0 of 2"], ["4", "0"]]
