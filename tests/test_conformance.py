"""Every algorithm in every kind of space: it steps, and a resumed run is the uninterrupted one, bit for bit."""

import pytest
import torch

from glad_ray.distillation import Inputs, build_space, distill, distilled
from glad_ray.errors import DataError, RunError
from glad_ray.experts import ExpertFiles, missing_experts, train_experts
from glad_ray.generators import build_generator
from glad_ray.randomness import rng_for
from glad_ray.results import read_losses
from glad_ray.spec import (
    DATM,
    DC,
    DM,
    DREAM,
    FTD,
    IDC,
    MTT,
    NCFM,
    SGD,
    CustomAlgorithm,
    Experts,
    Flatness,
    Formation,
    Herding,
    KMeans,
    Network,
    RandomReal,
    RandomStyleGAN,
    Run,
    WholeDataset,
)
from glad_ray.synthetic_set import SyntheticSet
from tests.generators import kinds

GENERATOR = RandomStyleGAN(image_channels=1, num_layers=4, channel_base=64, channel_max=4, w_dim=8, z_dim=8)
# The other kernels and filters, and codes that know the class.
CONDITIONAL = GENERATOR.replace(kernel_size=1, classes=10, seed=1)
EXPERTS = Experts(count=2, epochs=2, batch_size=1024)
ALGORITHMS = {
    "dc": DC(iterations=4, real_batch_size=4),
    "dc-loops": DC(iterations=2, real_batch_size=4, outer_loops=2, inner_loops=1, matching="cosine"),
    "dm": DM(iterations=4, real_batch_size=4),
    "dm-clustered": DM(iterations=4, real_batch_size=4, real_batches="clustered"),
    "mtt": MTT(iterations=4, synthetic_steps=2, expert_epochs=1, batch_size=6, experts=EXPERTS),
    "mtt-soft": MTT(iterations=4, synthetic_steps=2, expert_epochs=1, labels="soft", experts=EXPERTS),
    "mtt-exact": MTT(iterations=4, synthetic_steps=2, expert_epochs=1, gradient="exact", experts=EXPERTS),
    "ftd": FTD(iterations=4, synthetic_steps=2, expert_epochs=1, experts=EXPERTS.replace(flat=Flatness())),
    "datm": DATM(
        iterations=4,
        synthetic_steps=3,
        expert_epochs=1,
        batch_size=4,
        rest_first=True,
        first_max_start_epoch=1,
        max_start_epoch=2,
        growth_iterations=2,
        threshold=1e6,
        experts=EXPERTS,
    ),
    "idc": IDC(iterations=2, inner_steps=2, real_batch_size=4, network_images=8),
    "idc-turns": IDC(
        iterations=1,
        inner_steps=2,
        classes="in turn",
        real_batch_size=4,
        network_images=8,
        network_epochs=1,
        matched="both",
        distance="cos",
        synthetic_batch_size=3,
    ),
    "dream": DREAM(iterations=2, inner_steps=2, real_batch_size=4, network_images=8),
    "ncfm": NCFM(iterations=4, real_batch_size=4, frequencies=48, experts=EXPERTS),
    "ncfm-turns": NCFM(
        iterations=1,
        classes="in turn",
        sampling="gaussian",
        frequencies=8,
        calibration=0,
        real_batch_size=4,
        experts=EXPERTS,
        optimiser=SGD(momentum=0.5, patience=0),
    ),
    "dm-adamw": DM(iterations=4, real_batch_size=4, optimiser="adamw"),
    "own": CustomAlgorithm(name="tests.own_algorithms:Drifting", iterations=4, real_batch_size=4),
}
LAST = {"schedule": {"choice": "last"}}
SPACES = {
    "pixel-real": {"space": "pixel", "init": "real"},
    "pixel-noise": {"space": "pixel", "init": "noise"},
    **{
        f"{space}-{init}": {"space": space, "init": init, "generator": GENERATOR}
        for space, init in [("w+", "sampled"), ("f0", "average"), ("f2", "gaussian"), ("f4", "sampled")]
    },
    "f1-conditional": {"space": "f1", "init": "average", "generator": CONDITIONAL},
    "f2-learning": {"space": "f2", "generator": GENERATOR, "learn_generator": True},
    "f3-file": {"space": "f3", "generator": kinds.stylegan_file(CONDITIONAL)},
    "f3-autoencoder": {"space": "f3", "generator": kinds.autoencoder(32)},
    "own": {"space": "z+", "generator": kinds.BLOBS},
    "layers": {"space": "f1>f3", "generator": GENERATOR},
    "layers-last": {"space": "w+>f1", "generator": GENERATOR, **LAST},
    "layers-learning": {"space": "f0>f2", "generator": GENERATOR, "learn_generator": True, **LAST},
    "layers-autoencoder": {"space": "f0>f3", "generator": kinds.autoencoder(32), **LAST},
    "layers-formation": {"space": "f1>f3", "generator": GENERATOR, "formation": 2, **LAST},
    "pixel-formation": {"space": "pixel", "formation": 2, "init": "clustered"},
    "f2-formation": {"space": "f2", "generator": GENERATOR, "formation": Formation(factor=2, kind="multi")},
    "f3-autoencoder-formation": {
        "space": "f3",
        "generator": kinds.autoencoder(32),
        "formation": 2,
        "init": "clustered",
    },
}
# The quick suite has every algorithm in three kinds of space, its other forms in one, and one algorithm in most spaces.
QUICK_SPACES, QUICK_ALGORITHM = ("pixel-real", "f2-gaussian", "own"), "dm"
# Of several layers there are tests of their own (test_layer_walk.py).
FULL_SPACES = ("layers", "layers-last", "layers-learning", "layers-autoencoder", "layers-formation")
# With `full` every algorithm has every space. Its other forms, and algorithms that are another one with other experts
# or draws (FTD and DATM are MTT, DREAM is IDC), meet a space through the same decode and pullback: each has a third of
# the spaces, other ones than the next form, so that together they have all.
VARIANTS = ("dc-loops", "mtt-soft", "mtt-exact", "ncfm-turns", "dm-adamw", "dm-clustered", "idc-turns")
DERIVED = ("ftd", "datm", "dream")
OTHER_FORMS = (*VARIANTS, *DERIVED)
QUICK_IN_ONE = (*VARIANTS, "ftd")
LEARNS_STEP_SIZE, HAS_SOFT_LABELS = ("mtt", "mtt-soft", "mtt-exact", "ftd", "datm"), ("mtt-soft", "datm")


