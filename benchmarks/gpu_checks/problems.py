"""What the checks compute: steps of every algorithm in pixels and through a generator, and trainings of networks."""

import itertools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, partial

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from typing_extensions import override

from glad_ray.algorithms import build_algorithm
from glad_ray.data import Dataset, by_index, load_dataset, real_images
from glad_ray.evaluation import train_networks
from glad_ray.generators import GeneratorSpace, InProcessGenerator, Latents, PixelSpace, Space, build_generator
from glad_ray.networks import Ensemble, build_network, flat_parameters
from glad_ray.optimisers.sgd import SGD
from glad_ray.randomness import rng_for
from glad_ray.spec import DC, DM, DSA, MTT, Evaluation, Experts, ExpertSet, Network, RandomStyleGAN, Run
from glad_ray.spec.precision import FP32Precision
from glad_ray.storage import Storage
from glad_ray.training import train_epoch_together
from glad_ray.trajectories import Trajectories
from gpu_checks.check import Setting

CLASSES = 10
SMALL_GENERATOR = RandomStyleGAN(resolution=32, image_channels=1, channel_max=64, channel_base=2048, w_dim=64)
_TINY_GENERATOR = SMALL_GENERATOR.replace(channel_max=8, channel_base=256, w_dim=8, calibrate=False)
_BACKBONE = Network()
_EXPERTS = Experts(count=2, epochs=3)


def algorithms(*, real_images: int, student_steps: int) -> dict[str, DC | DM | MTT]:
    """Every algorithm, with so many real images a class, or steps of the student."""
    return {
        "DC": DC(real_batch_size=real_images, outer_loops=1),
        "DM": DM(real_batch_size=real_images),
        "MTT (TESLA)": MTT(synthetic_steps=student_steps, experts=_EXPERTS),
        "MTT (exact)": MTT(synthetic_steps=student_steps, experts=_EXPERTS, gradient="exact"),
    }


@cache
def sample() -> Dataset:
    """The bundled images of Fashion-MNIST at 32 pixels."""
    return load_dataset("fashion-mnist-sample", resolution=32, held_out=10)


@lru_cache(maxsize=2)
def noise(resolution: int, per_class: int) -> Dataset:
    """Ten classes of random images in three channels, for what does not depend on what they show."""
    count = CLASSES * per_class
    pixels = np.frombuffer(np.random.default_rng(0).bytes(count * 3 * resolution**2), np.uint8)
    images = pixels.reshape(count, 3, resolution, resolution)
    labels = np.arange(CLASSES).repeat(per_class)
    return Dataset(
        name="noise",
        train_images=images,
        train_labels=labels,
        held_out_images=images[:0],
        held_out_labels=labels[:0],
        test_images=images,
        test_labels=labels,
        class_names=tuple(map(str, range(CLASSES))),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
    )


class Untrained(Trajectories):
    """`Trajectories` of experts that nobody trained: new networks, and these with their parameters 1 % larger."""

    def __init__(self, expert_set: ExpertSet, dataset: Dataset) -> None:
        self.expert_set, self.dataset = expert_set, dataset

    @override
    def segment(self, expert: int, start_epoch: int, epochs: int) -> tuple[Float[Tensor, " p"], Float[Tensor, " p"]]:
        rng = rng_for("on gpu", "expert", expert)
        start = flat_parameters(_network(self.expert_set.network, self.dataset, rng))
        return start, 1.01 * start

    @override
    def expect(self, expert: int, start_epoch: int, epochs: int) -> None:
        pass


