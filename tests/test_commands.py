"""The commands as a user types them, small: each does its work, and a second call repeats nothing."""

import html
import re
import shlex
import shutil
from pathlib import Path

import pytest
import ray
import torch

from glad_ray.cli import main
from glad_ray.networks import build_network
from glad_ray.results import read_results
from glad_ray.spec import Network, RandomStyleGAN
from glad_ray.storage import Storage
from glad_ray.synthetic_set import SyntheticSet
from tests.generators.kinds import write_stylegan

OFFICIAL = Path(__file__).parent / "golden" / "stylegan_xl" / "official_super.pkl"

SWEEP = """
import glad_ray
from glad_ray import DM, Evaluation, Network, RandomReal, Run, Sweep

def sweep():
    base = Run(algorithm=RandomReal(), resolution=32, backbone=Network(width=4), held_out=4)
    evaluation = Evaluation(
        networks=[Network(width=4), Network(name="vgg11", width=2)], repeats=2, epochs=2, test_images=20
    )
    return Sweep(
        name="small", evaluations=evaluation, runs=[base, base.replace(algorithm=DM(iterations=2, real_batch_size=4))]
    )

if __name__ == "__main__":
    glad_ray.main()
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _files(folder):
    return {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*") if path.is_file()}


def test_distill_then_evaluate(capsys):
    words = ["distill", "--algorithm", "dm", "--device", "cpu"]
    words += ["--set", "algorithm.iterations=2", "--set", "backbone.width=4", "--set", "algorithm.real_batch_size=4"]
    assert main(words) == 0
    before = _files("runs")
    (path,) = Path("runs").rglob("synthetic_set.safetensors")
    assert str(path) in capsys.readouterr().out
    assert main(words) == 0
    assert _files("runs") == before

    budget = ["--network", "convnet", "--repeats", "1", "--epochs", "1", "--device", "cpu"]
    budget += ["--set", "evaluation.test_images=20"]
    assert main(["evaluate", str(path), *budget]) == 0
    assert "ConvNet" in capsys.readouterr().out

    for form in ("tensors", "images", "huggingface"):
        assert main(["export", str(path), "--as", form, "--to", form]) == 0
    assert len(list(Path("images").rglob("*.png"))) == 10
    assert Path("huggingface/README.md").exists()
    there = ["evaluate", "tensors/images_best.pt", *budget]
    assert main([*there, "--dataset", "fashion-mnist-sample"]) == 0
    assert "ConvNet" in capsys.readouterr().out
    assert main(there) == 2
    assert "add --dataset" in capsys.readouterr().err
    assert main(["export", str(path), "--to", "images"]) == 2
    assert "not empty" in capsys.readouterr().err


def test_a_whitened_set_from_distilling_to_the_older_codes_files(capsys):
    words = ["distill", "--algorithm", "dm", "--device", "cpu", "--set", "whitening=zca", "--set", "resolution=12"]
    words += ["--set", "algorithm.iterations=2", "--set", "backbone.width=4", "--set", "algorithm.real_batch_size=4"]
    assert main(words) == 0
    (path,) = Path("runs").rglob("synthetic_set.safetensors")
    budget = ["--network", "convnet", "--repeats", "1", "--epochs", "1", "--device", "cpu"]
    budget += ["--set", "evaluation.test_images=20"]
    assert main(["evaluate", str(path), *budget]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(path), *budget, "--whitening", "none"]) == 2
    assert "says zca: leave it out" in capsys.readouterr().err

    assert main(["export", str(path), "--as", "tensors", "--to", "tensors"]) == 0
    assert "--whitening zca" in capsys.readouterr().out
    assert main(["export", str(path), "--to", "ours"]) == 0
    older = ["tensors/images_best.pt", "--dataset", "fashion-mnist-sample"]
    assert main(["evaluate", *older, *budget, "--whitening", "zca"]) == 0
    assert main(["export", *older, "--whitening", "zca", "--to", "theirs"]) == 0
    ours, theirs = (sorted(Path(folder).rglob("*.png")) for folder in ("ours", "theirs"))
    assert len(ours) == 10
    assert [each.read_bytes() for each in ours] == [each.read_bytes() for each in theirs]
    assert main(["evaluate", *older, *budget, "--whitening", "pca"]) == 2


def test_what_is_assumed_of_the_older_codes_files_is_said(capsys):
    assert main(["evaluate", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "taken to be normalised with the dataset's mean and standard deviation" in said
    assert "--whitening" in said


def test_the_whole_dataset_is_not_distilled(capsys):
    assert main(["distill", "--algorithm", "whole", "--device", "cpu"]) == 2
    assert "name it in a sweep" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_plan_explains(capsys):
    Path("small.py").write_text(SWEEP)
    assert main(["plan", "small.py", "--explain", "--set", "profile=reference-code"]) == 0
    printed = capsys.readouterr().out
    assert "profile of these runs: reference-code" in printed
    assert "ImageNet-E" in printed
    assert main(["plan", "small.py", "--only", "algorithm.name=random"]) == 0
    assert "1 of 1 runs to do" in capsys.readouterr().out


def test_distill_in_a_latent_space():
    small = ["channel_max=4", "channel_base=64", "num_layers=4", "w_dim=8"]
    words = ["distill", "--algorithm", "dm", "--space", "f3", "--device", "cpu", "--set", "algorithm.iterations=1"]
    words += [word for field in small for word in ("--set", f"generator.{field}")]
    assert main([*words, "--set", "backbone.width=4", "--set", "algorithm.real_batch_size=4"]) == 0
    assert len(list(Path("runs").rglob("synthetic_set.safetensors"))) == 1


def test_a_small_sweep_runs(capsys):
    Path("large.py").write_text(SWEEP.replace("iterations=2", "iterations=20000").replace("epochs=2", "epochs=1000"))
    assert main(["sweep", "large.py", "--small", "--in-process", "--device", "cpu"]) == 0
    assert "2 of 2 runs finished" in capsys.readouterr().out
    assert Path("runs/small-small/report/index.html").exists()


def test_a_spent_budget_ends_with_code_3_and_a_report(capsys):
    Path("small.py").write_text(SWEEP)
    words = ["sweep", "small.py", "--in-process", "--device", "cpu", "--first", "algorithm.name=random"]
    assert main([*words, "--set", "resources.hours=1e-9"]) == 3
    printed = capsys.readouterr()
    assert "nothing is lost, and the same command goes on with what is left" in printed.err
    assert "0 of 2 runs finished" in printed.out
    assert "Not finished" in Path("runs/small/report/index.html").read_text()
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("distilled  random")


def test_generator_files(capsys):
    shutil.copy(OFFICIAL, "small.pkl")
    assert main(["generator", "inspect", "small.pkl"]) == 0
    printed = capsys.readouterr().out
    assert "StyleGAN-XL, 32 x 32 pixels, 3 channels, 4 classes" in printed
    assert all(f"f{n} " in printed for n in range(8))
    assert "52 x 52" in printed
    assert "non-commercial research" in printed
    assert main(["generator", "convert", "small.pkl"]) == 0
    assert "non-commercial research" in capsys.readouterr().out
    before = _files(".")
    assert {path.name for path in before} == {"small.pkl", "small.json", "small.safetensors"}
    assert main(["generator", "convert", "small.pkl", "--to", "nowhere/small"]) == 2
    assert _files(".") == before
    for name in ("small.json", "small.safetensors"):
        assert main(["generator", "inspect", name]) == 0


@pytest.mark.parametrize("learn", ["false", "true"])
def test_distill_through_a_generator_file(capsys, learn):
    record = RandomStyleGAN(channel_max=4, channel_base=64, num_layers=4, w_dim=8, image_channels=1, classes=10)
    words = ["distill", "--algorithm", "dm", "--space", "f3", "--device", "cpu", "--set", "algorithm.iterations=1"]
    words += ["--generator", str(write_stylegan(Path("prior"), record)), "--set", f"learn_generator={learn}"]
    assert main([*words, "--set", "backbone.width=4", "--set", "algorithm.real_batch_size=4"]) == 0
    (path,) = Path("runs").rglob("synthetic_set.safetensors")
    latents = SyntheticSet.from_bytes(path.read_bytes(), str(path)).latents
    assert set(latents) == ({"f", "w", "g"} if learn == "true" else {"f", "w"})
    # The set is whole without the generator's file.
    Path("prior.json").unlink()
    evaluate = ["evaluate", str(path), "--network", "convnet", "--repeats", "1", "--epochs", "1", "--device", "cpu"]
    assert main([*evaluate, "--set", "evaluation.test_images=20"]) == 0


def test_experts(capsys):
    words = ["experts", "--dataset", "fashion-mnist-sample", "--network", "convnet", "--experts", "2", "--epochs", "1"]
    words += ["--storage", "kept", "--set", "network.width=4", "--set", "resources.experts_together=2"]
    assert main([*words, "--device", "cuda"]) == 2
    assert "--device cuda goes with --in-process" in capsys.readouterr().err
    words += ["--in-process", "--device", "cpu"]
    assert main([*words, "--set", "experts.lr=1e30"]) == 1
    said = capsys.readouterr().err
    assert "the loss of expert 0 is nan in epoch 0: lower the experts' lr" in said
    assert said.count("\n") == 1
    assert not Path("kept/experts").exists()
    assert main(words) == 0
    before = _files("kept/experts")
    assert len(before) == 2
    assert main(words) == 0
    assert _files("kept/experts") == before
    assert "2 experts x 1 epochs" in capsys.readouterr().out


def test_experts_of_the_older_code(capsys):
    network = build_network(Network(width=4), channels=1, resolution=28, classes=10, rng=torch.Generator())
    snapshot = [parameter.detach() for parameter in network.parameters()]
    trajectories = [[snapshot, [value + 1 for value in snapshot]], [snapshot, [value + 2 for value in snapshot]]]
    torch.save(trajectories, "replay_buffer_0.pt")
    words = ["experts", "--dataset", "fashion-mnist-sample", "--experts", "2", "--epochs", "1", "--storage", "kept"]
    words += ["--in-process", "--device", "cpu", "--from", "replay_buffer_0.pt"]
    assert main([*words, "--set", "network.width=8"]) == 2
    assert "width" in capsys.readouterr().err
    assert main([*words, "--set", "network.width=4"]) == 0
    before = _files("kept")
    assert len(before) == 2
    # They are there for good: nothing is trained beside them.
    assert main([*words[:-2], "--set", "network.width=4"]) == 0
    assert _files("kept") == before


@pytest.mark.full
def test_the_command_on_the_page_of_a_run_makes_it_again():
    Path("small.py").write_text(SWEEP)
    here = ["--in-process", "--device", "cpu"]
    assert main(["sweep", "small.py", *here]) == 0
    page = html.unescape(Path("runs/small/report/index.html").read_text())
    before = read_results(Storage.open("runs/small", create=False)).to_pylist()
    run_id = before[-1]["run_id"]
    (command,) = re.findall(rf"glad-ray (sweep .*run_id={run_id} .*)</pre>", page)
    words = shlex.split(command)
    assert main([*words, *here]) == 0
    again = read_results(Storage.open(words[-1], create=False)).to_pylist()
    kept = ("run_id", "evaluation_id", "selection", "step", "network", "repeat", "accuracy")
    rows = [[{name: row[name] for name in kept} for row in of if row["run_id"] == run_id] for of in (before, again)]
    assert rows[0] == rows[1]
    assert len(again) == len(rows[1]) > 0


def test_sweep_in_process_then_report(capsys):
    Path("small.py").write_text(SWEEP)
    words = ["sweep", "small.py", "--in-process", "--device", "cpu"]
    assert main(words) == 0
    storage = Storage.open("runs/small", create=False)
    table = read_results(storage)
    assert table.num_rows == 2 * 3 * 2 * 2  # runs, selections, networks, repeats
    assert set(table["selection"].to_pylist()) == {"last", "held-out", "best-on-test"}
    before = _files("runs/small/runs") | _files("runs/small/results")
    assert main(words) == 0
    assert (_files("runs/small/runs") | _files("runs/small/results")) == before

    Path("runs/small/report/index.html").unlink()
    capsys.readouterr()
    assert main(["report", "runs/small"]) == 0
    assert Path("runs/small/report/index.html").is_file()
    assert main(["plan", "small.py"]) == 0
    assert "0 of 2 runs to do" in capsys.readouterr().out


def test_a_failed_run_is_told_and_the_others_go_on(capsys):
    Path("small.py").write_text(SWEEP)
    words = ["sweep", "small.py", "--in-process", "--device", "cpu", "--set", "algorithm.learning_rates.pixels=1e30"]
    assert main(words) == 1
    captured = capsys.readouterr()
    assert "1 of 2 runs failed" in captured.err
    assert "not finite at step" in captured.out
    assert len(set(read_results(Storage.open("runs/small"))["run_id"].to_pylist())) == 1
    assert "not finite at step" in Path("runs/small/report/index.html").read_text()


def test_more_than_the_machine_has_is_told_before_anything_starts(capsys):
    Path("small.py").write_text(SWEEP)
    before = ray.is_initialized()
    assert main(["sweep", "small.py", "--set", "resources.trial.gpus=64"]) == 2
    captured = capsys.readouterr()
    assert "resources.trial.gpus=64" in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert not _files("runs")
    assert ray.is_initialized() == before, "a Ray of its own has ended"


@pytest.mark.parametrize(
    ("where", "cannot_be"),
    [
        ('"vgg11", width=2', '"tests.no_such_module:network"'),
        ("RandomReal()", 'RandomReal(), dataset="cifar10"'),
        ("repeats=2", 'repeats=2, metrics=["tests.no_such_module:metric"]'),
    ],
    ids=["network", "dataset", "metric"],
)
def test_what_cannot_be_is_refused_before_anything_is_written(where, cannot_be, capsys):
    Path("small.py").write_text(SWEEP.replace(where, cannot_be))
    assert main(["sweep", "small.py", "--in-process", "--device", "cpu"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not _files("runs")


def test_corrupt_data_names_the_file(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("GLAD_RAY_DATA", str(tmp_path / "data"))
    folder = tmp_path / "data"
    folder.mkdir()
    for split in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            (folder / f"{split}-{kind}-ubyte").write_bytes(b"\x00\x00\x08\x03 not what it says")
    words = ["distill", "--dataset", "fashion-mnist", "--device", "cpu"]
    assert main(words) == 2
    err = capsys.readouterr().err
    assert "-ubyte" in err
    assert len(err.strip().splitlines()) == 1
