"""The vision transformer (Dosovitskiy et al., 2021) in the two sizes of the paper's code.

Patches of 4 pixels, 6 layers and layer norms for small images; patches of 16, 10 layers and no norm at all for large
ones (the paper says ViT-B/16, its code builds this).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from typing_extensions import override

from glad_ray.errors import UserError
from glad_ray.spec.networks.base import Architecture
from glad_ray.spec.networks.layers import Composite, Cost, Layer, Linear

_HEAD_DIM = 64
"""of the attention; fewer in tokens narrower than that"""


@dataclass(frozen=True)
class EncoderLayer(Composite):
    """Attention, and two linear layers."""

    heads: int
    qkv: Linear
    """queries, keys and values of all heads"""
    attended: Linear
    """from the heads to the tokens"""
    hidden: Linear
    """each of the two that follow the attention"""
    others: Cost
    """norms, and the products of the attention"""

    @property
    @override
    def layers(self) -> tuple[Layer, ...]:
        return self.qkv, self.attended, self.hidden, self.hidden, self.others


class ViT(Architecture):
    """Layers of attention and of two linear layers as wide as the tokens; the class token is classified."""

    name: ClassVar[str] = "vit"
    title: ClassVar[str] = "ViT"
    implementation: ClassVar[str] = "glad_ray.networks.vit:ViT"
    reference_names: ClassVar[tuple[str, ...]] = ("ViTCIFAR", "ViT")
    standard_width: ClassVar[int] = 512
    small_width: ClassVar[int] = 16
    dropout: ClassVar[bool] = True

    @property
    def patch(self) -> int:
        """Side of a patch in pixels."""
        return 16 if self.large else 4

    @override
    def check(self) -> None:
        if self.resolution % self.patch:
            raise UserError(
                f"ViT takes images whose side is a multiple of {self.patch} pixels, not {self.resolution}: "
                "change the resolution or leave ViT out."
            )

    @cached_property
    @override
    def layers(self) -> tuple[Cost, Linear, *tuple[EncoderLayer, ...], Linear]:
        dim, patches = self.width, (self.resolution // self.patch) ** 2
        tokens, heads, norm = patches + 1, max(1, dim // _HEAD_DIM), 0 if self.large else 2 * dim
        attended = heads * min(_HEAD_DIM, dim)
        encoder = EncoderLayer(
            heads=heads,
            qkv=Linear(dim, 3 * attended, tokens, bias=False),
            attended=Linear(attended, dim, tokens),
            hidden=Linear(dim, dim, tokens),
            others=Cost(parameters=2 * norm, multiply_adds=2 * tokens**2 * attended),
        )
        positions_class_token_and_last_norm = Cost(parameters=(tokens + 1) * dim + norm)
        return (
            positions_class_token_and_last_norm,
            Linear(self.channels * self.patch**2, dim, patches),
            *[encoder] * (10 if self.large else 6),
            Linear(dim, self.classes),
        )
