"""The vision transformer (Dosovitskiy et al., 2021) in the two sizes of the paper's code.

Patches of 4 pixels, 6 layers and layer norms at 32 pixels; patches of 16, 10 layers and no norm at all at 128 and
above (the paper says ViT-B/16, its code builds this). Dropout is drawn from the network's own generator.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from glad_ray.errors import UserError
from glad_ray.networks.layers import Classifier, Layout

HEAD_DIM = 64
DROPOUT = 0.1


class Attention(nn.Module):
    """Multi-head self-attention with heads of 64 dimensions (fewer in tokens narrower than that)."""

    def __init__(self, dim: int, *, norm: bool) -> None:
        super().__init__()
        self.heads = max(1, dim // HEAD_DIM)
        self.head_dim = min(HEAD_DIM, dim)
        self.norm = nn.LayerNorm(dim) if norm else nn.Identity()
        self.qkv = nn.Linear(dim, 3 * self.heads * self.head_dim, bias=False)
        self.out = nn.Linear(self.heads * self.head_dim, dim)

    def forward(self, tokens: Float[Tensor, "n t d"], rng: torch.Generator | None) -> Float[Tensor, "n t d"]:
        """The residual branch."""
        # Written out: on CPU the fused kernel has neither a second derivative nor a forward-mode one, and is no faster.
        qkv = self.qkv(self.norm(tokens)).unflatten(2, (3, self.heads, self.head_dim))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q * self.head_dim**-0.5 @ k.transpose(-2, -1)).softmax(-1)
        return dropout(self.out((weights @ v).transpose(1, 2).flatten(2)), rng)


class FeedForward(nn.Module):
    """Two linear layers, as wide as the tokens, with an exact GELU between."""

    def __init__(self, dim: int, *, norm: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim) if norm else nn.Identity()
        self.hidden = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, tokens: Float[Tensor, "n t d"], rng: torch.Generator | None) -> Float[Tensor, "n t d"]:
        """The residual branch."""
        return dropout(self.out(dropout(F.gelu(self.hidden(self.norm(tokens))), rng)), rng)


class ViT(Classifier):
    """The network; positions are learned and the class token is classified.

    `dropout_rng` must be set before a forward pass in training mode; `build_network` does it when it has an rng.
    """

    def __init__(self, layout: Layout, *, patch: int, layers: int, norm: bool) -> None:
        super().__init__()
        if layout.resolution % patch:
            raise UserError(
                f"ViT takes images whose side is a multiple of {patch} pixels, not {layout.resolution}: "
                "change the resolution or leave ViT out."
            )
        self.patch = patch
        self.dropout_rng: torch.Generator | None = None
        dim, patches = layout.width, (layout.resolution // patch) ** 2
        self.positions = nn.Parameter(torch.empty(1, 1 + patches, dim))
        self.class_token = nn.Parameter(torch.empty(1, 1, dim))
        self.patch_embedding = nn.Linear(layout.channels * patch**2, dim)
        self.branches = nn.ModuleList(
            branch for _ in range(layers) for branch in (Attention(dim, norm=norm), FeedForward(dim, norm=norm))
        )
        self.norm = nn.LayerNorm(dim) if norm else nn.Identity()
        self.classifier = nn.Linear(dim, layout.classes)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Logits of normalised images."""
        return self.classifier(self.embed(images))

    def embed(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        """The class token after the last layer, normalised where the network has norms."""
        rng = self._dropout_rng_of_this_pass(images.device)
        tokens = self.patch_embedding(self._patches(images))
        tokens = torch.cat([self.class_token.expand(len(images), -1, -1), tokens], dim=1)
        tokens = dropout(tokens + self.positions, rng)
        for branch in self.branches:
            tokens = tokens + branch(tokens, rng)
        return self.norm(tokens[:, 0])

    def _patches(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n t p"]:
        """Patches in row-major order; inside each, rows, then columns, then channels."""
        split = images.unflatten(3, (-1, self.patch)).unflatten(2, (-1, self.patch))
        return split.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)

    def _dropout_rng_of_this_pass(self, device: torch.device) -> torch.Generator | None:
        """A generator on the images' device, seeded by one draw on CPU: drawing the masks themselves there is slow."""
        if not self.training:
            return None
        assert self.dropout_rng is not None, "set the network's dropout_rng before training it"
        seed = int(torch.randint(2**62, (), generator=self.dropout_rng))
        return torch.Generator(device).manual_seed(seed)


def dropout(values: Float[Tensor, "*shape"], rng: torch.Generator | None) -> Float[Tensor, "*shape"]:
    """Zero a tenth of the values and scale the others up; None: leave them."""
    if rng is None:
        return values
    kept = torch.empty_like(values).bernoulli_(1 - DROPOUT, generator=rng)
    return values * kept.div_(1 - DROPOUT)


def vit(layout: Layout) -> ViT:
    """The variant for 128 pixels and above."""
    return ViT(layout, patch=16, layers=10, norm=False)


def vit_cifar(layout: Layout) -> ViT:
    """The variant for 32 pixels."""
    return ViT(layout, patch=4, layers=6, norm=True)