@dataclass(frozen=True, eq=False)
class Problem:
    """A run whose steps are computed anywhere, in any precision."""

    run: Run
    dataset: Dataset

    @property
    def labels(self) -> Int64[Tensor, " n"]:
        """Of its synthetic images."""
        return torch.arange(CLASSES).repeat_interleave(self.run.images_per_class)

    @cached_property
    def latents(self) -> Latents:
        """Those it starts from, on the CPU in float64."""
        first = self.space(torch.device("cpu"), torch.float64).init(self.labels, rng_for("on gpu", "init"))
        return {kind: value.double() for kind, value in first.items()}

    @property
    def experts(self) -> Untrained | None:
        """Those it matches, if it does."""
        return None if self.run.expert_set is None else Untrained(self.run.expert_set, self.dataset)

    def space(self, device: torch.device, dtype: torch.dtype | None = None, *, keep_graph: bool = False) -> Space:
        """What it optimises in; a generator has the precision of its record, or `dtype`."""
        if self.run.generator is None or self.run.init is None:
            return PixelSpace(
                self.dataset.train_images.shape[1:], "real", lambda *of: real_images(self.dataset, *of), device
            )
        generator, dataset = _generator(self.run.generator, device, dtype, keep_graph), self.dataset
        return GeneratorSpace(
            generator, self.run.space, init=self.run.init, mean=dataset.mean, std=dataset.std, device=device
        )

    def outcome(self, device: torch.device, dtype: torch.dtype, fp32: FP32Precision = "float32") -> dict[str, Tensor]:
        """Loss and gradients of its first step, back on the CPU in float64; `fp32`: of a generator."""
        space = self.space(device, dtype)
        if isinstance(space, GeneratorSpace):
            space.generator.fp32 = fp32
        latents = {kind: value.to(device, dtype) for kind, value in self.latents.items()}
        algorithm = build_algorithm(self.run, self.dataset, self.experts, device)
        match = algorithm.match(space.decode(latents), self.labels, 0, torch.tensor(0.01))
        found = {"loss": match.loss, **space.pullback(latents, match.image_grads)}
        if match.step_size_grad is not None:
            found["step size"] = match.step_size_grad
        return {name: value.detach().cpu().double() for name, value in found.items()}

    def steps(self, device: torch.device, count: int, at_step: Callable[[int], None]) -> None:
        """Make `count` steps as a user's run makes them, and call `at_step` with how many there are after each."""
        from glad_ray.distillation import Inputs, distill  # of all that is here, this alone needs scikit-learn

        algorithm = self.run.algorithm.replace(iterations=count)
        with tempfile.TemporaryDirectory() as folder:
            run = self.run.replace(algorithm=algorithm, checkpoint_every=10**6)
            inputs = Inputs(run, self.space(device, keep_graph=True), self.dataset, self.experts, device)
            distill(inputs, Storage.open(folder), lambda progress: at_step(progress.step))

    def step_seconds(self, device: torch.device, count: int) -> list[float]:
        """Seconds of each of `count` steps, after two that are not timed."""
        return step_seconds(partial(self.steps, device), device, count)


def step_seconds(steps: Callable[[int, Callable[[int], None]], None], device: torch.device, count: int) -> list[float]:
    """Seconds of each of `count` steps, after two that are not timed; `steps` makes a number of steps and calls a
    function after each.
    """
    times: list[float] = []

    def note(step: int) -> None:
        wait(device)
        times.append(time.perf_counter())

    steps(count + 2, note)
    return [after - before for before, after in itertools.pairwise(times[1:])]


