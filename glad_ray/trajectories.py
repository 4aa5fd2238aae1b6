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
    for network in trained_networks(trajectories, images):
        outputs = torch.cat([network(chunk).softmax(1) for chunk in images.split(_IMAGES_AT_ONCE)])
        total = outputs if total is None else total + outputs
    assert total is not None, "an expert set has experts"
    return total / trajectories.expert_set.experts.count


@torch.no_grad()
def expert_logits(trajectories: Trajectories, images: Float[Tensor, "n c h w"]) -> list[Float[Tensor, "n k"]]:
    """What each expert says of normalised images after its last epoch."""
    return [
        torch.cat([network(chunk) for chunk in images.split(_IMAGES_AT_ONCE)])
        for network in trained_networks(trajectories, images)
    ]


@torch.no_grad()
def features(trajectories: Trajectories, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
    """What the last layer of each trained expert is given, side by side, for normalised images."""
    return torch.cat(
        [
            torch.cat([network.embed(chunk) for chunk in images.split(_IMAGES_AT_ONCE)])
            for network in trained_networks(trajectories, images)
        ],
        dim=1,
    )


def trained_networks(trajectories: Trajectories, images: Float[Tensor, "n c h w"]) -> Iterator[Classifier]:
    """The experts after their last epoch, in evaluation mode, in the images' precision and on their device."""
    expert_set = trajectories.expert_set
    network = build_network(
        expert_set.network,
        channels=images.shape[1],
        resolution=images.shape[-1],
        classes=dataset_facts(expert_set.dataset).classes,
        rng=None,
    )
    for expert in range(expert_set.experts.count):
        _, parameters = trajectories.segment(expert, expert_set.experts.epochs, 0)
        load_flat_parameters(network, parameters)
        yield network.to(images).eval()
