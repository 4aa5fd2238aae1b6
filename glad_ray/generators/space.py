"""What is optimised, as two pure functions between latents and normalised images (section 3.4 of GLaD).

Normalised means (x - mean) / std of the dataset with x in [0, 1], for real and generated images alike. The paper's code
shifts generated ImageNet images by another dataset's mean; here they share one.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, final, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.errors import UserError, unknown
from glad_ray.generators.base import Generator, Latents
from glad_ray.machine import upload
from glad_ray.spec.generators import Init

RealImages = Callable[[Tensor, torch.Generator], Tensor]
"""Normalised real images of the given classes, one independent draw per label."""

_PIXEL_INITS = ("noise", "real")


@runtime_checkable
class Space(Protocol):
    """Latents, and the way between them and images."""

    def init(self, labels: Int64[Tensor, " n"], rng: torch.Generator) -> Latents:
        """Latents to start from, one image per label."""

    def decode(self, latents: Latents) -> Float[Tensor, "n c h w"]:
        """Their normalised images; no graph."""

    def pullback(self, latents: Latents, image_grads: Float[Tensor, "n c h w"]) -> Latents:
        """dL/dlatents from dL/dimages (section 3.4 of GLaD)."""


@final
class PixelSpace:
    """The images themselves, normalised: `noise` starts from N(0, 1), `real` from real images of each class."""

    def __init__(
        self,
        shape: Sequence[int],
        init: Init,
        real_images: RealImages | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        if init not in _PIXEL_INITS:
            raise unknown("initialisation of pixels", str(init), _PIXEL_INITS)
        if init == "real" and real_images is None:
            raise UserError("Initialisation 'real' needs real images: give real_images, or use 'noise'.")
        self.shape = tuple(shape)
        self.real_images = real_images if init == "real" else None
        self.device = torch.device(device)

    def init(self, labels: Int64[Tensor, " n"], rng: torch.Generator) -> Latents:
        """See `Space.init`."""
        if self.real_images is not None:
            return {"pixels": self.real_images(labels, rng).to(self.device, copy=True)}
        return {"pixels": torch.randn(len(labels), *self.shape, generator=rng).to(self.device)}

    def decode(self, latents: Latents) -> Float[Tensor, "n c h w"]:
        """See `Space.decode`; a copy, for latents are changed in place."""
        return latents["pixels"].detach().clone()

    def pullback(self, latents: Latents, image_grads: Float[Tensor, "n c h w"]) -> Latents:
        """See `Space.pullback`."""
        return {"pixels": image_grads.to(latents["pixels"])}


@final
class GeneratorSpace:
    """A latent space of a generator, which may be in this process or behind a handle."""

    def __init__(
        self,
        generator: Generator,
        space: str,
        *,
        init: Init,
        mean: Sequence[float],
        std: Sequence[float],
        real_images: RealImages | None = None,
        classes: Sequence[int] = (),
        device: torch.device | str = "cpu",
    ) -> None:
        """`real_images` for a generator that starts from them; `classes`: its class of each label, if not the label."""
        if space not in generator.spaces:
            raise UserError(f"The generator has no latent space {space!r}: it has {', '.join(generator.spaces)}.")
        self.generator = generator
        self.space = space
        self.how = init
        self.real_images = real_images
        self.classes = torch.tensor(classes, dtype=torch.int64)
        self.device = torch.device(device)
        self.mean = torch.tensor(mean, dtype=torch.float64)[:, None, None]
        self.std = torch.tensor(std, dtype=torch.float64)[:, None, None]

    def init(self, labels: Int64[Tensor, " n"], rng: torch.Generator) -> Latents:
        """See `Space.init`."""
        real = None if self.real_images is None else self._to_generator(self.real_images(labels, rng))
        own = self.classes[labels.cpu()] if len(self.classes) else labels
        latents = self.generator.init(self.space, own, rng, self.how, real)
        return {kind: value.to(self.device) for kind, value in latents.items()}

    def decode(self, latents: Latents) -> Float[Tensor, "n c h w"]:
        """See `Space.decode`: ((g + 1) / 2 - mean) / std of the generator's image g."""
        images = self.generator.decode(self.space, latents)
        return (images + _beside(images, 1 - 2 * self.mean)) * _beside(images, 0.5 / self.std)

    def _to_generator(self, images: Tensor) -> Tensor:
        """Normalised images in the generator's range."""
        return images * _beside(images, 2 * self.std) - _beside(images, 1 - 2 * self.mean)

    def pullback(self, latents: Latents, image_grads: Float[Tensor, "n c h w"]) -> Latents:
        """See `Space.pullback`."""
        return self.generator.pullback(self.space, latents, image_grads * _beside(image_grads, 0.5 / self.std))


def _beside(images: Tensor, values: Tensor) -> Tensor:
    """Values per channel, of the CPU, on the device and in the precision of images; no GPU is waited for."""
    return upload(values.to(images.dtype), images.device)
