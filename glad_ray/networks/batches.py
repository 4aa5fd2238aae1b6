"""Sizes of mini-batches, where a network may be unable to take a single image.

Batch norm in training needs two values a channel. One image gives only one after global pooling, or where the maps have
shrunk to one pixel, and PyTorch refuses it; maps of several pixels are no hindrance. The codes of DC, DM, MTT and GLaD
keep the last, smaller batch of an epoch, and so fail on 257 images in batches of 256. Here a last batch of one image
joins the batch before it, for such networks alone: all others see the batches of the originals.
"""

from collections.abc import Callable
from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glad_ray.errors import UserError
from glad_ray.gpu_errors import of_gpu


def batch_sizes(network: nn.Module, image: Callable[[], Float[Tensor, "1 c h w"]], images: int, size: int) -> list[int]:
    """Sizes of the batches into which `images` images are split: `size` each, and what is left over last.

    `image` gives one image (for an `Ensemble`, one for each network), and is called only where a batch of a single
    image would come up. Raises `UserError` if one is left for a network that cannot take it.
    """
    whole, rest = divmod(images, size)
    sizes = [size] * whole + [rest] * (rest > 0)
    if 1 not in sizes or takes_one_image(network, image()):
        return sizes
    if len(sizes) == 1 or size == 1:
        raise single_image(type(network).__name__)
    return [*sizes[:-2], size + 1]


@torch.no_grad()
def takes_one_image(network: nn.Module, image: Float[Tensor, "1 c h w"]) -> bool:
    """Whether the network, in the mode it is in, can take a batch of a single image; it is left as it is."""

    def takes(batch: Tensor) -> bool:
        try:
            # Running statistics and draws of dropout are those of the copy.
            deepcopy(network)(batch)
        except Exception as error:
            if of_gpu(error):
                raise
            return False
        return True

    # A network that cannot take two images either has another fault, which is told where it is used.
    return takes(image) or not takes(torch.cat([image, image]))


def single_image(network: str) -> UserError:
    """The error for batches of one image in a network that cannot take them."""
    return UserError(
        f"{network} cannot be trained on batches of a single image, for its batch norm needs two values a channel: use "
        "a batch size of 2 or more and sets of more images, or another network or norm."
    )
