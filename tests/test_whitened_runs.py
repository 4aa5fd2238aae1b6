"""Runs on whitened images: they resume bit for bit, their gradients are right, and their sets say what they are."""

import pytest
import torch

from glad_ray.data import load_dataset, network_inputs
from glad_ray.distillation import Inputs, build_space, distill
from glad_ray.exchange import read_image_tensors, with_pictures, write_huggingface, write_image_folder
from glad_ray.exchange.image_tensors import write_image_tensors
from glad_ray.experts import ExpertFiles, train_experts
from glad_ray.generators import build_generator
from glad_ray.randomness import rng_for
from glad_ray.report.search.images import newest_images
from glad_ray.results import SearchTrial
from glad_ray.score import Scoring
from glad_ray.spec import DC, DM, MTT, Evaluation, Experts, Herding, Network, RandomReal, RandomStyleGAN, Run
from glad_ray.spec.foreign_set import read_origin
from glad_ray.synthetic_set import SyntheticSet
from tests.generators import kinds

GENERATOR = RandomStyleGAN(
    resolution=16, image_channels=1, num_layers=4, channel_base=64, channel_max=4, w_dim=8, z_dim=8
)
EXPERTS = Experts(count=1, epochs=2, batch_size=1024)
ALGORITHMS = {
    "dc": DC(iterations=3, real_batch_size=4, outer_loops=1, inner_loops=1),
    "dm": DM(iterations=3, real_batch_size=4),
    "mtt": MTT(iterations=3, synthetic_steps=2, expert_epochs=1, labels="soft", experts=EXPERTS),
}
SPACES = {
    "pixel-real": {"space": "pixel"},
    "pixel-noise": {"space": "pixel", "init": "noise"},
    "f2": {"space": "f2", "generator": GENERATOR},
}
PLAIN = Run(
    algorithm=ALGORITHMS["dm"], resolution=16, backbone=Network(width=4), held_out=10, checkpoint_every=1, snapshots=1
)
BASE = PLAIN.replace(whitening="zca")


@pytest.fixture(scope="module")
def whitened():
    return load_dataset("fashion-mnist-sample", resolution=16, held_out=10, whitening="zca")


@pytest.fixture(scope="module")
def trajectories(whitened, tmp_path_factory):
    from glad_ray.storage import Storage

    storage = Storage.open(tmp_path_factory.mktemp("experts"))
    expert_set = BASE.replace(algorithm=ALGORITHMS["mtt"]).expert_set
    assert expert_set.whitening == "zca"
    train_experts(expert_set, [0], whitened, storage, device="cpu", on_epoch=lambda expert, epoch: None)
    return ExpertFiles(storage, expert_set)


def _space(run, dataset):
    return build_space(run, dataset, build_generator(run.generator) if run.generator else None, torch.device("cpu"))


def _distil(run, dataset, storage, trajectories=None, on_progress=lambda progress: None):
    distill(Inputs(run, _space(run, dataset), dataset, trajectories, torch.device("cpu")), storage, on_progress)
    path = storage.synthetic_set_path(run.run_id)
    return SyntheticSet.from_bytes(storage.read_bytes(path), path)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_resumed_run_is_the_uninterrupted_one(algorithm, space, whitened, trajectories, storage, tmp_path):
    run = BASE.replace(algorithm=ALGORITHMS[algorithm], **SPACES[space])
    expected = _distil(run, whitened, storage, trajectories)
    assert torch.isfinite(expected.images).all()
    other, ended = type(storage).open(tmp_path / "other"), []

    def interrupt(progress):
        if progress.step == 2 and not ended:
            ended.append(True)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        _distil(run, whitened, other, trajectories, interrupt)
    resumed = _distil(run, whitened, other, trajectories, interrupt)
    assert torch.equal(resumed.images, expected.images)
    assert torch.equal(resumed.pictures, expected.pictures)
    assert all(torch.equal(resumed.latents[name], value) for name, value in expected.latents.items())


def test_gradients_of_latents_agree_with_differences(whitened):
    """dL/dz of a whitened generated image, L a random linear function: against central differences in float64."""
    generator = build_generator(GENERATOR, dtype=torch.float64)
    space = build_space(BASE.replace(**SPACES["f2"]), whitened, generator, torch.device("cpu"))
    latents = {name: value.double() for name, value in space.init(torch.arange(2), rng_for("r", "init")).items()}
    rng = torch.Generator().manual_seed(0)
    weights = torch.randn(space.decode(latents).shape, generator=rng, dtype=torch.float64)
    grads = space.pullback(latents, weights)
    for name, value in latents.items():
        direction = torch.randn(value.shape, generator=rng, dtype=torch.float64)
        step = 1e-5
        high, low = (
            (space.decode(latents | {name: value + sign * step * direction}) * weights).sum() for sign in (1, -1)
        )
        assert float((grads[name] * direction).sum()) == pytest.approx(float(high - low) / (2 * step), rel=1e-5)


def test_generated_images_are_whitened_as_real_ones(whitened):
    run = BASE.replace(**SPACES["f2"])
    space = _space(run, whitened)
    latents = space.init(torch.arange(10), rng_for("r", "init"))
    generated = space.generator.decode("f2", latents)
    expected = whitened.whitening.whiten((generated + 1) / 2)
    assert torch.allclose(space.decode(latents), expected)
    assert not torch.allclose(space.decode(latents), (generated + 1) / 2, atol=0.1)


