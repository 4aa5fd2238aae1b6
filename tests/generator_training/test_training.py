import contextlib
import os
import subprocess
import sys
import time
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

from glad_ray import Run
from glad_ray.cli import main
from glad_ray.data import load_dataset
from glad_ray.engine.on_ray.train_generator import train_generator_on_ray
from glad_ray.errors import DataError, StoppedError, UserError
from glad_ray.generator_training.adversarial import AdversarialStage
from glad_ray.generator_training.base import Setting
from glad_ray.generator_training.checkpoint import read_checkpoint
from glad_ray.generator_training.classifier import trained_classifier
from glad_ray.generator_training.train import trained_features
from glad_ray.generators import build_generator
from glad_ray.progress.events import GeneratorAdvanced, GeneratorScored
from glad_ray.results.generator_card import GeneratorCard
from glad_ray.spec import Bundle
from glad_ray.spec.generator_training import STAGES, GeneratorTraining
from glad_ray.storage import Storage
from tests.faults.processes import until
from tests.generator_training.trainings import StopAtEachStep, assignments, made, training_of, write_folders


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Storage, GeneratorTraining, GeneratorCard]:
    folder, training = tmp_path_factory.mktemp("trained"), training_of()
    return Storage.open(folder), training, made(training, folder)


def stage_tensors(storage: Storage, training: GeneratorTraining, stage: str) -> dict[str, torch.Tensor]:
    tensors = load_file(storage.local_path(storage.generator_stage_path(training.stored_id, stage)))
    del tensors["seconds"]
    return tensors


def test_a_training_that_is_stopped_after_every_step_ends_as_one_that_is_not(trained, tmp_path):
    whole, training, card = trained
    stop = StopAtEachStep()
    for _ in range(20):
        try:
            again = made(training, tmp_path, stop)
            break
        except StoppedError:
            continue
    assert stop.seen == [(stage, step) for stage in STAGES for step in (1, 2)]
    for stage in STAGES:
        one, other = (stage_tensors(each, training, stage) for each in (whole, Storage.open(tmp_path)))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one), stage
    assert again.sha256 == card.sha256
    assert again.scores == card.scores


def test_a_finished_training_is_not_repeated(trained):
    storage, training, card = trained
    stop = StopAtEachStep()
    assert made(training, storage.local_path(""), stop) == card
    assert stop.seen == []


def test_more_adversarial_steps_go_on_from_fewer(trained, tmp_path):
    _, training, card = trained
    made(training.replace(adversarial_steps=1), tmp_path)
    stop = StopAtEachStep()
    again = made(training, tmp_path, stop)
    assert stop.seen == [("adversarial", 2)]
    assert again.sha256 == card.sha256
    with pytest.raises(UserError, match="has made 2 steps already, and 1 are asked for"):
        made(training.replace(adversarial_steps=1), tmp_path)


def test_guidance_adds_how_badly_the_classifier_of_the_features_names_samples(trained, monkeypatch):
    storage, before, _ = trained
    training = before.replace(guidance_weight=3.0)
    assert training.stored_id != before.stored_id == before.replace(guidance_weight=0.0).stored_id
    setting = Setting(training, load_dataset(training.dataset, resolution=16), torch.device("cpu"))
    done = {
        stage: read_checkpoint(storage, storage.generator_stage_path(before.stored_id, stage))
        for stage in ("features", "autoencoder")
    }
    stage = AdversarialStage(setting, trained_features(setting, done), done["autoencoder"].tensors)
    labels, _, images = stage._pair("generator step", 0)
    classifier = trained_classifier(setting, "features", done["features"].tensors)
    guidance = torch.nn.functional.cross_entropy(classifier(images), labels)
    minimised = []
    monkeypatch.setattr(stage._of_generator, "step", minimised.append)
    losses = stage._generator_step(0)
    assert losses["guidance"] == pytest.approx(float(guidance.detach()))
    assert float(minimised[0].detach()) == pytest.approx(losses["generator"] + 3 * losses["guidance"])


def test_the_autoencoders_loss_may_stay_and_trains_the_encoder_on(trained, tmp_path):
    _, before, _ = trained
    training = before.replace(autoencoder_weight=1.0)
    assert training.stored_id != before.stored_id == before.replace(autoencoder_weight=0.0).stored_id
    stop = StopAtEachStep()
    for _ in range(20):
        with contextlib.suppress(StoppedError):
            made(training, tmp_path / "stopped", stop)
            break
    card = made(training, tmp_path / "whole")
    stopped, whole = (Storage.open(tmp_path / name) for name in ("stopped", "whole"))
    adversarial = stage_tensors(whole, training, "adversarial")
    again = stage_tensors(stopped, training, "adversarial")
    assert all(torch.equal(again[name], value) for name, value in adversarial.items())
    autoencoder = stage_tensors(whole, training, "autoencoder")
    of_encoder = [name for name in autoencoder if name.startswith("tensors/encoder/")]
    assert of_encoder
    assert not any(torch.equal(autoencoder[name], adversarial[name]) for name in of_encoder)
    held = load_file(whole.local_path(whole.generator_file_path(training.stored_id)).with_suffix(".safetensors"))
    kept = {name: value for name, value in held.items() if name.startswith("encoder.")}
    assert len(kept) == len(of_encoder)
    assert all(torch.equal(value, adversarial[f"tensors/encoder/{name[8:]}"]) for name, value in kept.items())
    assert card.training == training


