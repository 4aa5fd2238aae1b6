"""The bookkeeping of benchmarks/idle_shares.py, on sweeps that are made up."""

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
ONE, OTHER = ("node", "0"), ("node", "1")


@pytest.fixture
def idle(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import idle_shares

    return idle_shares


def test_what_is_worked_unused_and_too_small(idle):
    units = [
        idle.Unit(0.5, ONE, queued=0, starting=0, begin=1, end=5),
        idle.Unit(0.25, ONE, queued=1, starting=2, begin=3, end=5),
        idle.Unit(0.5, ONE, queued=3, starting=5, begin=5, end=7),
    ]
    # 0-1: the first starts. 1-2: nobody has begun with the second, 2-3: it starts. 3-5: a quarter is too small for the
    # third. From 5 on nothing is queued.
    found = idle.idle_shares(units, [ONE], 0, 7)
    assert found == pytest.approx((0.5 + 0.5 + 2 * 0.75, 0.5 + 0.25, 0.25, 0.5 + 0.25 + 0.25 + 2 * 0.25))
    assert found.unused == pytest.approx(1 / 5)


def test_only_what_lies_within_the_time_counts(idle):
    units = [idle.Unit(1, ONE, queued=0, starting=4, begin=4, end=6)]
    assert idle.idle_shares(units, [ONE], 1, 3) == (0, 0, 2, 0)
    assert idle.idle_shares(units, [ONE], 4, 6).unused == 0


def test_a_unit_does_not_fit_across_gpus(idle):
    running = [idle.Unit(0.7, gpu, queued=0, starting=0, begin=0, end=2) for gpu in (ONE, OTHER)]
    waiting = idle.Unit(0.4, ONE, queued=0, starting=2, begin=2, end=3)
    assert idle.idle_shares([*running, waiting], [ONE, OTHER], 0, 2) == pytest.approx((2.8, 0, 0, 1.2))


def test_units_of_a_journal(idle, tmp_path):
    journal = idle.Journal(tmp_path / "journal")
    journal.append("began", "trial", "random", "run", "node", ["0"], 1, 90.0, 101.0)
    journal.append("ended", "run", 1, 101.0, 103.0)
    journal.append("began", "evaluation", "convnet", "run eval ConvNet", "node", ["0"], 1, 90.0, 104.0)
    journal.append("began", "evaluation", "alexnet", "run eval AlexNet", "node", ["1"], 2, 103.5, 105.0)
    journal.append("ended", "run eval ConvNet", 1, 104.0, 106.0)
    journal.append("ended", "run eval AlexNet", 2, 105.0, 106.0)
    units = idle.units_of(journal.entries(), {"random": 0.5, "convnet": 0.2, "alexnet": 0.3}, began=95.0)
    assert units == [
        idle.Unit(0.5, ONE, queued=95.0, starting=101.0, begin=101.0, end=103.0),
        idle.Unit(0.2, ONE, queued=103.0, starting=104.0, begin=104.0, end=106.0),
        idle.Unit(0.3, OTHER, queued=103.0, starting=103.5, begin=105.0, end=106.0),
    ]
