"""A StyleGAN-XL network in this process as an image prior: the `Generator` protocol over mapping and synthesis."""

from collections.abc import Iterator
from typing import final

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.errors import UserError, unknown
from glad_ray.generators.base import Latents
from glad_ray.generators.stylegan_xl.mapping import MappingNetwork
from glad_ray.generators.stylegan_xl.synthesis import SynthesisNetwork
from glad_ray.spec.run import Init

_INITS = ("sampled", "average", "gaussian")
_CODES_PER_AVERAGE = 1000
_LARGEST_FEATURE = 10.0
_INFINITE_FEATURE = 5.0


@final
class StyleGANGenerator:
    """At most `chunk_size` images go through the network at a time (None: all), which bounds memory and nothing else.

    Latents keep their own device and precision; the network works in its own.
    """

    def __init__(self, mapping: MappingNetwork, synthesis: SynthesisNetwork, chunk_size: int | None = None) -> None:
        self.mapping = mapping
        self.synthesis = synthesis
        self.chunk_size = chunk_size

    @property
    def spaces(self) -> tuple[str, ...]:
        """`w+`, and one `f<n>` per synthesis layer."""
        return self.synthesis.settings.spaces

    @torch.no_grad()
    def init(self, space: str, labels: Int64[Tensor, " n"], rng: torch.Generator, how: Init) -> Latents:
        """See `Generator.init`. Features are cleaned as GLaD's code does: NaN 0, infinity 5, within [-10, 10]."""
        layer = self.synthesis.settings.layer_of(space)
        if how not in _INITS:
            raise unknown("initialisation of latents", how, _INITS)
        if how == "gaussian" and layer is None:
            raise UserError(
                "Initialisation 'gaussian' draws a feature map, which w+ lacks: use 'sampled' or 'average'."
            )
        w = self._average_codes(labels, rng) if how == "average" else self._codes(labels, rng)
        ws = w[:, None].repeat(1, self.synthesis.settings.codes, 1)
        if layer is None:
            return {"w": ws}
        f = torch.cat([self.synthesis.to_f(chunk["w"], layer) for chunk in self._chunks({"w": ws})])
        f = f.to(ws).contiguous().nan_to_num(0.0, _INFINITE_FEATURE, -_INFINITE_FEATURE)
        f = f.clamp(-_LARGEST_FEATURE, _LARGEST_FEATURE)
        if how == "gaussian":
            deviation, mean = torch.std_mean(f, dim=(1, 2, 3), keepdim=True)
            f = torch.randn(f.shape, generator=rng).to(f) * deviation + mean
        return {"f": f, "w": ws[:, layer + 1 :].contiguous()}

    @torch.no_grad()
    def decode(self, space: str, latents: Latents) -> Float[Tensor, "n c h w"]:
        """See `Generator.decode`."""
        layer = self._layer(space, latents)
        images = torch.cat([self._images(layer, chunk) for chunk in self._chunks(latents)])
        return images.to(latents["w"])

    @torch.enable_grad()
    def pullback(self, space: str, latents: Latents, image_grads: Float[Tensor, "n c h w"]) -> Latents:
        """See `Generator.pullback`: section 3.4 of GLaD, a graph per chunk."""
        layer = self._layer(space, latents)
        parts: list[tuple[Tensor, ...]] = []
        for chunk in self._chunks({**latents, "image_grads": image_grads}):
            chunk_grads = chunk.pop("image_grads")
            leaves = {kind: value.detach().requires_grad_() for kind, value in chunk.items()}
            parts.append(torch.autograd.grad(self._images(layer, leaves), tuple(leaves.values()), chunk_grads))
        grads = (torch.cat(part) for part in zip(*parts, strict=True))
        return {kind: grad.to(value) for (kind, value), grad in zip(latents.items(), grads, strict=True)}

    def _images(self, layer: int | None, latents: Latents) -> Tensor:
        if layer is None:
            return self.synthesis(latents["w"])
        return self.synthesis.from_f(latents["w"], latents["f"], layer)

    def _chunks(self, tensors: Latents) -> Iterator[Latents]:
        """In the synthesis network's precision, on its device."""
        like = self.synthesis.input.phases
        size = self.chunk_size or max(len(tensors["w"]), 1)
        for parts in zip(*(value.split(size) for value in tensors.values()), strict=True):
            yield {kind: part.to(like) for kind, part in zip(tensors, parts, strict=True)}

    def _layer(self, space: str, latents: Latents) -> int | None:
        expected = self.synthesis.settings.latent_shapes(space)
        found = {kind: tuple(value.shape[1:]) for kind, value in latents.items()}
        if found != expected:
            raise UserError(f"Latents of {space} are per image {expected}, not {found}: they are another generator's.")
        return self.synthesis.settings.layer_of(space)

    def _codes(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        like = self.mapping.w_average
        z = torch.randn(len(labels), self.mapping.settings.z_dim, generator=rng)
        return self.mapping(z.to(like), labels.to(like.device))

    def _average_codes(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        return torch.stack([self._codes(label.expand(_CODES_PER_AVERAGE), rng).mean(dim=0) for label in labels])