def test_a_generator_that_starts_from_real_images_gets_them_unwhitened(whitened):
    generator = kinds.autoencoder(16)
    plain = load_dataset("fashion-mnist-sample", resolution=16, held_out=10)
    started = [
        _space(run.replace(space="f0", generator=generator), dataset).init(torch.arange(10), rng_for("r", "init"))
        for run, dataset in ((BASE, whitened), (PLAIN, plain))
    ]
    for name, value in started[0].items():
        assert torch.allclose(value, started[1][name], atol=1e-3)


@pytest.mark.parametrize("algorithm", [RandomReal(), Herding(features=EXPERTS)])
def test_baselines_are_whitened_real_images(algorithm, whitened, trajectories, storage):
    run = BASE.replace(algorithm=algorithm, images_per_class=3)
    made = _distil(run, whitened, storage, trajectories if run.expert_set else None)
    real = torch.tensor(whitened.train_images).flatten(1)
    assert all((real == picture).all(1).any() for picture in made.pictures.flatten(1))
    assert torch.allclose(made.images, network_inputs(made.pictures, whitened), atol=1e-5)


class TestTheSet:
    @pytest.fixture
    def made(self, whitened, storage):
        return _distil(BASE.replace(images_per_class=2), whitened, storage)

    def test_it_says_that_it_is_whitened(self, made):
        assert made.whitening == read_origin(made.run).whitening == "zca"
        again = SyntheticSet.from_bytes(made.to_bytes(), "again")
        assert (again.whitening, again.to_bytes()) == ("zca", made.to_bytes())
        assert torch.equal(again.pictures, made.pictures)

    def test_its_pictures_are_unwhitened(self, made, whitened):
        expected = whitened.whitening.unwhiten(made.images).clamp(0, 1)
        assert (made.unit_images() - expected).abs().max() <= 0.5 / 255 + 1e-6
        # Real images that hardly moved: not what normalisation would make of whitened ones.
        assert made.unit_images().mean() == pytest.approx(float(whitened.train_images.mean()) / 255, abs=0.15)

    def test_one_that_is_not_whitened_is_written_as_before(self, sample, storage):
        plain = _distil(PLAIN.replace(resolution=32), sample, storage)
        assert (plain.whitening, plain.pictures) == ("none", None)
        assert b"whitening" not in plain.to_bytes()
        assert b"pictures" not in plain.to_bytes()
        assert b"glad-ray synthetic set 1" in plain.to_bytes()

    def test_pictures_and_card_say_that_whitening_is_undone(self, made, tmp_path):
        write_image_folder(made, tmp_path / "images")
        write_huggingface(made, tmp_path / "hub")
        for text in ((tmp_path / "images/set.json").read_text(), (tmp_path / "hub/README.md").read_text()):
            assert "whitening is undone" in text
            assert str(made.mean[0]) not in text

    def test_tensors_go_out_and_come_back(self, made, tmp_path, whitened):
        write_image_tensors(made, tmp_path / "pt")
        facts = BASE.facts
        read = read_image_tensors(
            tmp_path / "pt/images_best.pt", tmp_path / "pt/labels_best.pt", facts=facts, whitening="zca"
        )
        assert torch.equal(read.images, made.images)
        assert read.whitening == read_origin(read.run).whitening == "zca"
        # The older code fits to all training images, and ours here to those that are not held out.
        every = load_dataset("fashion-mnist-sample", resolution=16, whitening="zca")
        assert torch.equal(with_pictures(read).pictures, every.whitening.pictures(made.images))
        assert with_pictures(made) is made

    def test_the_page_of_a_search_shows_a_set_that_was_left_on_the_way(self, made, storage, whitened):
        run = BASE.replace(images_per_class=2)
        trial = SearchTrial.model_construct(run=run)
        whole, _ = newest_images(storage, trial)
        storage.delete(storage.images_path(run.run_id))
        newest, step = newest_images(storage, trial)
        assert step == run.steps
        assert newest == whole


def test_a_whitened_set_is_scored_on_whitened_images_alone(whitened, storage, tmp_path):
    """Told as normalised, the same images teach networks of other test images: the score falls."""
    made = _distil(BASE.replace(algorithm=RandomReal(), images_per_class=20, held_out=0), _all(), storage)
    write_image_tensors(made, tmp_path / "pt")
    evaluation = Evaluation(networks=(Network(width=16),), repeats=1, epochs=40, batch_size=64, ema_decay=0.0)
    evaluation = evaluation.replace(learning_rates={"convnet": 0.01})

    def scored(synthetic):
        (training,) = _trainings(synthetic, evaluation.replace(test_images=500), storage)
        return training.accuracy

    files = tmp_path / "pt/images_best.pt", tmp_path / "pt/labels_best.pt"
    told, untold = (
        scored(read_image_tensors(*files, facts=BASE.facts, whitening=whitening)) for whitening in ("zca", "none")
    )
    assert scored(made) > 0.55
    assert told > 0.55
    assert untold < told - 0.05


def _trainings(synthetic, evaluation, storage):
    scoring, trainings = Scoring.prepare(synthetic, evaluation), []
    for network in evaluation.networks:
        scoring.train(network, storage, device="cpu", on_training=trainings.append)
    return trainings


def _all():
    return load_dataset("fashion-mnist-sample", resolution=16, whitening="zca")


def test_a_set_with_images_held_out_is_scored_with_the_whitening_it_was_made_with(whitened, storage, monkeypatch):
    made = _distil(BASE.replace(algorithm=RandomReal()), whitened, storage)
    seen = []

    def loaded(*words, **options):
        seen.append(load_dataset(*words, **options))
        return seen[-1]

    monkeypatch.setattr("glad_ray.score.load_dataset", loaded)
    Scoring.prepare(made, Evaluation(networks=(Network(width=4),), repeats=1, epochs=1, test_images=10))
    assert (seen[0].whitening.transform == whitened.whitening.transform).all()
