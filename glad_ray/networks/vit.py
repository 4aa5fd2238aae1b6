"""The vision transformer as `glad_ray.spec.networks.vit` has it. Dropout is drawn from the network's own generator."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from glad_ray.networks.layers import DrawingClassifier, linear
from glad_ray.spec.networks import vit
from glad_ray.spec.networks.layers import Linear

DROPOUT = 0.1


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, shape: vit.EncoderLayer, *, normed: bool) -> None:
        super().__init__()
        self.heads = shape.heads
        self.head_dim = shape.attended.features_in // shape.heads
        self.norm = _norm(shape.hidden, normed=normed)
        self.qkv = linear(shape.qkv)
        self.out = linear(shape.attended)

    def forward(self, tokens: Float[Tensor, "n t d"], rng: torch.Generator | None) -> Float[Tensor, "n t d"]:
        """The residual branch."""
        # Written out: on CPU the fused kernel has neither a second derivative nor a forward-mode one, and is no faster.
        qkv = self.qkv(self.norm(tokens)).unflatten(2, (3, self.heads, self.head_dim))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q * self.head_dim**-0.5 @ k.transpose(-2, -1)).softmax(-1)
        return dropout(self.out((weights @ v).transpose(1, 2).flatten(2)), rng)


class FeedForward(nn.Module):
    """Two linear layers, as wide as the tokens, with an exact GELU between."""

    def __init__(self, shape: vit.EncoderLayer, *, normed: bool) -> None:
        super().__init__()
        self.norm = _norm(shape.hidden, normed=normed)
        self.hidden = linear(shape.hidden)
        self.out = linear(shape.hidden)

    def forward(self, tokens: Float[Tensor, "n t d"], rng: torch.Generator | None) -> Float[Tensor, "n t d"]:
        """The residual branch."""
        return dropout(self.out(dropout(F.gelu(self.hidden(self.norm(tokens))), rng)), rng)


class ViT(DrawingClassifier):
    """The network; positions are learned and the class token is classified."""

    def __init__(self, shape: vit.ViT) -> None:
        super().__init__()
        _, embedding, *encoder, classifier = shape.layers
        tokens, normed = encoder[0].hidden, not shape.large
        self.patch = shape.patch
        self.positions = nn.Parameter(torch.empty(1, tokens.rows, tokens.features_in))
        self.class_token = nn.Parameter(torch.empty(1, 1, tokens.features_in))
        self.patch_embedding = linear(embedding)
        self.branches = nn.ModuleList(
            branch(each, normed=normed) for each in encoder for branch in (Attention, FeedForward)
        )
        self.norm = _norm(tokens, normed=normed)
        self.classifier = linear(classifier)

    def initialise_own(self, rng: torch.Generator) -> None:
        """Positions and class token: standard normal."""
        nn.init.normal_(self.positions, generator=rng)
        nn.init.normal_(self.class_token, generator=rng)

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
        seed = self.draw_seed()
        return torch.Generator(device).manual_seed(seed)


def _norm(tokens: Linear, *, normed: bool) -> nn.Module:
    return nn.LayerNorm(tokens.features_in) if normed else nn.Identity()


def dropout(values: Float[Tensor, "*shape"], rng: torch.Generator | None) -> Float[Tensor, "*shape"]:
    """Zero a tenth of the values and scale the others up; None: leave them."""
    if rng is None:
        return values
    kept = torch.empty_like(values).bernoulli_(1 - DROPOUT, generator=rng)
    return values * kept.div_(1 - DROPOUT)
