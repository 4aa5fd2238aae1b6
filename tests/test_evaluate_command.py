"""`glad-ray evaluate`: checked whole before it starts, every training kept, none made twice, whatever ends it."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch

from glad_ray.cli import main
from glad_ray.errors import RunError
from glad_ray.results import Training, write_trainings
from glad_ray.score import Scoring
from glad_ray.set_evaluation import Inputs, evaluate_set, training_set_of
from glad_ray.spec import Evaluation, Network
from glad_ray.spec.foreign_set import read_origin
from tests.exchange.sets import FACTS, made_set

SETTINGS = {"ema_decay": 0.9, "learning_rates": {"convnet": 0.01, "alexnet": 0.01}}


class Trainings:
    """In the place of training: what was asked for, and what is to happen at which training."""

    def __init__(self):
        self.made = []
        self.at = {}
        """by the name of the network and the repeat: called instead of training it"""
        self.labels = None

    def __call__(self, training_set, inputs, repeats):
        yield from (self.one(training_set, inputs, repeat) for repeat in repeats)

    def one(self, training_set, inputs, repeat):
        network = inputs.network
        self.labels = training_set.labels
        self.at.pop((network.name, repeat), lambda: None)()
        self.made.append((network.name, repeat))
        return Training(
            step=training_set.step,
            network=network.key,
            repeat=repeat,
            accuracy=(1 + len(self.made)) / 100,
            held_out_accuracy=None,
            learning_rate=inputs.evaluation.learning_rate(network),
            seconds=1.0,
            peak_memory_bytes=0,
            device="cpu",
            metrics=dict.fromkeys(inputs.evaluation.metrics, repeat / 4),
        )


@pytest.fixture
def trainings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    torch.save(made_set().images, "images_best.pt")
    torch.save(made_set().labels, "labels_best.pt")
    made = Trainings()
    monkeypatch.setattr("glad_ray.score.evaluate_set", made)
    return made


def evaluate(*words, networks=("convnet", "alexnet"), repeats=2, images="images_best.pt"):
    named = [word for network in networks for word in ("--network", network)]
    start = ["evaluate", images, "--dataset", FACTS.name, "--device", "cpu", "--epochs", "3"]
    return main([*start, *named, "--repeats", str(repeats), *words])


def numbered(*names, repeats=range(2)):
    return [(name, repeat) for name in names for repeat in repeats]


def table_rows(out):
    """The rows of the last table printed: network and repeats."""
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if line.startswith("│")]
    return {cell[0]: cell[2] for cell in cells}


def test_the_same_command_again_trains_nothing_and_shows_the_same(trainings, capsys):
    assert evaluate() == 0
    assert trainings.made == numbered("convnet", "alexnet")
    first = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert evaluate() == 0
    assert trainings.made == numbered("convnet", "alexnet")
    second = capsys.readouterr().out
    assert [line for line in second.splitlines() if line.startswith("│")] == first
    assert "trained" not in second


def test_of_a_set_alone_there_is_no_report(trainings, capsys):
    assert evaluate("--storage", "kept") == 0
    before = sorted(Path("kept").rglob("*"))
    capsys.readouterr()
    assert main(["report", "kept"]) == 2
    assert "the same `glad-ray evaluate` command prints again" in " ".join(capsys.readouterr().err.split())
    assert sorted(Path("kept").rglob("*")) == before


def test_more_repeats_and_other_networks_train_only_what_is_missing(trainings, capsys):
    assert evaluate(networks=["convnet"]) == 0
    assert evaluate(networks=["vgg11", "convnet"], repeats=3) == 0
    assert trainings.made[2:] == [*numbered("vgg11", repeats=range(3)), ("convnet", 2)]
    assert table_rows(capsys.readouterr().out)["ConvNet"] == "3"
    assert evaluate(networks=["convnet"], repeats=1) == 0
    assert table_rows(capsys.readouterr().out) == {"ConvNet": "1"}
    assert len(trainings.made) == 6


@pytest.mark.parametrize(
    "words",
    [
        ["--epochs", "4"],
        ["--set", "evaluation.batch_size=128"],
        ["--set", "evaluation.test_images=50"],
        ["--set", "evaluation.augmentation=flip"],
        ["--set", 'evaluation.learning_rates={"convnet": 0.5}'],
        ["--storage", "elsewhere"],
    ],
)
def test_what_decides_an_accuracy_is_trained_anew(words, trainings):
    assert evaluate(networks=["convnet"]) == 0
    assert evaluate(*words, networks=["convnet"]) == 0
    assert trainings.made == 2 * numbered("convnet")


def test_another_set_in_the_same_file_is_trained_anew(trainings):
    assert evaluate(networks=["convnet"]) == 0
    torch.save(made_set().images + 1e-3, "images_best.pt")
    assert evaluate(networks=["convnet"]) == 0
    torch.save(made_set().images, "moved.pt")
    assert evaluate("--labels", "labels_best.pt", networks=["convnet"], images="moved.pt") == 0
    assert trainings.made == 2 * numbered("convnet")


def test_what_does_not_decide_it_is_not(trainings):
    assert evaluate(networks=["convnet"]) == 0
    rates = 'evaluation.learning_rates={"convnet": 0.001, "alexnet": 7.0}'
    assert evaluate("--set", rates, "--set", "evaluation.whole_dataset_epochs=5", networks=["convnet"]) == 0
    assert trainings.made == numbered("convnet")


@pytest.mark.parametrize(
    ("words", "networks", "sentence"),
    [
        ([], ["convnet", "tests.networks.other_networks:maps_instead"], "maps_instead gives a tensor of shape"),
        ([], ["convnet", "no.such_module:network"], "no.such_module"),
        (["--set", "evaluation.test_images=1001"], ["convnet"], "1001 test images"),
        (["--set", "evaluation.learned_step_size=true"], ["convnet"], "no learned step size"),
        (["--set", "evaluation.labels=soft"], ["convnet"], "--label-kind"),
        (["--set", "evaluation.labels=online"], ["convnet"], "labels at every step is trained by a sweep alone"),
        (["--set", "evaluation.batch_size=1"], ["convnet", "torchvision.models:resnet18"], "single image"),
        (["--storage", "/dev/null/x"], ["convnet"], "cannot be used"),
    ],
)
def test_nothing_is_trained_or_written_where_a_later_one_cannot_be(
    words, networks, sentence, trainings, capsys, tmp_path
):
    before = sorted(tmp_path.rglob("*"))
    assert evaluate(*words, networks=networks) == 2
    out, err = capsys.readouterr()
    assert sentence in err
    assert err.count("\n") == 1
    assert not [line for line in out.splitlines() if not line.startswith("prepared")]
    assert trainings.made == []
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_what_was_finished(number, code, trainings, capsys):
    trainings.at["alexnet", 1] = lambda: os.kill(os.getpid(), number)
    assert evaluate() == code
    out, err = capsys.readouterr()
    assert table_rows(out) == {"ConvNet": "2", "AlexNet": "1 of 2"}
    assert err.startswith("glad-ray: Interrupted")
    assert err.count("\n") == 1
    assert evaluate() == 0
    assert trainings.made == numbered("convnet", "alexnet")


def failing(error):
    def fail():
        raise error

    return fail


@pytest.mark.parametrize(
    "error", [RunError("the training loss is nan"), torch.OutOfMemoryError("too large"), ValueError("odd")]
)
def test_a_network_that_fails_leaves_the_others(error, trainings, capsys):
    trainings.at["convnet", 1] = failing(error)
    assert evaluate() == 1
    out, err = capsys.readouterr()
    assert table_rows(out) == {"ConvNet": "1 of 2", "AlexNet": "2"}
    assert "1 of 2 networks failed" in err
    assert str(error) in err
    assert err.count("\n") == 1
    assert trainings.made == [("convnet", 0), *numbered("alexnet")]
    assert evaluate() == 0
    assert trainings.made[3:] == [("convnet", 1)]


def test_a_training_is_not_made_again_where_storage_takes_it_late(trainings, monkeypatch):
    refused = []

    def write(*arguments):
        if not refused:
            refused.append(arguments)
            raise OSError(28, "No space left on device")
        write_trainings(*arguments)

    monkeypatch.setattr("glad_ray.score.write_trainings", write)
    monkeypatch.setattr("glad_ray.progress.faults.pause_seconds", lambda tries: 0)
    assert evaluate(networks=["convnet"]) == 0
    assert len(refused) == 1
    assert trainings.made == numbered("convnet")


def test_a_damaged_file_is_told_and_made_again(trainings, tmp_path, capsys):
    assert evaluate(networks=["convnet"]) == 0
    (kept,) = tmp_path.rglob("convnet.parquet")
    kept.write_bytes(kept.read_bytes()[:-20])
    assert evaluate(networks=["convnet"]) == 0
    assert "again      ConvNet" in capsys.readouterr().out
    assert trainings.made == 2 * numbered("convnet")


def test_two_commands_at_once_keep_what_either_made(trainings):
    """While the third training goes on, another command makes it and a fourth one."""
    trainings.at["convnet", 2] = lambda: evaluate(networks=["convnet"], repeats=4)
    assert evaluate(networks=["convnet"], repeats=3) == 0
    made = list(trainings.made)
    assert evaluate(networks=["convnet"], repeats=4) == 0
    assert trainings.made == made


@pytest.mark.parametrize("kind", ["probabilities", "logits"])
def test_soft_labels_of_the_older_code_are_trained_on(kind, trainings, tmp_path):
    logits = torch.randn(20, 10, generator=torch.Generator().manual_seed(0))
    soft = (logits / 3).softmax(1)
    torch.save(soft if kind == "probabilities" else logits, "soft.pt")
    words = ["--labels", "soft.pt", "--label-kind", kind, *(["--temperature", "3"] if kind == "logits" else [])]
    assert evaluate(*words, networks=["convnet"], repeats=1) == 0
    torch.testing.assert_close(trainings.labels, soft)
    assert evaluate(*words, "--set", "evaluation.labels=hard", networks=["convnet"], repeats=1) == 0
    assert torch.equal(trainings.labels, logits.argmax(1))
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("set.json")]
    assert [record["soft_labels"] for record in records] == [True]


def test_a_score_is_the_one_that_a_sweep_would_give(storage):
    synthetic = made_set()
    evaluation = Evaluation(networks=[Network(width=4)], repeats=2, epochs=2, test_images=50, **SETTINGS)
    scoring, told = Scoring.prepare(synthetic, evaluation), []
    scoring.train(evaluation.networks[0], storage, device="cpu", on_training=told.append)
    decided = evaluation.decided_for(read_origin(synthetic.run))
    where = torch.device("cpu")
    for training in told:
        (expected,) = evaluate_set(
            training_set_of(synthetic, "hard", None, where),
            Inputs(read_origin(synthetic.run).run_id, decided, evaluation.networks[0], scoring.dataset, where),
            [training.repeat],
        )
        assert training.accuracy == expected.accuracy
    assert [training.repeat for training in told] == [0, 1]


def test_metrics_are_printed_by_network(trainings, capsys):
    assert evaluate("--set", 'evaluation.metrics=["per_class_accuracy"]') == 0
    (row,) = (line for line in capsys.readouterr().out.splitlines() if "per_class_accuracy" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["per_class_accuracy", "0.125", "0.125"]


def test_a_metric_that_is_not_there_is_told_before_the_first_training(trainings, capsys):
    assert evaluate("--set", 'evaluation.metrics=["nowhere:metric"]') == 2
    assert "Metric nowhere:metric: nowhere cannot be imported" in capsys.readouterr().err
    assert not trainings.made


def test_a_set_of_ours_takes_no_options_of_the_older_code(trainings, tmp_path, capsys):
    (tmp_path / "set.safetensors").write_bytes(made_set().to_bytes())
    assert evaluate(networks=["convnet"], images="set.safetensors") == 2
    assert "--dataset" in capsys.readouterr().err
    words = ["evaluate", "set.safetensors", "--network", "convnet", "--repeats", "1", "--device", "cpu"]
    assert main(words) == 0
    assert trainings.made == [("convnet", 0)]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"images": torch.zeros(20, 1, 28, 28).fill_(float("nan"))}, "images"),
        ({"images": torch.zeros(20, 1, 32, 32)}, "images"),
        ({"labels": torch.full((20,), 10)}, "label"),
        ({"labels": torch.zeros(19, dtype=torch.int64)}, "label"),
    ],
)
def test_a_set_that_is_not_what_its_record_says_is_refused(fields, sentence, trainings, tmp_path, capsys):
    (tmp_path / "set.safetensors").write_bytes(made_set(**fields).to_bytes())
    assert main(["evaluate", "set.safetensors", "--network", "convnet", "--device", "cpu"]) == 2
    assert sentence in capsys.readouterr().err
    assert trainings.made == []
