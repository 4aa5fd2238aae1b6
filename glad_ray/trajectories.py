"""What networks trained on real data are asked for: their parameters, features of images, class probabilities."""

from collections.abc import Iterator
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from glad_ray.networks import Classifier, build_network, load_flat_parameters
from glad_ray.spec import ExpertSet, dataset_facts

_IMAGES_AT_ONCE = 256


class Trajectories(Protocol):
    """The trajectories of an expert set, wherever they lie."""

    expert_set: ExpertSet
    """whose they are"""

    def segment(self, expert: int, start_epoch: int, epochs: int) -> tuple[Float[Tensor, " p"], Float[Tensor, " p"]]:
        """Flat parameters of an expert at `start_epoch` and `epochs` later, on the CPU; not to be written into, as they
        may be shared.
        """
        ...

    def expect(self, expert: int, start_epoch: int, epochs: int) -> None:
        """Take notice of the segment that will be asked for next: it may be fetched meanwhile."""
        ...


@torch.no_grad()
def class_probabilities(trajectories: Trajectories, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
    """Mean softmax output of all experts, as they are after their last epoch, on normalised images."""
    total: Tensor | None = None
    for network in networks_in_turn(trajectories, images):
        outputs = torch.cat([network(chunk).softmax(1) for chunk in images.split(_IMAGES_AT_ONCE)])
        total = outputs if total is None else total + outputs
    assert total is not None, "an expert set has experts"
    return total / trajectories.expert_set.experts.count


@torch.no_grad()
def expert_logits(trajectories: Trajectories, images: Float[Tensor, "n c h w"]) -> list[Float[Tensor, "n k"]]:
    """What each expert says of normalised images after its last epoch."""
    return [
        torch.cat([network(chunk) for chunk in images.split(_IMAGES_AT_ONCE)])
        for network in networks_in_turn(trajectories, images)
    ]


@torch.no_grad()
def features(trajectories: Trajectories, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
    """What the last layer of each trained expert is given, side by side, for normalised images."""
    return torch.cat(
        [
            torch.cat([network.embed(chunk) for chunk in images.split(_IMAGES_AT_ONCE)])
            for network in networks_in_turn(trajectories, images)
        ],
        dim=1,
    )


def trained_networks(trajectories: Trajectories, images: Float[Tensor, "n c h w"]) -> tuple[Classifier, ...]:
    """All experts after their last epoch, in evaluation mode, in the images' precision and on their device."""
    return tuple(
        _with_parameters(_untrained(trajectories, images), trajectories, expert, images).requires_grad_(False)
        for expert in range(trajectories.expert_set.experts.count)
    )


def networks_in_turn(trajectories: Trajectories, images: Float[Tensor, "n c h w"]) -> Iterator[Classifier]:
    """The same one after another, in one and the same network."""
    network = _untrained(trajectories, images)
    for expert in range(trajectories.expert_set.experts.count):
        yield _with_parameters(network, trajectories, expert, images)


def _untrained(trajectories: Trajectories, images: Float[Tensor, "n c h w"]) -> Classifier:
    expert_set = trajectories.expert_set
    return build_network(
        expert_set.network,
        channels=images.shape[1],
        resolution=images.shape[-1],
        classes=dataset_facts(expert_set.dataset).classes,
        rng=None,
    )


def _with_parameters(
    network: Classifier, trajectories: Trajectories, expert: int, images: Float[Tensor, "n c h w"]
) -> Classifier:
    _, parameters = trajectories.segment(expert, trajectories.expert_set.experts.epochs, 0)
    load_flat_parameters(network, parameters)
    return network.to(images).eval()