def quick(algorithm, space):
    if space in FULL_SPACES:
        return False
    return algorithm == QUICK_ALGORITHM or space in QUICK_SPACES[: 1 if algorithm in QUICK_IN_ONE else None]


def full(algorithm, space):
    if algorithm not in OTHER_FORMS:
        return True
    return (OTHER_FORMS.index(algorithm) + list(SPACES).index(space)) % 3 == 0


PAIRS = [
    pytest.param(algorithm, space, marks=() if quick(algorithm, space) else pytest.mark.full)
    for algorithm in ALGORITHMS
    for space in SPACES
    if quick(algorithm, space) or full(algorithm, space)
]
# And it has every network.
BACKBONES = [
    pytest.param(algorithm, name, marks=() if algorithm == QUICK_ALGORITHM else pytest.mark.full)
    for algorithm in ("dc-loops", "dm", "mtt", "ncfm")
    for name in ("alexnet", "vgg11", "resnet18", "vit")
]


class InterruptedRunError(Exception):
    """Raised in the middle of a run."""


def _run(algorithm, space):
    settings = ALGORITHMS[algorithm]
    if space.startswith("layers"):
        settings = settings.replace(iterations=max(2, settings.iterations))
    return Run(
        algorithm=settings,
        resolution=32,
        backbone=Network(width=4),
        held_out=10,
        checkpoint_every=1,
        snapshots=2,
        **SPACES[space],
    )


@pytest.fixture(scope="module")
def trajectories(sample, tmp_path_factory):
    from glad_ray.storage import Storage

    storage = Storage.open(tmp_path_factory.mktemp("experts"))
    expert_set = _run("mtt", "pixel-real").expert_set
    for index in missing_experts(storage, expert_set):
        train_experts(expert_set, [index], sample, storage, device="cpu", on_epoch=lambda expert, epoch: None)
    return ExpertFiles(storage, expert_set)


