"""An algorithm of the user's own: what it is given, and how it is asked.

It is a class of this form; `state` and `load_state` may be left out where nothing outlives a step:

    class Mine:
        def __init__(self, tools: Tools, **options): ...
        def match(self, images, labels, step) -> tuple[loss, image_grads]: ...
        def state(self) -> dict[str, Tensor]: ...
        def load_state(self, state: dict[str, Tensor]) -> None: ...

What it draws follows from `Tools.rng`, so that a run that was stopped goes on to the same images.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.algorithms.base import Match
from glad_ray.algorithms.drawn import build_backbone, draw_of_step
from glad_ray.algorithms.real_batches import RealBatches
from glad_ray.augment import apply
from glad_ray.data import Dataset
from glad_ray.errors import UserError
from glad_ray.importing import import_callable
from glad_ray.networks import Classifier
from glad_ray.randomness import rng_for
from glad_ray.spec import CustomAlgorithm, Run
from glad_ray.trajectories import Trajectories


class Tools:
    """What a user's algorithm is given: networks, real images, augmentation and random numbers of one run.

    They depend on nothing but the run and the number of the step, so that a run that was stopped goes on as if it had
    not been. Attributes: `run`, the run's record; `classes`, their number; `device`, where images and networks lie;
    `trajectories`, parameters of the run's experts, or None if its settings name no experts.
    """

    def __init__(self, run: Run, dataset: Dataset, trajectories: Trajectories | None, device: torch.device) -> None:
        self.run, self.trajectories, self.device, self._dataset = run, trajectories, device, dataset
        self.classes = len(dataset.class_names)
        real = run.algorithm.real_images
        self._real = None if real is None else RealBatches(run, dataset, real, device)

    def rng(self, purpose: str, step: int) -> torch.Generator:
        """Random numbers on the CPU for one purpose at one step."""
        return rng_for(self.run.run_id, f"own {purpose}", step)

    def network(self, step: int) -> Classifier:
        """The backbone with random weights, others at every step; `network(images)` has logits (n, k),
        `network.embed(images)` features (n, d). Its parameters ask for gradients.
        """
        network = build_backbone(self.run, self._dataset, rng_for(self.run.run_id, "network", step))
        return network.to(self.device)

    def augmented(
        self, images: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"], step: int
    ) -> Float[Tensor, "n c h w"]:
        """Images after the run's augmentation. Those of a class get the same operation, with the same random
        parameters, as the class's real images at this step; `labels` on the CPU.
        """
        return apply(images, draw_of_step(self.run, self._dataset, step), labels)

    def real_batches(
        self, network: Classifier, step: int
    ) -> Iterator[tuple[int, int, Iterator[Float[Tensor, "b c h w"]]]]:
        """Yields three things for each class: its number; how many real images of it are drawn for this step; and an
        iterator over these images, augmented, in batches small enough for `network` and the memory there is.

        Raises `UserError` if the algorithm's `real_batch_size` is None.
        """
        if self._real is None:
            raise UserError(f"Algorithm {self.run.algorithm.name} asks for real images: set its real_batch_size.")
        draws = draw_of_step(self.run, self._dataset, step)
        batches = self._real.of_step(network, step, draws, torch.float32)
        for label, (count, parts) in enumerate(batches):
            yield label, count, parts


def import_custom(settings: CustomAlgorithm) -> Callable[..., Any]:
    """The user's class; raises `UserError` if there is none, or it does not take the options."""
    found = import_callable(settings.name, "Algorithm", "a matching algorithm")
    with contextlib.suppress(ValueError):  # of what tells no signature
        try:
            inspect.signature(found).bind(None, **settings.options)
        except TypeError as error:
            raise UserError(
                f"Algorithm {settings.name} cannot be called with tools and its options ({error}): its __init__ takes "
                "tools first, and every option by its name."
            ) from error
    return found


class CustomMatching:
    """An algorithm of the user's own, bound to one run."""

    def __init__(self, run: Run, dataset: Dataset, trajectories: Trajectories | None, device: torch.device) -> None:
        settings = run.algorithm
        assert isinstance(settings, CustomAlgorithm)
        self._name = settings.name
        made = import_custom(settings)
        self._algorithm: Any = made(Tools(run, dataset, trajectories, device), **settings.options)
        if not callable(getattr(self._algorithm, "match", None)):
            raise UserError(
                f"Algorithm {self._name} makes a {type(self._algorithm).__name__}, which has no match(images, labels, "
                "step): see docs/algorithms.md."
            )

    def match(
        self, images: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"], step: int, step_size: Float[Tensor, ""]
    ) -> Match:
        """What the user's class returns, held against what is asked of it."""
        found = self._algorithm.match(images.detach().clone(), labels, step)
        if not (isinstance(found, tuple) and len(found) == 2 and all(isinstance(each, Tensor) for each in found)):
            raise UserError(
                f"match of {self._name} returns {type(found).__name__}: return two tensors, the loss and its gradient "
                "with respect to the images."
            )
        loss, grads = (each.detach() for each in found)
        if loss.numel() != 1:
            raise UserError(f"match of {self._name} returns a loss of shape {tuple(loss.shape)}: return one number.")
        if grads.shape != images.shape:
            raise UserError(
                f"match of {self._name} returns a gradient of shape {tuple(grads.shape)} for images of "
                f"{tuple(images.shape)}: return one of the images' shape."
            )
        return Match(loss=loss.reshape(()).to(images.device), image_grads=grads.to(images))

    def state(self) -> dict[str, Tensor]:
        """What the user's class says outlives a step."""
        asked = getattr(self._algorithm, "state", None)
        return {} if asked is None else dict(asked())

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Give it back after an interruption."""
        if not state:
            return
        if not hasattr(self._algorithm, "load_state"):
            raise UserError(f"Algorithm {self._name} has a state and no load_state(state) to take it back: add one.")
        self._algorithm.load_state(state)
