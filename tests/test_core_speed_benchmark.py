"""benchmarks/core_speed.py: all pieces at sizes that measure nothing, its page, processes in turn, and layers alone."""

import importlib
import math
import re
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from glad_ray.networks import build_network
from glad_ray.spec import Network
from glad_ray.spec.networks import PAPER_NETWORKS

ROOT = Path(__file__).parent.parent
PIECES = ["DC", "DM", "MTT (TESLA)", "MTT (exact)", "experts", "ConvNet", "AlexNet", "VGG11", "ResNet18", "ViT"]


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.fixture
def command(monkeypatch):
    """The benchmark, called with arguments; returns its exit code."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["core_speed.py", *map(str, arguments)])
        return importlib.import_module("core_speed").main()

    return run


def rows_of(page):
    """The cells of the table of times, by the titles of their columns."""
    titles, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page[page.index("| piece |") :].splitlines()
        if line.startswith("|")
    ]
    return [dict(zip(titles, row, strict=True)) for row in rows]


def ratio(cell):
    found = float(cell)
    assert math.isfinite(found)
    return found


@pytest.mark.full
@pytest.mark.parametrize("candidate", ["ours", "layers"])
@pytest.mark.parametrize("piece", PIECES)
def test_every_piece_makes_one_unit_after_another(piece, candidate, monkeypatch):
    import core_pieces

    monkeypatch.setattr(core_pieces, "keep_freed_memory", lambda: None)
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)
    made = []

    def after_unit():
        made.append(piece)
        if len(made) == 2:
            raise EnoughError

    with pytest.raises(EnoughError):
        core_pieces.work(piece, candidate, None, quick=True)(after_unit)


class EnoughError(BaseException):
    """Ends a piece that would go on."""


def test_all_pieces_are_measured():
    import core_pieces

    assert (
        [*core_pieces.pieces(core_pieces.Setting(torch.device("cpu"), quick=True))] == PIECES == [*core_pieces.SHARES]
    )


@pytest.mark.cluster
@pytest.mark.full
def test_the_page(command, tmp_path, capsys):
    page, some = tmp_path / "performance.md", ["DM", "ConvNet"]
    assert command("--quick", "--only", *some, "--page", page) == 0
    text = page.read_text()
    assert capsys.readouterr().out == f"{text}\n"
    rows = rows_of(text)
    assert [row["piece"] for row in rows] == some
    for row in rows:
        assert re.fullmatch(r"\S+ \(\S+\)", row["ours"])
        assert ratio(row["ours / layers"]) > 0
    assert "released" not in rows[0], "no column where nothing was measured"
    assert "The released code was not measured" in text


@pytest.mark.cluster
@pytest.mark.full
def test_two_checkouts(command, capsys):
    assert command("--quick", "--only", "DM", "--before", ROOT) == 0
    page = capsys.readouterr().out
    (row,) = rows_of(page)
    assert ratio(row["before / ours"]) > 0
    assert str(ROOT) not in page, "paths of this machine are not for others"


@pytest.mark.cluster
@pytest.mark.full
def test_a_checkout_that_cannot_be_measured(command, tmp_path, capfd):
    (tmp_path / "glad_ray").mkdir()
    (tmp_path / "glad_ray" / "__init__.py").touch()
    (tmp_path / "glad_ray" / "errors.py").write_text("class UserError(Exception): pass")
    assert command("--quick", "--only", "DM", "--before", tmp_path) == 2
    error = capfd.readouterr().err
    assert error.startswith("DM, before: ModuleNotFoundError: No module named 'glad_ray.")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--reference", "No released code in"),
        ("--before", "No checkout of glad_ray in"),
        ("--page", "No folder"),
    ],
)
def test_paths_that_are_not_there(option, expected, command, tmp_path, capsys):
    assert command(option, tmp_path / "nowhere" / "page.md") == 2
    error = capsys.readouterr().err
    assert error.startswith(expected)
    assert error.count("\n") == 1


def test_the_table_has_medians_and_ratios_of_cpu_seconds():
    import core_speed
    from timing import Timing

    def turns(*cpu):
        return [Timing(wall=9.0, cpu=each) for each in cpu]

    measured = {
        ("DC", "a step"): {"ours": turns(1.0, 2.0, 7.0), "released": turns(5.0, 6.0, 1.0), "layers": turns(1.0, 1.0)},
        ("MTT", "a step"): {"ours": turns(3.0), "layers": turns(2.0)},
    }
    first, second = rows_of(core_speed.table(measured, {"ours", "released", "layers"}))
    assert (first["rounds"], first["ours"], first["released"]) == ("3", "2 (9)", "5 (9)")
    assert (first["released / ours"], first["ours / layers"]) == ("2.50", "2.00")
    assert (second["released"], second["released / ours"], second["ours / layers"]) == ("", "", "1.50")


def test_rounds_end_with_the_time(monkeypatch):
    import timing

    clock = [0.0]
    monkeypatch.setattr(timing.time, "monotonic", lambda: clock[0])

    def turn():
        clock[0] += 1
        return timing.Timing(1.0, clock[0])

    taken = timing.in_turn({"one": turn, "other": turn}, 10, seconds=9)
    assert [each.cpu for each in taken["one"]] == [3, 5, 7], (
        "the first turn does not count, the fifth would end too late"
    )
    assert len(timing.in_turn({"one": turn}, 10, seconds=0)["one"]) == 2
    assert timing.median(taken["other"]) == (1.0, 6.0)


WORK = """
def work(fails):
    def units(after_unit):
        print("not an answer")
        after_unit()
        if fails:
            raise ImportError("there is none")
        after_unit()
        raise AssertionError("nobody asked for more")
    return units