def wait(device: torch.device) -> None:
    """Until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@cache
def _generator(
    record: RandomStyleGAN, device: torch.device, dtype: torch.dtype | None, keep_graph: bool
) -> InProcessGenerator:
    return build_generator(record, device=device, dtype=dtype, keep_graph=keep_graph)


def small_problems(setting: Setting, *, real_images: int, student_steps: int, width: int = 128) -> dict[str, Problem]:
    """Every algorithm on the bundled images, in pixels and through a small random StyleGAN.

    In a quick setting with two real images a class, two steps of the student, a width of 4, and DM alone through a
    generator, a tiny one.
    """
    found: dict[str, Problem] = {}
    width = setting.size(width, 4)
    real_images, student_steps = setting.size(real_images, 2), setting.size(student_steps, 2)
    generator = setting.size(SMALL_GENERATOR, _TINY_GENERATOR)
    for name, algorithm in algorithms(real_images=real_images, student_steps=student_steps).items():
        run = Run(algorithm=algorithm, resolution=32, held_out=10, backbone=Network(width=width))
        found[f"{name}, pixels"] = Problem(run, sample())
        if setting.quick and name != "DM":
            continue
        found[f"{name}, f4"] = Problem(run.replace(space="f4", generator=generator, init="sampled"), sample())
    return found


def noise_problem(
    algorithm: DC | DM | MTT, resolution: int, per_class: int, width: int | None, ipc: int = 1
) -> Problem:
    """An algorithm in pixels on random images in colour."""
    run = Run(
        algorithm=algorithm,
        dataset="cifar10",
        resolution=resolution,
        backbone=Network(width=width),
        images_per_class=ipc,
    )
    return Problem(run, noise(resolution, per_class))


def _network(spec: Network, dataset: Dataset, rng: torch.Generator) -> torch.nn.Module:
    channels, resolution = dataset.train_images.shape[1:3]
    return build_network(spec, channels=channels, resolution=resolution, classes=CLASSES, rng=rng)


@dataclass(frozen=True, eq=False)
class ExpertEpoch:
    """An epoch of experts on some of the images of a dataset, one or several as an ensemble."""

    dataset: Dataset
    images: int
    network: Network = _BACKBONE
    together: int = 1
    batch_size: int = 256

    def prepared(self, device: torch.device, dtype: torch.dtype = torch.float32) -> "Training":
        """Networks and data on a device."""
        networks = [
            _network(self.network, self.dataset, rng_for("on gpu", "expert", index)).to(device, dtype)
            for index in range(self.together)
        ]
        network = networks[0] if self.together == 1 else Ensemble(networks)
        # Some of every class: they lie class by class.
        chosen = torch.linspace(0, len(self.dataset.train_labels) - 1, self.images).long()
        get, places = by_index(self.dataset.train_images, self.dataset, device), {"cpu": chosen}
        places[device.type] = chosen.to(device)
        labels = torch.tensor(self.dataset.train_labels[chosen.numpy()], device=device)
        optimiser = SGD(network.parameters(), lr=0.01)

        def epoch() -> None:
            train_epoch_together(
                network,
                optimiser,
                lambda index: get(places[index.device.type][index]).to(dtype),
                labels,
                batch_size=self.batch_size,
                augmentation=DSA,
                rngs=[rng_for("on gpu", "epoch", index) for index in range(self.together)],
            )

        return Training(network, epoch)

    def outcome(self, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
        """What an epoch changes."""
        training = self.prepared(device, dtype)
        before = flat_parameters(training.network).cpu().double()
        training.epoch()
        return {"change": flat_parameters(training.network).cpu().double() - before}


@dataclass(frozen=True)
class Training:
    """A network, or an ensemble of them, and what trains it for an epoch."""

    network: torch.nn.Module
    epoch: Callable[[], None]


@dataclass(frozen=True, eq=False)
class EvaluationTraining:
    """A network trained on some images a class as evaluation does it."""

    dataset: Dataset
    network: Network
    images_per_class: int = 1

    def trained(self, device: torch.device, dtype: torch.dtype, epochs: int) -> tuple[torch.nn.Module, Tensor]:
        """The averaged network, and the parameters it began with."""
        (averaged,), (before,) = self.repeated(device, dtype, epochs, 0, 1)
        return averaged, before

    def repeated(
        self, device: torch.device, dtype: torch.dtype, epochs: int, first: int, repeats: int
    ) -> tuple[list[torch.nn.Module], list[Tensor]]:
        """The same of so many repeats from number `first` on, trained together."""
        labels = torch.arange(CLASSES).repeat_interleave(self.images_per_class)
        images = real_images(self.dataset, labels, rng_for("on gpu", "set")).to(device, dtype)
        rngs = [rng_for("on gpu", "evaluate", number) for number in range(first, first + repeats)]
        networks = [_network(self.network, self.dataset, rng).to(device, dtype) for rng in rngs]
        before = [flat_parameters(network) for network in networks]
        evaluation = Evaluation(epochs=epochs, augmentation=DSA)
        lr = evaluation.learning_rate(self.network)
        return train_networks(networks, images, labels.to(device), evaluation, lr=lr, rngs=rngs), before

    def outcome(self, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
        """What two epochs change; the first one's rate is next to nothing."""
        averaged, before = self.trained(device, dtype, 2)
        return {"change": (flat_parameters(averaged) - before).cpu().double()}
