"""ZCA whitening of images in [0, 1], as the code of MTT has it (`kornia.enhance.ZCAWhitening(eps=0.1)`).

That code whitens the pixels as they are: no mean and deviation per channel is applied before. With the mean m and the
unbiased covariance C = U S U^T of the training images, a whitened image is (x - m) U (S + eps)^(-1/2) U^T.

kornia fits in one piece, which takes several copies of the training images as floats. Here the covariance is summed
over chunks, in whole numbers and so without rounding; it is kornia's to the rounding of float64.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from glad_ray.errors import UserError
from glad_ray.spec.images.whitening import ZCA_EPS

_AT_ONCE = 256
"""images whose products are summed in float32, which holds sums of 258 products of bytes exactly"""


@dataclass(frozen=True, kw_only=True, eq=False)
class ZCA:
    """A whitening that was fitted; images are flattened as channels x height x width."""

    mean: Float[np.ndarray, " d"]
    """of training images in [0, 1]"""
    transform: Float[np.ndarray, "d d"]
    """symmetric"""
    inverse: Float[np.ndarray, "d d"]
    """symmetric"""
    _tensors: dict[tuple[str, torch.device, torch.dtype], Tensor] = field(default_factory=dict, repr=False)

    def whiten(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Whitened images from images in [0, 1]; differentiable."""
        return _linear(images, self._on("transform", images), self._on("mean", images))

    def unwhiten(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The images that whitening made these of, not clipped to [0, 1]."""
        mean = self._on("mean", images)
        return _linear(images, self._on("inverse", images), torch.zeros_like(mean)) + mean.view(images.shape[1:])

    def pullback(self, image_grads: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The gradient with respect to images in [0, 1] from that with respect to whitened ones."""
        transform = self._on("transform", image_grads)
        return _linear(image_grads, transform.T, torch.zeros_like(transform[0]))

    def pictures(self, images: Float[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
        """Whitened images as 8-bit pixels, clipped."""
        return (self.unwhiten(images).clamp(0, 1) * 255).round().to(torch.uint8)

    def _on(self, name: str, images: Tensor) -> Tensor:
        """One of the arrays on the device and in the precision of some images; on a CPU a view of it."""
        key = name, images.device, images.dtype
        if key not in self._tensors:
            array = getattr(self, name)
            # Arrays that processes share are read-only: of those numpy holds PyTorch warns, of Arrow's it does not.
            shared = from_dlpack(pa.array(array.reshape(-1))).view(array.shape)
            self._tensors[key] = shared.to(images.device, images.dtype)
        return self._tensors[key]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_tensors": {}}


def _linear(
    images: Float[Tensor, "n c h w"], matrix: Float[Tensor, "d d"], mean: Float[Tensor, " d"]
) -> Float[Tensor, "n c h w"]:
    """(x - mean) times the matrix, of flattened images x."""
    # Importing it takes half a second, and most processes whiten nothing.
    from kornia.enhance import linear_transform

    return linear_transform(images, matrix, mean[None])


def fit_zca(images: UInt8[np.ndarray, "n c h w"]) -> ZCA:
    """The whitening of some training images, computed in float64 and rounded to float32.

    Raises `UserError` if there are fewer than two images.
    """
    count = len(images)
    if count < 2:
        raise UserError(f"There is {count} training image, and whitening needs two or more: use whitening none.")
    mean, covariance = _mean_and_covariance(images)
    variances, components = torch.linalg.eigh(covariance)
    deviations = (variances.clamp(min=0) + ZCA_EPS).sqrt()
    transform = (components / deviations) @ components.T
    inverse = (components * deviations) @ components.T
    return ZCA(mean=_rounded(mean), transform=_rounded(transform), inverse=_rounded(inverse))


def _mean_and_covariance(images: UInt8[np.ndarray, "n c h w"]) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """Of images in [0, 1], in float64; the covariance is the unbiased one."""
    count, numbers = len(images), int(np.prod(images.shape[1:]))
    total = torch.zeros(numbers, dtype=torch.float64)
    products = torch.zeros(numbers, numbers, dtype=torch.float64)
    for start in range(0, count, _AT_ONCE):
        pixels = torch.tensor(images[start : start + _AT_ONCE]).flatten(1).float()
        total += pixels.sum(0)
        products += pixels.T @ pixels
    products.addr_(total, total, alpha=-1 / count).div_((count - 1) * 255**2)
    return total / (count * 255), products


def _rounded(values: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    return values.float().numpy()
