"""The vision transformer as `glad_ray.spec.networks.vit` has it. Dropout is drawn from the network's own generator.

All masks of a forward pass are drawn before it. So a pass can be given its masks, and then draws nothing.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from glad_ray.networks.layers import Fusible, MaskedClassifier, linear
from glad_ray.spec.networks import vit
from glad_ray.spec.networks.layers import Linear

DROPOUT = 0.1


class Attention(Fusible):
    """Multi-head self-attention."""

    def __init__(self, shape: vit.EncoderLayer, *, normed: bool) -> None:
        super().__init__()
        self.heads = shape.heads
        self.head_dim = shape.attended.features_in // shape.heads
        self.norm = _norm(shape.hidden, normed=normed)
        self.qkv = linear(shape.qkv)
        self.out = linear(shape.attended)

    def forward(self, tokens: Float[Tensor, "n t d"], masks: Iterator[Tensor]) -> Float[Tensor, "n t d"]:
        """The residual branch."""
        thirds = self.qkv(self.norm(tokens)).chunk(3, 2)
        q, k, v = (each.unflatten(2, (self.heads, self.head_dim)).transpose(1, 2) for each in thirds)
        if self.fused and fused_is_fast_for(tokens):
            attended = F.scaled_dot_product_attention(q, k, v)
        else:
            # Written out: the fused kernels have neither a second derivative nor a forward-mode one.
            attended = (q * self.head_dim**-0.5 @ k.transpose(-2, -1)).softmax(-1) @ v
        return _dropped(self.out(attended.transpose(1, 2).flatten(2)), masks)


class FeedForward(nn.Module):
    """Two linear layers, as wide as the tokens, with an exact GELU between."""

    def __init__(self, shape: vit.EncoderLayer, *, normed: bool) -> None:
        super().__init__()
        self.norm = _norm(shape.hidden, normed=normed)
        self.hidden = linear(shape.hidden)
        self.out = linear(shape.hidden)

    def forward(self, tokens: Float[Tensor, "n t d"], masks: Iterator[Tensor]) -> Float[Tensor, "n t d"]:
        """The residual branch."""
        hidden = _dropped(F.gelu(self.hidden(self.norm(tokens))), masks)
        return _dropped(self.out(hidden), masks)


class ViT(MaskedClassifier):
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

    def forward(
        self, images: Float[Tensor, "n c h w"], masks: Float[Tensor, "m n t d"] | None = None
    ) -> Float[Tensor, "n classes"]:
        """Logits of normalised images; in training mode masks that are not given are drawn."""
        logits: Tensor = self.classifier(self.embed(images, masks))
        return logits

    def embed(
        self, images: Float[Tensor, "n c h w"], masks: Float[Tensor, "m n t d"] | None = None
    ) -> Float[Tensor, "n features"]:
        """The class token after the last layer, normalised where the network has norms."""
        if masks is None and self.training:
            masks = self.empty_masks(len(images), images.device)
            self.draw_masks(masks)
        left = iter(()) if masks is None else iter(masks.unbind(0))
        tokens = self.patch_embedding(self._patches(images))
        tokens = torch.cat([self.class_token.expand(len(images), -1, -1), tokens], dim=1)
        tokens = _dropped(tokens + self.positions, left)
        for branch in self.branches:
            tokens = tokens + branch(tokens, left)
        return self.norm(tokens[:, 0])

    def empty_masks(self, images: int, device: torch.device) -> Float[Tensor, "m n t d"]:
        """Room for the masks of a pass of so many images."""
        attentions = len(self.branches) // 2
        shape = (1 + 3 * attentions, images, *self.positions.shape[1:])
        return torch.empty(shape, dtype=self.positions.dtype, device=device)

    def draw_masks(self, masks: Float[Tensor, "m n t d"]) -> None:
        """Draw the masks of a pass, each 0 for a tenth of the values, else what scales the others up.

        They come from a generator on their device, seeded by one draw on the CPU: drawing them there is slow.
        """
        device, seed = masks.device, self.draw_seed()
        rng = torch.Generator(device).manual_seed(seed)
        for part in [masks] if drawn_at_once_on(device) else masks:
            part.bernoulli_(1 - DROPOUT, generator=rng)
        masks.div_(1 - DROPOUT)

    def _patches(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n t p"]:
        """Patches in row-major order; inside each, rows, then columns, then channels."""
        split = images.unflatten(3, (-1, self.patch)).unflatten(2, (-1, self.patch))
        return split.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def fused_is_fast_for(tokens: Tensor) -> bool:
    """Whether attention to these tokens is to be one operation: on a CPU that is no faster."""
    return tokens.device.type != "cpu"


def drawn_at_once_on(device: torch.device) -> bool:
    """Whether all masks are one draw there. On a CPU each is one of its own, which gives other numbers."""
    return device.type != "cpu"


def _norm(tokens: Linear, *, normed: bool) -> nn.Module:
    return nn.LayerNorm(tokens.features_in) if normed else nn.Identity()


def _dropped(values: Float[Tensor, "*shape"], masks: Iterator[Tensor]) -> Float[Tensor, "*shape"]:
    """The values times the next mask, if there are masks."""
    mask = next(masks, None)
    return values if mask is None else values * mask
