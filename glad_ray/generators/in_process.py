"""A differentiable generator in this process as the two pure functions that distillation asks for.

Decode without a graph, and decode again with one for the gradients, a few images at a time (section 3.4 of GLaD): so
many as a budget of memory has room for the graphs of. Where that is all of them, the graph of `decode` is kept for the
`pullback` of the same latents, which is then spared its second pass and gives the same bits.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from typing_extensions import override

from glad_ray.errors import UserError
from glad_ray.generators.base import (
    WEIGHTS,
    DifferentiableGenerator,
    ForetoldMemory,
    Generator,
    Latents,
    LayeredGenerator,
)
from glad_ray.machine import SavedBytes, fp32_precision
from glad_ray.spec.generators import Init, images_at_once
from glad_ray.spec.precision import FP32Precision
from glad_ray.vector_jacobian import vector_jacobian

_TRANSIENT = 1.25
"""memory of a pullback beyond what its graph keeps, for gradients under way"""


@dataclass(frozen=True)
class _KeptGraph:
    """What a pullback of the same latents needs."""

    space: str
    latents: Latents
    versions: dict[str, int]
    leaves: Latents
    images: Tensor

    @classmethod
    def of(cls, space: str, latents: Latents, leaves: Latents, images: Tensor) -> "_KeptGraph":
        versions = {kind: value._version for kind, value in latents.items()}
        return cls(space, dict(latents), versions, leaves, images)

    def serves(self, space: str, latents: Latents) -> bool:
        """Whether these are the very tensors it was made of, unchanged since."""
        return (
            space == self.space
            and latents.keys() == self.latents.keys()
            and all(
                value is self.latents[kind] and value._version == self.versions[kind] for kind, value in latents.items()
            )
        )


@final
class InProcessGenerator(Generator):
    """The `Generator` of a differentiable one. Latents keep their own device and precision, the network its own."""

    def __init__(
        self,
        network: DifferentiableGenerator,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        memory_gib: float,
        keep_graph: bool = False,
        fp32: FP32Precision = "float32",
    ) -> None:
        """`memory_gib`: for the graphs of pullbacks, at least of one image; `keep_graph`: between decode and pullback,
        for one caller who alternates the two, and decodes under `torch.no_grad` where no pullback follows;
        `fp32`: the precision in which a GPU multiplies float32 numbers.
        """
        self.network = network
        self.device, self.dtype = torch.device(device), dtype
        self.memory_gib = memory_gib
        self.keep_graph = keep_graph
        self.fp32 = fp32
        self._kept: _KeptGraph | None = None
        self._pullback_bytes: dict[str, int] = {}

    @property
    @override
    def spaces(self) -> tuple[str, ...]:
        return self.network.spaces

    @override
    @torch.no_grad()
    def init(
        self,
        space: str,
        labels: Int64[Tensor, " n"],
        rng: torch.Generator,
        how: Init,
        real_images: Float[Tensor, "n c h w"] | None = None,
    ) -> Latents:
        given = None if real_images is None else self._here(real_images)
        with self._in_precision():
            latents = self.network.init(space, labels, rng, how, given)
        # In one order in memory, as a checkpoint restores them: convolutions round differently in others.
        return {kind: value.contiguous() for kind, value in latents.items()}

    @override
    def decode(self, space: str, latents: Latents) -> Float[Tensor, "n c h w"]:
        self._check(space, latents)
        self._kept = None
        like = next(iter(latents.values()))
        if self.keep_graph and torch.is_grad_enabled() and _count(latents) <= self.chunk_size(space):
            leaves = self._leaves(latents)
            with torch.enable_grad(), self._in_precision():
                images = self.network.images(space, leaves)
            self._kept = _KeptGraph.of(space, latents, leaves, images)
            return images.detach().to(like, copy=True).contiguous()
        with torch.no_grad(), self._in_precision():
            parts = [self.network.images(space, chunk) for chunk in self._chunks(space, latents)]
        return torch.cat(parts).to(like).contiguous()

    @override
    def pullback(self, space: str, latents: Latents, image_grads: Float[Tensor, "n c h w"]) -> Latents:
        """By section 3.4 of GLaD, with a graph per chunk."""
        self._check(space, latents)
        # As a replica is sent them: convolutions round differently in other orders of memory.
        image_grads = image_grads.contiguous()
        kept, self._kept = self._kept, None
        if kept is not None and kept.serves(space, latents):
            with self._in_precision():
                found = [_gradients(kept.images, kept.leaves, self._here(image_grads))]
        else:
            found = []
            for chunk in self._chunks(space, {**latents, "image_grads": image_grads}):
                chunk_grads = chunk.pop("image_grads")
                leaves = self._leaves(chunk)
                with torch.enable_grad(), self._in_precision():
                    images = self.network.images(space, leaves)
                    found.append(_gradients(images, leaves, chunk_grads))
        return {kind: _together(kind, [grads[kind] for grads in found]).to(value) for kind, value in latents.items()}

    @override
    def hand_over(self, space: str, later: str, latents: Latents) -> Latents:
        self._check(space, latents)
        network = self.network
        if not isinstance(network, LayeredGenerator):
            raise UserError(
                f"The generator cannot hand latents of {space} over to {later}: name one space, or a generator that "
                "has hand_over (glad_ray.generators.LayeredGenerator)."
            )
        self._kept = None
        like = next(iter(latents.values()))
        with torch.no_grad(), self._in_precision():
            parts = [network.hand_over(space, later, chunk) for chunk in self._chunks(space, latents)]
        # In one order in memory, as a checkpoint restores them; copies, for latents are changed in place.
        made = {
            kind: (value if kind == WEIGHTS else torch.cat([part[kind] for part in parts]))
            .to(like, copy=True)
            .contiguous()
            for kind, value in parts[0].items()
        }
        self._check(later, made)
        return made

    def chunk_size(self, space: str) -> int:
        """Images whose graph fits into the memory, at least one."""
        return images_at_once(self.memory_gib, self.pullback_bytes(space))

    def pullback_bytes(self, space: str) -> int:
        """What each image adds to the memory of a pullback: foretold, or else measured once."""
        if isinstance(self.network, ForetoldMemory):
            return self.network.pullback_bytes(space)
        if space not in self._pullback_bytes:
            kept = measured_graph_bytes(self.network, space, self.device, self.dtype)
            self._pullback_bytes[space] = round(_TRANSIENT * kept)
        return self._pullback_bytes[space]

    def _in_precision(self) -> contextlib.AbstractContextManager[None]:
        return fp32_precision(self.fp32, self.device)

    def _chunks(self, space: str, tensors: Latents) -> Iterator[Latents]:
        shared = {kind: self._here(value) for kind, value in tensors.items() if kind == WEIGHTS}
        own = {kind: value for kind, value in tensors.items() if kind != WEIGHTS}
        size = self.chunk_size(space)
        for parts in zip(*(value.split(size) for value in own.values()), strict=True):
            yield shared | {kind: self._here(part) for kind, part in zip(own, parts, strict=True)}

    def _leaves(self, latents: Latents) -> Latents:
        return {kind: self._here(value).detach().requires_grad_() for kind, value in latents.items()}

    def _here(self, value: Tensor) -> Tensor:
        return value.to(self.device, self.dtype)

    def _check(self, space: str, latents: Latents) -> None:
        expected = dict(self.network.latent_shapes(space))
        found = {kind: tuple(value.shape[1:]) for kind, value in latents.items() if kind != WEIGHTS}
        if found != expected:
            raise UserError(f"Latents of {space} are per image {expected}, not {found}: they are another generator's.")


def measured_graph_bytes(
    network: DifferentiableGenerator, space: str, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> int:
    """What autograd keeps of one image decoded from `space`, weights that it refers to included: an upper estimate."""
    shapes = network.latent_shapes(space).items()
    leaves = {kind: torch.zeros(1, *shape, device=device, dtype=dtype).requires_grad_() for kind, shape in shapes}
    saved = SavedBytes()
    with torch.enable_grad(), saved:
        network.images(space, leaves)
    return max(1, saved.total)


def _gradients(images: Tensor, leaves: Latents, image_grads: Tensor) -> Latents:
    """Of sum(images * image_grads), computed at a scale that half precision can hold: a power of two changes no bit."""
    largest = image_grads.abs().max().clamp(min=torch.finfo(image_grads.dtype).tiny)
    scale = torch.exp2(-torch.floor(torch.log2(largest)))
    grads = vector_jacobian(images, image_grads * scale, tuple(leaves.values()), unused_as_zero=True)
    return {kind: grad / scale for kind, grad in zip(leaves, grads, strict=True)}


def _together(kind: str, parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).sum(dim=0) if kind == WEIGHTS else torch.cat(parts)


def _count(latents: Latents) -> int:
    return next(len(value) for kind, value in latents.items() if kind != WEIGHTS)