def _distill(run, sample, trajectories, storage, on_progress=lambda progress: None):
    generator = build_generator(run.generator, learn=run.learn_generator) if run.generator else None
    space = build_space(run, sample, generator, torch.device("cpu"), trajectories)
    distill(Inputs(run, space, sample, trajectories, torch.device("cpu")), storage, on_progress)
    path = storage.synthetic_set_path(run.run_id)
    return SyntheticSet.from_bytes(storage.read_bytes(path), path), space


@pytest.mark.parametrize(("algorithm", "space"), PAIRS)
def test_run(algorithm, space, sample, trajectories, storage, tmp_path):
    run = _run(algorithm, space)
    synthetic, made = _distill(run, sample, trajectories, storage)

    assert synthetic.images.shape == (10 * run.training_images_per_class, 1, 32, 32)
    assert torch.isfinite(synthetic.images).all()
    assert synthetic.labels.tolist() == [label for label in range(10) for _ in range(run.training_images_per_class)]
    assert synthetic.as_stored().images.shape == (10 * run.images_per_class, 1, 32, 32)
    assert (synthetic.step_size is not None) == (algorithm in LEARNS_STEP_SIZE)
    assert (synthetic.soft_labels is not None) == (algorithm in HAS_SOFT_LABELS)
    assert storage.exists(storage.images_path(run.run_id))
    assert len(read_losses(storage, run.run_id).losses) == run.steps
    assert all(storage.exists(storage.set_path(run.run_id, step)) for step in run.snapshot_steps)
    initial = made.init(torch.arange(10).repeat_interleave(run.images_per_class), rng_for(run.run_id, "init"))
    for _ in run.spaces[1:]:
        initial, made = made.hand_over(initial), made.later()
    for name, value in synthetic.latents.items():
        assert value.shape == initial[name].shape
        # Where the nearest step counts, it may be the first.
        if space != "layers":
            assert not torch.equal(value, initial[name]), f"{name} did not move"

    # Interrupted, then run again: nothing is repeated and every bit is the same.
    other = type(storage).open(tmp_path / "interrupted")
    steps = []

    def interrupt(progress):
        steps.append(progress.step)
        # In the middle of the second half: in the place of step 3 of 4.
        if progress.step == len(steps) == 3 * run.steps // 4:
            raise InterruptedRunError

    with pytest.raises(InterruptedRunError):
        _distill(run, sample, trajectories, other, interrupt)
    assert not distilled(other, run)
    resumed, _ = _distill(run, sample, trajectories, other, interrupt)
    assert steps == list(range(1, run.steps + 1))
    assert torch.equal(resumed.images, synthetic.images)
    if synthetic.soft_labels is not None:
        assert torch.equal(resumed.soft_labels, synthetic.soft_labels)
    for name, value in synthetic.latents.items():
        assert torch.equal(resumed.latents[name], value)


@pytest.mark.parametrize(("algorithm", "name"), BACKBONES)
def test_any_network_distils_and_resumes(algorithm, name, sample, storage, tmp_path):
    backbone = Network(name=name, width=8)
    run = _run(algorithm, "pixel-real").replace(backbone=backbone)
    trained = type(storage).open(tmp_path / "experts")
    trajectories = None
    if run.expert_set is not None:
        run = run.replace(algorithm=run.algorithm.replace(experts=Experts(count=1, epochs=2, batch_size=4000)))
        train_experts(run.expert_set, [0], sample, trained, device="cpu", on_epoch=lambda expert, epoch: None)
        trajectories = ExpertFiles(trained, run.expert_set)
    synthetic, _ = _distill(run, sample, trajectories, storage)

    def interrupt(progress):
        if progress.step == 3 and not interrupted:
            interrupted.append(True)
            raise InterruptedRunError

    interrupted, other = [], type(storage).open(tmp_path / "interrupted")
    with pytest.raises(InterruptedRunError):
        _distill(run, sample, trajectories, other, interrupt)
    resumed, _ = _distill(run, sample, trajectories, other, interrupt)
    assert torch.equal(resumed.images, synthetic.images)