@pytest.mark.parametrize("source", ["autoencoder", "random weights"])
def test_what_a_generator_is_compared_with_is_one_too(trained, source):
    storage, training, card = trained
    path = str(storage.local_path(storage.generator_control_path(training.stored_id, source)))
    run = Run(dataset=training.dataset, resolution=16, algorithm="dm", space="f2", generator=path)
    assert run.generator.sha256 != card.sha256
    generator = build_generator(run.generator)
    latents = generator.init("f2", torch.tensor([0, 3]), torch.Generator().manual_seed(0), "sampled")
    assert generator.decode("f2", latents).shape == (2, 1, 16, 16)


def test_a_damaged_checkpoint_is_told_of(trained, tmp_path):
    _, training, _ = trained
    with pytest.raises(StoppedError):
        made(training, tmp_path, lambda advance: False)
    path = tmp_path / Storage.generator_checkpoint_path(training.stored_id)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"checkpoint\.safetensors is damaged"):
        made(training, tmp_path)


def test_every_stage_moves_what_it_trains(trained):
    storage, training, _ = trained
    autoencoder, adversarial = (stage_tensors(storage, training, stage) for stage in ("autoencoder", "adversarial"))
    names = [name for name in autoencoder if name.startswith("tensors/average/") and name.endswith(".weight")]
    assert names
    assert any(not torch.equal(autoencoder[name], adversarial[name]) for name in names)
    gains = [name for name in autoencoder if name.endswith("magnitude_ema")]
    assert all(torch.equal(autoencoder[name], adversarial[name]) for name in gains)


def test_the_file_is_a_generator_that_runs_know_by_its_hash(trained):
    storage, training, card = trained
    run = Run(
        dataset=training.dataset,
        resolution=training.resolution,
        algorithm="dm",
        space="f2",
        generator=str(storage.local_path(storage.generator_file_path(training.stored_id))),
        init="real",
    )
    assert run.generator.sha256 == card.sha256
    assert run.generator.licence == ""
    assert "real" in run.generator.inits
    again = Run.model_validate_json(run.model_dump_json())
    assert again.run_id == run.run_id
    generator = build_generator(run.generator)
    labels, rng = torch.tensor([0, 3, 9]), torch.Generator().manual_seed(0)
    for space in run.generator.spaces:
        latents = generator.init(space, labels, rng, "sampled")
        images = generator.decode(space, latents)
        assert images.shape == (3, 1, 16, 16)
        grads = generator.pullback(space, latents, torch.ones_like(images))
        assert all(bool(grads[kind].abs().sum() > 0) for kind in latents)


def test_latents_start_from_real_images_by_the_encoder(trained):
    storage, training, _ = trained
    path = str(storage.local_path(storage.generator_file_path(training.stored_id)))
    record = Run(algorithm="dm", dataset=training.dataset, resolution=16, space="w+", generator=path).generator
    generator = build_generator(record)
    labels, rng = torch.tensor([1, 1, 1]), torch.Generator().manual_seed(0)
    images = torch.rand(3, 1, 16, 16, generator=rng) * 2 - 1
    images[1] = images[0]
    codes = generator.init("w+", labels, rng, "real", images)["w"]
    # The place in a batch may decide the last bits.
    torch.testing.assert_close(codes[0], codes[1])
    assert not torch.allclose(codes[0], codes[2])
    with pytest.raises(UserError, match="needs real images"):
        generator.init("w+", labels, rng, "real")


def test_the_card_says_what_was_done_and_reads_back(trained):
    storage, training, card = trained
    again = GeneratorCard.model_validate_json(storage.read_bytes(storage.generator_card_path(training.stored_id)))
    assert again == card
    assert [scores.source for scores in card.scores] == [
        "adversarial",
        "adversarial at truncation 0.8",
        "autoencoder",
        "random weights",
        "real training images",
    ]
    assert card.seconds.keys() == {*STAGES, "scores"}
    assert all(len(scores.recall_by_class) == 10 for scores in card.scores)


def test_without_adversarial_steps_the_autoencoder_is_the_result(tmp_path):
    card = made(training_of(adversarial_steps=0, score_truncation=1), tmp_path)
    assert [scores.source for scores in card.scores] == ["autoencoder", "random weights", "real training images"]


