"""A StyleGAN-XL network as an image prior: codes and feature maps from mapping and synthesis, and images from them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import final

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from typing_extensions import override

from glad_ray.errors import UserError, unknown
from glad_ray.generators.base import (
    WEIGHTS,
    ForetoldMemory,
    Latents,
    LayeredGenerator,
    cleaned,
    gaussian_like,
)
from glad_ray.generators.stylegan_xl.encoder import Encoder
from glad_ray.generators.stylegan_xl.mapping import MappingNetwork
from glad_ray.generators.stylegan_xl.synthesis import SynthesisNetwork
from glad_ray.spec.generators import Init
from glad_ray.spec.generators.stylegan import STYLEGAN_INITS
from glad_ray.stylegan.settings import EncoderSettings, MappingSettings, SynthesisSettings

_CODES_PER_AVERAGE = 1000
_LEARNING = 2
"""times the memory that a pullback takes where it goes to the weights too: more is kept of every layer"""
_IMAGES_AT_ONCE = 10  # through the layers before F: without a graph, for the start alone

State = Mapping[str, Tensor]
"""Weights by the names that released checkpoints give them."""


@final
class StyleGAN(LayeredGenerator, ForetoldMemory):
    """The `DifferentiableGenerator` of a state; labels are the network's own classes."""

    def __init__(
        self,
        mapping: MappingSettings,
        synthesis: SynthesisSettings,
        state: State,
        *,
        precision: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        truncation: float = 1.0,
        learn: bool = False,
        encoder: EncoderSettings | None = None,
    ) -> None:
        """`precision`: of the synthesis layers; bfloat16 and float16 leave latents and images in float32. `learn`: the
        weights of the layers that a space goes through are one of its latents. `encoder`: what the state has beside the
        generator, so that latents can start from real images.
        """
        self.settings = synthesis
        self.truncation = truncation
        own = precision if precision in (torch.float32, torch.float64) else torch.float32
        self.half = None if own == precision else precision
        state = {name: value.to(device, own) for name, value in state.items()}
        self.mapping = MappingNetwork(mapping, state).to(device)
        self.synthesis = SynthesisNetwork(synthesis, state, self.half).to(device)
        self._encoder = None if encoder is None else Encoder(encoder, mapping, synthesis, state).to(device)
        self._learned = state if learn else None

    @property
    @override
    def spaces(self) -> tuple[str, ...]:
        """`w+`, and one `f<n>` per synthesis layer."""
        return self.settings.spaces

    @override
    def latent_shapes(self, space: str) -> dict[str, tuple[int, ...]]:
        return self.settings.latent_shapes(space)

    @override
    def pullback_bytes(self, space: str) -> int:
        numbers = 2 if self.half is not None else self.mapping.w_average.element_size()
        foretold = self.settings.graph_bytes(space, numbers)
        return foretold if self._learned is None else _LEARNING * foretold

    @override
    def init(
        self,
        space: str,
        labels: Int64[Tensor, " n"],
        rng: torch.Generator,
        how: Init,
        real_images: Float[Tensor, "n c h w"] | None = None,
    ) -> Latents:
        """Features are cleaned as GLaD's code does (`cleaned`)."""
        layer = self.settings.layer_of(space)
        inits = STYLEGAN_INITS if self._encoder is None else (*STYLEGAN_INITS, "real")
        if how not in inits:
            raise unknown("initialisation of latents", how, inits)
        if how == "gaussian" and layer is None:
            raise UserError(
                "Initialisation 'gaussian' draws a feature map, which w+ lacks: use 'sampled' or 'average'."
            )
        match how:
            case "average":
                ws = self._average_codes(labels, rng)
            case "real":
                ws = self._real_codes(labels, real_images)
            case _:
                ws = self._codes(labels, rng)
        weights = {} if self._learned is None else {WEIGHTS: self._flat_weights(layer)}
        if layer is None:
            return {"w": ws} | weights
        f = torch.cat([self.synthesis.to_f(part, layer).to(ws) for part in ws.split(_IMAGES_AT_ONCE)])
        f = cleaned(f)
        if how == "gaussian":
            f = gaussian_like(f, rng)
        return {"f": f, "w": ws[:, layer + 1 :]} | weights

    @override
    def images(self, space: str, latents: Latents) -> Float[Tensor, "n c h w"]:
        layer = self.settings.layer_of(space)
        learned = WEIGHTS in latents
        synthesis = self._network_of(layer, latents[WEIGHTS]) if learned else self.synthesis
        if layer is None:
            return synthesis(latents["w"])
        return synthesis.from_f(latents["w"], latents["f"], 0 if learned else layer)

    @override
    def hand_over(self, space: str, later: str, latents: Latents) -> Latents:
        """F_m from F_n, cleaned, and the codes from layer m on; of learned weights, those of the layers from m on."""
        n, m = self.settings.layer_of(space), self.settings.layer_of(later)
        if m is None or (n is not None and m <= n):
            raise UserError(f"Latents of {space} cannot be handed over to {later}: name a later layer.")
        learned = WEIGHTS in latents
        synthesis = self._network_of(n, latents[WEIGHTS]) if learned else self.synthesis
        ws = latents["w"]
        if n is None:
            f, codes = synthesis.to_f(ws, m), ws[:, m + 1 :]
        else:
            begin = 0 if learned else n
            f = synthesis.through(ws[:, : m - n], latents["f"], begin, begin + m - n).to(ws.dtype)
            codes = ws[:, m - n :]
        weights = {WEIGHTS: self._later_weights(latents[WEIGHTS], n, m)} if learned else {}
        return {"f": cleaned(f), "w": codes} | weights

    def _later_weights(self, weights: Tensor, layer: int | None, later: int) -> Tensor:
        """Of the weights of the layers from `layer` on, those from `later` on."""
        assert self._learned is not None, "only a generator that learns has weights among its latents"
        names = learned_names(self.settings, layer)
        parts = dict(zip(names, weights.split([self._learned[name].numel() for name in names]), strict=True))
        return torch.cat([parts[name] for name in learned_names(self.settings, later)])

    def _network_of(self, layer: int | None, weights: Tensor) -> SynthesisNetwork:
        """The layers from `layer` on with these weights: a differentiable function of them."""
        assert self._learned is not None, "only a generator that learns has weights among its latents"
        names = learned_names(self.settings, layer)
        parts = weights.split([self._learned[name].numel() for name in names])
        state = dict(self._learned)
        state |= {name: part.view_as(state[name]) for name, part in zip(names, parts, strict=True)}
        return SynthesisNetwork(replace(self.settings, layers=self.settings.layers[layer or 0 :]), state, self.half)

    def _flat_weights(self, layer: int | None) -> Tensor:
        assert self._learned is not None, "only a generator that learns has weights among its latents"
        return torch.cat([self._learned[name].flatten() for name in learned_names(self.settings, layer)])

    def _codes(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        like = self.mapping.w_average
        z = torch.randn(len(labels), self.mapping.settings.z_dim, generator=rng)
        return self.mapping.codes(z.to(like), labels.to(like.device), self.settings.codes, self.truncation)

    def _real_codes(self, labels: Tensor, images: Tensor | None) -> Tensor:
        if self._encoder is None or images is None:
            raise UserError("Initialisation 'real' needs real images: give real_images, or use 'sampled'.")
        like = self.mapping.w_average
        z = torch.cat([self._encoder(part.to(like)) for part in images.split(_IMAGES_AT_ONCE)])
        return self.mapping.codes(z, labels.to(like.device), self.settings.codes, self.truncation)

    def _average_codes(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        return torch.stack([self._codes(label.expand(_CODES_PER_AVERAGE), rng).mean(dim=0) for label in labels])


def learned_names(settings: SynthesisSettings, layer: int | None) -> tuple[str, ...]:
    """What is learned of a synthesis network entered at a layer (None: from codes alone), by official names."""
    names = [
        f"synthesis.{each.name}.{parameter}"
        for each in settings.layers[layer or 0 :]
        for parameter in ("weight", "bias", "affine.weight", "affine.bias")
    ]
    if layer is None:
        names += [f"synthesis.input.{parameter}" for parameter in ("weight", "affine.weight", "affine.bias")]
    return tuple(names)