"""


def test_work_in_another_process(tmp_path, capfd):
    import turns

    (tmp_path / "some_work.py").write_text(WORK)
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    with turns.Candidate("some", "some_work", {"fails": False}, environment) as candidate:
        assert all(each >= 0 for _ in range(2) for each in candidate.turn())
    assert candidate._process.returncode == 0
    assert "AssertionError" not in capfd.readouterr().err
    failing = turns.Candidate("some", "some_work", {"fails": True}, environment)
    with failing, pytest.raises(turns.UserError, match="some: ImportError: there is none"):
        [failing.turn() for _ in range(2)]


def classifier(name):
    network = Network(name=name, width=8)
    rng = torch.Generator().manual_seed(0)
    return network, build_network(network, channels=3, resolution=32, classes=10, rng=rng)


@pytest.mark.parametrize("name", PAPER_NETWORKS)
def test_layers_alone_multiply_as_often_as_a_network(name):
    import layers_alone

    network, built = classifier(name)
    images = torch.randn(3, 3, 32, 32, requires_grad=True)

    def work(after_unit):
        while True:
            built(images).sum().backward()
            after_unit()

    calls = layers_alone.calls_of_a_unit(work)
    with FlopCounterMode(display=False) as counter:
        layers_alone.made_alone(calls)()
    shape = network.shape(channels=3, resolution=32, classes=10)
    attention = sum(layer.others.multiply_adds for layer in shape.layers if hasattr(layer, "others"))
    # Forward, and the gradients of what a layer is given and of its weights.
    assert counter.get_total_flops() == 3 * 2 * len(images) * (shape.multiply_adds - attention)


def test_layers_alone_are_those_of_second_derivatives_too():
    import layers_alone

    _, built = classifier("convnet")
    images = torch.randn(3, 3, 32, 32, requires_grad=True)

    def unit():
        grads = torch.autograd.grad(built(images).sum(), tuple(built.parameters()), create_graph=True)
        sum(grad.square().sum() for grad in grads).backward()

    def work(after_unit):
        while True:
            unit()
            after_unit()

    def layers_in(call):
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            call()
        names = {f"aten::{operation._overloadpacket.__name__}" for operation in layers_alone.OF_LAYERS}
        return Counter(event.name for event in profiled.events() if event.name in names)

    found = layers_in(layers_alone.made_alone(layers_alone.calls_of_a_unit(work)))
    assert found == layers_in(unit)
    assert found["aten::convolution"] > 6, "three layers, forward, and more than once in second derivatives"


def test_layouts_are_kept():
    import layers_alone

    for tensor in (torch.empty(2, 3).T, torch.empty(3, 1).expand(3, 4), torch.empty(8)[::2], torch.empty(0, 3)):
        made = layers_alone._layout(tensor).random()
        assert (made.shape, made.stride(), made.dtype) == (tensor.shape, tensor.stride(), tensor.dtype)
