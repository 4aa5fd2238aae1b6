"""A run's way through the layers of its space (H-PD, CVPR 2025): which layer a step is made in, what a layer leaves to
the next, and the hand-over between them.

At a hand-over the latents become those of the next layer, by the generator's own layers in between, and their optimiser
begins anew; a learned step size, the plateau of its rates and what the algorithm keeps go on. A space of one layer is
never left.
"""

from bisect import bisect_right
from typing import cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.checkpoints import DistillationState
from glad_ray.data import Dataset
from glad_ray.feature_distance import FeatureDistance
from glad_ray.generators import Latents, LayeredSpace, Space
from glad_ray.optimisers.latents import Moments
from glad_ray.spec import Matching, Run


class LayerWalk:
    """The layers of a run. It keeps no state of its own: all that a step changes is in the `DistillationState`."""

    def __init__(
        self, run: Run, space: Space, dataset: Dataset, labels: Int64[Tensor, " n"], device: torch.device
    ) -> None:
        self.last_steps, self.labels, self._algorithm = run.last_steps, labels, run.algorithm
        self.spaces = [space]
        for _ in self.last_steps[1:]:
            self.spaces.append(cast("LayeredSpace", self.spaces[-1]).later())
        chooses = len(self.spaces) > 1 and run.schedule.choice == "nearest"
        self._distance = FeatureDistance(run, dataset, device) if chooses else None

    def space_at(self, step: int) -> Space:
        """The space of the latents after so many steps, before the next one is begun."""
        return self.spaces[self._layer_of(max(0, step - 1))]

    def enter(self, state: DistillationState) -> Space:
        """The space of the next step; hands the latents over to it where the last one was left."""
        layer = self._layer_of(state.step)
        if layer > 0 and state.step == self.last_steps[layer - 1]:
            before = cast("LayeredSpace", self.spaces[layer - 1])
            state.latents = before.hand_over(state.latents)
            assert isinstance(self._algorithm, Matching), "a baseline has no layers"
            state.moments = Moments.new(self._algorithm.optimiser, state.latents)
        return self.spaces[layer]

    def see(self, state: DistillationState, images: Float[Tensor, "n c h w"] | None) -> None:
        """Keep the latents before the next step if their images are the nearest of the layer; None: these have not been
        decoded.
        """
        if self._distance is not None:
            layer = self._layer_of(state.step)
            self._compare(state, self._decoded(state, layer) if images is None else images, layer)

    def leave(self, state: DistillationState) -> None:
        """After the last step of a layer, where the nearest counts: put the latents back to these."""
        if self._distance is None or state.step not in self.last_steps:
            return
        layer = self.last_steps.index(state.step)
        self._compare(state, self._decoded(state, layer), layer)
        state.latents, state.nearest = state.nearest, {}
        state.nearest_distance = torch.full_like(state.nearest_distance, torch.inf)

    @torch.no_grad()
    def _decoded(self, state: DistillationState, layer: int) -> Tensor:
        return self.spaces[layer].decode(state.latents)

    def _compare(self, state: DistillationState, images: Tensor, layer: int) -> None:
        assert self._distance is not None, "asked only where the nearest counts"
        distance = self._distance.of(images, self.labels, layer, state.step)
        best = state.nearest_distance.to(distance)
        nearer = distance < best
        state.nearest_distance = torch.where(nearer, distance, best)
        state.nearest = _chosen(nearer, state.latents, state.nearest or state.latents)

    def _layer_of(self, step: int) -> int:
        """The layer that a step is made in, counted from 0."""
        return min(bisect_right(self.last_steps, step), len(self.spaces) - 1)


def _chosen(which: Tensor, latents: Latents, others: Latents) -> Latents:
    """Copies of one or of the others, without waiting for a device to tell which."""
    return {name: torch.where(which, value, others[name]) for name, value in latents.items()}
