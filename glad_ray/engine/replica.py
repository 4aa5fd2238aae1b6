"""A generator that many trials share: an actor that holds it, and a handle that trials use in its place.

Weights are held once a machine, however many trials there are. The calls are pure functions, so that a call lost with
its replica is made again, and no trial notices. Arrays cross, for Ray copies tensors and shares arrays.
"""

import threading
from typing import Any, final

import numpy as np
import ray
import torch
from jaxtyping import Float, Int64
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from torch import Tensor

from glad_ray.engine.connection import result, unit_device
from glad_ray.engine.units import cpu_threads
from glad_ray.generators import Generator, Latents, build_generator
from glad_ray.spec import GeneratorRecord, Resources
from glad_ray.spec.generators import Init
from glad_ray.stylegan.files import GeneratorFile

Arrays = dict[str, np.ndarray[Any, Any]]


class Replica:
    """The actor: a generator, and the three calls of one."""

    def __init__(
        self, record: GeneratorRecord, file: tuple[ray.ObjectRef[GeneratorFile], ...], resources: Resources
    ) -> None:
        self.record, self.file, self.resources = record, file, resources
        self.cpus = resources.trial_cpus
        self.device = unit_device(resources.generator_gpus)
        self._building = threading.Lock()
        self._generator: Generator | None = None

    @property
    def generator(self) -> Generator:
        """Built by the first call that needs it, so that what is wrong with it is told to the run that called."""
        with self._building:
            if self._generator is None:
                self._generator = build_generator(
                    self.record,
                    device=self.device,
                    memory_gib=self.resources.generator_memory_gib,
                    file=ray.get(self.file[0]) if self.file else None,
                )
            return self._generator

    def init(
        self,
        space: str,
        labels: np.ndarray[Any, Any],
        rng_state: np.ndarray[Any, Any],
        how: Init,
        real_images: np.ndarray[Any, Any] | None,
    ) -> tuple[Arrays, np.ndarray[Any, Any]]:
        """Latents to start from, and the state that the draws left `rng` in."""
        rng = torch.Generator()
        rng.set_state(torch.tensor(rng_state))
        real = None if real_images is None else torch.tensor(real_images)
        with cpu_threads(self.cpus):
            latents = self.generator.init(space, torch.tensor(labels), rng, how, real)
        return _arrays(latents), rng.get_state().numpy()

    def decode(self, space: str, latents: Arrays) -> np.ndarray[Any, Any]:
        """Images of latents."""
        with cpu_threads(self.cpus):
            return self.generator.decode(space, self._tensors(latents)).cpu().numpy()

    def pullback(self, space: str, latents: Arrays, image_grads: np.ndarray[Any, Any]) -> Arrays:
        """Gradients of latents from those of images."""
        with cpu_threads(self.cpus):
            grads = torch.tensor(image_grads, device=self.device)
            return _arrays(self.generator.pullback(space, self._tensors(latents), grads))

    def _tensors(self, arrays: Arrays) -> Latents:
        return {kind: torch.tensor(array, device=self.device) for kind, array in arrays.items()}


def start_replica(
    name: str,
    record: GeneratorRecord,
    file: ray.ObjectRef[GeneratorFile] | None,
    node_id: str,
    at_once: int,
    resources: Resources,
) -> Any:
    """Start the named replica of a machine, which serves `at_once` calls; returns its handle. `file` holds the weights
    of a trained generator, and has to be there for as long as the replica may have to be started again.

    A waiting trial leaves its CPUs idle, and its call takes as many threads: the replica asks for none of its own.
    """
    actor = ray.remote(Replica).options(
        name=name,
        get_if_exists=True,
        num_cpus=0,
        num_gpus=resources.generator_gpus,
        max_concurrency=at_once,
        max_restarts=-1,
        max_task_retries=-1,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=True),
    )
    # In a tuple: of a reference by itself Ray would warn that a restart needs it.
    return actor.remote(record, () if file is None else (file,), resources)


@final
class RemoteGenerator:
    """A `Generator` behind a replica's name."""

    def __init__(self, name: str, record: GeneratorRecord) -> None:
        self._actor = ray.get_actor(name)
        self._record = record

    @property
    def spaces(self) -> tuple[str, ...]:
        """The latent spaces it has."""
        return self._record.spaces

    def init(
        self,
        space: str,
        labels: Int64[Tensor, " n"],
        rng: torch.Generator,
        how: Init,
        real_images: Float[Tensor, "n c h w"] | None = None,
    ) -> Latents:
        """See `Generator.init`; `rng` advances as if the draws were made here."""
        real = None if real_images is None else real_images.cpu().numpy()
        latents, state = result(
            self._actor.init.remote(space, labels.cpu().numpy(), rng.get_state().numpy(), how, real)
        )
        rng.set_state(torch.tensor(state))
        return {kind: torch.tensor(array) for kind, array in latents.items()}

    def decode(self, space: str, latents: Latents) -> Float[Tensor, "n c h w"]:
        """See `Generator.decode`."""
        images = result(self._actor.decode.remote(space, _arrays(latents)))
        return torch.tensor(images).to(next(iter(latents.values())))

    def pullback(self, space: str, latents: Latents, image_grads: Float[Tensor, "n c h w"]) -> Latents:
        """See `Generator.pullback`."""
        grads = result(self._actor.pullback.remote(space, _arrays(latents), image_grads.detach().cpu().numpy()))
        return {kind: torch.tensor(grads[kind]).to(value) for kind, value in latents.items()}


def _arrays(latents: Latents) -> Arrays:
    return {kind: value.detach().cpu().numpy() for kind, value in latents.items()}