@pytest.mark.parametrize("algorithm", [RandomReal(), Herding(features=EXPERTS), KMeans(features=None)])
def test_baselines_are_different_real_images(algorithm, sample, trajectories, storage):
    run = _run("dm", "pixel-real").replace(algorithm=algorithm, images_per_class=30)
    synthetic, _ = _distill(run, sample, trajectories if run.expert_set else None, storage)
    assert synthetic.labels.tolist() == [label for label in range(10) for _ in range(30)]
    real = torch.from_numpy(sample.train_images).flatten(1)
    labels = torch.from_numpy(sample.train_labels)
    images = (synthetic.unit_images() * 255).round().flatten(1)
    for label in range(10):
        mine = images[synthetic.labels == label]
        assert len(mine.unique(dim=0)) == 30
        assert all((real[labels == label] == image).all(1).any() for image in mine)
    assert storage.list(storage.set_folder(run.run_id)) == (storage.set_path(run.run_id, 0),)


def test_the_whole_dataset_is_not_stored(sample, storage):
    run = _run("dm", "pixel-real").replace(algorithm=WholeDataset())
    with pytest.raises(DataError):
        _distill(run, sample, None, storage)
    assert distilled(storage, run)
    assert storage.list(storage.set_folder(run.run_id)) == ()


def test_damaged_checkpoint_is_passed_over(sample, storage):
    run = _run("dm", "pixel-real")
    expected, _ = _distill(run, sample, None, type(storage).open(storage.uri + "-whole"))

    def interrupt(progress):
        if progress.step == 3:
            raise InterruptedRunError

    with pytest.raises(InterruptedRunError):
        _distill(run, sample, None, storage, interrupt)
    newest = storage.local_path(storage.list(storage.checkpoint_folder(run.run_id))[-1])
    newest.write_bytes(newest.read_bytes()[:100])
    steps = []
    synthetic, _ = _distill(run, sample, None, storage, lambda progress: steps.append(progress.step))
    assert steps == [3, 4]
    assert torch.equal(synthetic.images, expected.images)


class FailingSpace:
    """A space whose third step meets a number that is none: among the images, or among the gradients."""

    def __init__(self, space, where):
        self.space, self.where, self.decoded, self.pulled = space, where, 0, 0

    def init(self, labels, rng):
        return self.space.init(labels, rng)

    def clip(self, latents):
        self.space.clip(latents)

    def decode(self, latents):
        images = self.space.decode(latents)
        # The second step also decodes what it leaves, for a snapshot.
        self.decoded += 1
        return images * torch.inf if self.where == "decode" and self.decoded == 4 else images

    def pullback(self, latents, image_grads):
        grads = self.space.pullback(latents, image_grads)
        self.pulled += 1
        return {"pixels": grads["pixels"] * torch.nan} if self.where == "pullback" and self.pulled == 3 else grads


@pytest.mark.parametrize(
    ("algorithm", "where", "quantity"),
    [
        ("dm", "pullback", "gradient of pixels"),
        *(
            pytest.param(each, "decode", "loss", marks=() if each in ("dm", "mtt") else pytest.mark.full)
            for each in ALGORITHMS
            # Where classes take turns there are more steps, of which other ones are kept.
            if not each.endswith("-turns")
        ),
    ],
)
def test_a_number_that_is_none_stops_the_run_and_keeps_its_checkpoint(
    algorithm, where, quantity, sample, trajectories, storage, tmp_path
):
    run = _run(algorithm, "pixel-real")
    expected, made = _distill(run, sample, trajectories, type(storage).open(tmp_path / "sound"))
    with pytest.raises(RunError, match=f"the {quantity} is not finite at step 2"):
        distill(
            Inputs(run, FailingSpace(made, where), sample, trajectories, torch.device("cpu")),
            storage,
            lambda progress: None,
        )
    assert not distilled(storage, run)
    assert storage.list(storage.checkpoint_folder(run.run_id))[-1] == storage.checkpoint_path(run.run_id, 2)
    steps = []
    resumed, _ = _distill(run, sample, trajectories, storage, lambda progress: steps.append(progress.step))
    assert steps == [3, 4]
    assert torch.equal(resumed.images, expected.images)
