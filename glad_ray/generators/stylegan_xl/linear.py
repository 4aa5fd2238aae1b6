"""A fully connected layer with equalised learning rate (Karras et al., 2018, section 4.1), frozen."""

import math
from collections.abc import Mapping
from typing import final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SLOPE = 0.2
LEAKY_GAIN = math.sqrt(2)


@final
class EqualizedLinear(nn.Module):
    """y = W x rate / sqrt(fan_in) + b rate, with both factors multiplied into the weights once."""

    weight: Tensor
    bias: Tensor

    def __init__(self, state: Mapping[str, Tensor], prefix: str, rate: float = 1.0) -> None:
        super().__init__()
        weight = state[f"{prefix}.weight"]
        self.register_buffer("weight", weight * (rate / math.sqrt(weight.shape[1])))
        self.register_buffer("bias", state[f"{prefix}.bias"] * rate)

    def forward(self, x: Float[Tensor, "n fan_in"]) -> Float[Tensor, "n fan_out"]:
        """The linear map alone."""
        return F.linear(x, self.weight, self.bias)


def leaky_relu(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Slope 0.2 below zero, times sqrt(2) so that a unit normal keeps about unit power."""
    return F.leaky_relu(x, SLOPE) * LEAKY_GAIN


def unit_power(x: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """Each row divided by the root of its mean square."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)