@pytest.mark.parametrize(
    ("counts", "side", "colour"),
    [
        ({"cat": (9, 3), "dog": (3, 2), "newt": (1, 1)}, 64, True),
        ({"one": (4, 2), "two": (2, 2)}, 28, False),
    ],
)
def test_own_images_of_unequal_classes(tmp_path, counts, side, colour):
    name = write_folders(tmp_path / "images", counts, side, colour)
    training = training_of(name, side, scorer={"name": "resnet18", "width": 4})
    card = made(training, tmp_path / "out")
    assert card.class_names == tuple(counts)
    assert card.scores[0].images_per_class == min(test for _, test in counts.values())


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"resolution": 50}, "cannot have 50 pixels"),
        ({"scorer": "convnet"}, "name another architecture"),
        ({"scorer": "torchvision.models:resnet18"}, "name one of alexnet, vgg11, resnet18 and vit"),
        ({"dataset": "fashion"}, "Did you mean 'fashion-mnist'"),
        ({"batch_size": 1}, "batch_size"),
    ],
)
def test_mistakes_are_one_sentence(fields, sentence):
    with pytest.raises(UserError, match=sentence):
        training_of(**fields)


def test_one_class_is_refused(tmp_path):
    with pytest.raises(UserError, match="has a single class"):
        training_of(write_folders(tmp_path, {"only": (2, 2)}), 64)


def test_scores_do_not_make_another_training():
    assert training_of(score_epochs=7, score_truncation=0.5).stored_id == training_of().stored_id
    assert training_of(seed=1).stored_id != training_of().stored_id


def test_the_command_stops_at_its_hours_and_goes_on(tmp_path, capsys):
    training = training_of()
    words = ["generator", "train", "--dataset", training.dataset, "--resolution", "16", "--storage", str(tmp_path)]
    words += ["--in-process", "--device", "cpu", *assignments(training)]
    assert main([*words, "--hours", "0"]) == 3
    assert "goes on from its checkpoint" in capsys.readouterr().err
    assert main(words) == 0
    assert training.stored_id in capsys.readouterr().out
    folder = tmp_path / Storage.generator_folder(training.stored_id)
    assert b"Made by glad_ray" in (folder / "index.html").read_bytes()
    assert main(["generator", "inspect", str(folder / "generator.json")]) == 0
    shown = capsys.readouterr().out
    assert "Fashion-MNIST (bundled sample)" in shown
    assert "classified as asked" in shown
    assert "StyleGAN3 publish" not in shown


# With a checkpoint after every step, so that it can be killed while one is written.
CHECKED = """
import sys
from glad_ray.cli import main
from glad_ray.generator_training import train
train.CHECKPOINT_SECONDS = 0.0
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.fault
@pytest.mark.full
def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(trained, tmp_path):
    _, training, card = trained
    words = ["generator", "train", "--dataset", training.dataset, "--resolution", "16", "--storage", str(tmp_path)]
    command = [sys.executable, "-c", CHECKED, *words, "--in-process", "--device", "cpu", *assignments(training)]
    folder, kills = tmp_path / Storage.generator_folder(training.stored_id), 0

    def written():
        """The files that there are, and the newest checkpoint: every command gets further, so that the test ends."""
        newest = tmp_path / Storage.generator_checkpoint_path(training.stored_id)
        with contextlib.suppress(FileNotFoundError):
            return {*folder.rglob("*.safetensors"), newest.stat().st_mtime_ns}
        return set(folder.rglob("*.safetensors"))

    while True:
        before = written()
        process = subprocess.Popen(
            command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        until(lambda before=before, process=process: process.poll() is not None or written() != before)
        if process.poll() is not None:
            break
        # Wherever it is then: in a step, or writing.
        time.sleep(0.01 * kills)
        process.kill()
        process.wait()
        kills += 1
    said = process.stdout.read().decode()
    assert process.returncode == 0, said
    assert kills >= 5
    again = GeneratorCard.model_validate_json((tmp_path / Storage.generator_card_path(training.stored_id)).read_bytes())
    assert (again.sha256, again.scores) == (card.sha256, card.scores)


@pytest.mark.full
def test_a_task_on_ray_makes_the_same_generator(trained, ray_session, storage, view):
    _, training, card = trained
    task = partial(train_generator_on_ray, training, storage, share=Bundle(1.0, 0.0, 0.0), address=None, view=view)
    assert task(hours=0.0) is None
    again = task(hours=None)
    assert again.sha256 == card.sha256
    assert {event.stage for event in view.of(GeneratorAdvanced)} == set(STAGES)
    assert len(view.of(GeneratorScored)) == 5
    with pytest.raises(UserError, match="ask for no more with --cpus and --gpus"):
        train_generator_on_ray(training, storage, share=Bundle(1.0, 1.0, 0.0), address=None, hours=None, view=view)


def test_shares_go_with_ray(capsys):
    words = ["generator", "train", "--dataset", "fashion-mnist-sample", "--in-process", "--gpus", "1"]
    assert main(words) == 2
    assert "shares on Ray" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given", [["--cpus", "-3"], ["--cpus", "0"], ["--cpus", "inf"], ["--gpus", "2"], ["--gpus", "nan"]]
)
def test_a_share_that_cannot_be_is_refused_before_anything_is_written(given, tmp_path, capsys):
    words = ["generator", "train", "--dataset", "fashion-mnist-sample", "--storage", str(tmp_path / "storage"), *given]
    assert main(words) == 2
    assert given[0] in capsys.readouterr().err
    assert not (tmp_path / "storage").exists()
