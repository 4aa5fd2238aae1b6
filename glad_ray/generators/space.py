"""What is optimised, as two pure functions between latents and images as networks see them (section 3.4 of GLaD).

Networks see normalised images, (x - mean) / std of the dataset with x in [0, 1], or where the dataset is whitened the
whitened x; real and generated images alike. The paper's code shifts generated ImageNet images by another dataset's
mean; here they share one.
"""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Protocol, final, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from typing_extensions import override

from glad_ray.errors import UserError, unknown
from glad_ray.generators.base import Generator, Latents
from glad_ray.spec.generators import Init
from glad_ray.spec.layers import spaces_of

RealImages = Callable[[Tensor, torch.Generator], Tensor]
"""Real images of the given classes as networks see them, one independent draw per label."""

_PIXEL_INITS = ("noise", "real")


class Whitening(Protocol):
    """Whitening of images in [0, 1]; `glad_ray.data.whitening.ZCA`."""

    def whiten(self, images: Tensor) -> Tensor:
        """Whitened images from images in [0, 1]."""

    def unwhiten(self, images: Tensor) -> Tensor:
        """The images that whitening made these of."""

    def pullback(self, image_grads: Tensor) -> Tensor:
        """The gradient with respect to images in [0, 1] from that with respect to whitened ones."""


@runtime_checkable
class Space(Protocol):
    """Latents, and the way between them and images."""

    def init(self, labels: Int64[Tensor, " n"], rng: torch.Generator) -> Latents:
        """Latents to start from, one image per label."""

    def decode(self, latents: Latents) -> Float[Tensor, "n c h w"]:
        """Their images as networks see them; no graph."""

    def pullback(self, latents: Latents, image_grads: Float[Tensor, "n c h w"]) -> Latents:
        """dL/dlatents from dL/dimages (section 3.4 of GLaD)."""

    def clip(self, latents: Latents) -> None:
        """Bring pixels back, in place, into the range that real images have; other latents have none."""


@runtime_checkable
class LayeredSpace(Space, Protocol):
    """The first of several layers, one after another."""

    def later(self) -> Space:
        """The next layer, and those after it."""

    def hand_over(self, latents: Latents) -> Latents:
        """Latents of the next layer that decode to the same images, but for what is cleaned on the way."""


@final
class PixelSpace(Space):
    """The images as networks see them: `noise` starts from N(0, 1), `real` from real images of each class."""

    def __init__(
        self,
        shape: Sequence[int],
        init: Init,
        real_images: RealImages | None = None,
        device: torch.device | str = "cpu",
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] = (),
    ) -> None:
        """`mean` and `std`: by which images in [0, 1] were normalised, one each per channel; without them, as for
        whitened images, there is no range to keep pixels in.
        """
        if init not in _PIXEL_INITS:
            raise unknown("initialisation of pixels", str(init), _PIXEL_INITS)
        if init == "real" and real_images is None:
            raise UserError("Initialisation 'real' needs real images: give real_images, or use 'noise'.")
        self.shape = tuple(shape)
        self.real_images = real_images if init == "real" else None
        self.device = torch.device(device)
        self._range = None if mean is None else _range(mean, std, self.device)

    @override
    def init(self, labels: Int64[Tensor, " n"], rng: torch.Generator) -> Latents:
        if self.real_images is not None:
            return {"pixels": self.real_images(labels, rng).to(self.device, copy=True)}
        return {"pixels": torch.randn(len(labels), *self.shape, generator=rng).to(self.device)}

    @override
    def decode(self, latents: Latents) -> Float[Tensor, "n c h w"]:
        """A copy, for latents are changed in place."""
        return latents["pixels"].detach().clone()

    @override
    def pullback(self, latents: Latents, image_grads: Float[Tensor, "n c h w"]) -> Latents:
        return {"pixels": image_grads.to(latents["pixels"])}

    @override
    def clip(self, latents: Latents) -> None:
        if self._range is not None:
            low, high = (each.to(latents["pixels"]) for each in self._range)
            torch.clamp(latents["pixels"], low, high, out=latents["pixels"])


def _range(mean: Sequence[float], std: Sequence[float], device: torch.device) -> tuple[Tensor, Tensor]:
    """What black and white are as networks see them, per channel."""
    center, spread = (torch.tensor(each, dtype=torch.float64, device=device)[:, None, None] for each in (mean, std))
    return -center / spread, (1 - center) / spread


@final
class GeneratorSpace(LayeredSpace):
    """A latent space of a generator, which may be in this process or behind a handle. Of several layers, `f0>f4`, its
    latents are those of the first.
    """

    def __init__(
        self,
        generator: Generator,
        space: str,
        *,
        init: Init,
        mean: Sequence[float],
        std: Sequence[float],
        whitening: Whitening | None = None,
        real_images: RealImages | None = None,
        classes: Sequence[int] = (),
        device: torch.device | str = "cpu",
    ) -> None:
        """`whitening`: in the place of mean and std. `real_images`: for a generator that starts from them. `classes`:
        the generator's class of each label, if not the label.
        """
        self.space, *self.others = spaces_of(space)
        for each in (self.space, *self.others):
            if each not in generator.spaces:
                raise UserError(f"The generator has no latent space {each!r}: it has {', '.join(generator.spaces)}.")
        self.generator = generator
        self.how = init
        self.real_images = real_images
        self.classes = torch.tensor(classes, dtype=torch.int64)
        self.device = torch.device(device)
        self.mean = torch.tensor(mean, dtype=torch.float64, device=self.device)[:, None, None]
        self.std = torch.tensor(std, dtype=torch.float64, device=self.device)[:, None, None]
        self.whitening = whitening

    @override
    def later(self) -> Space:
        rest = copy(self)
        self._check_later()
        rest.space, *rest.others = self.others
        return rest

    @override
    def hand_over(self, latents: Latents) -> Latents:
        self._check_later()
        return self.generator.hand_over(self.space, self.others[0], latents)

    def _check_later(self) -> None:
        if not self.others:
            raise UserError(f"{self.space} is the last layer of its space: nothing comes after it.")

    @override
    def init(self, labels: Int64[Tensor, " n"], rng: torch.Generator) -> Latents:
        real = None if self.real_images is None else self._to_generator(self.real_images(labels, rng))
        own = self.classes[labels.cpu()] if len(self.classes) else labels
        latents = self.generator.init(self.space, own, rng, self.how, real)
        return {kind: value.to(self.device) for kind, value in latents.items()}

    @override
    def decode(self, latents: Latents) -> Float[Tensor, "n c h w"]:
        """((g + 1) / 2 - mean) / std of the generator's image g, or (g + 1) / 2 whitened."""
        images = self.generator.decode(self.space, latents)
        if self.whitening is not None:
            return self.whitening.whiten((images + 1) / 2)
        return (images + (1 - 2 * self.mean).to(images)) * (0.5 / self.std).to(images)

    def _to_generator(self, images: Tensor) -> Tensor:
        """Images that networks see, in the generator's range."""
        if self.whitening is not None:
            return 2 * self.whitening.unwhiten(images) - 1
        return images * (2 * self.std).to(images) - (1 - 2 * self.mean).to(images)

    @override
    def pullback(self, latents: Latents, image_grads: Float[Tensor, "n c h w"]) -> Latents:
        if self.whitening is not None:
            generated_grads = self.whitening.pullback(image_grads) / 2
        else:
            generated_grads = image_grads * (0.5 / self.std).to(image_grads)
        return self.generator.pullback(self.space, latents, generated_grads)

    @override
    def clip(self, latents: Latents) -> None:
        """Nothing: what a generator makes stays as it is."""
