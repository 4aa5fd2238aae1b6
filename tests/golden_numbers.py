"""The numbers the golden data was made with: a formula in place of stored weights and images (golden/README.md)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

GOLDEN = Path(__file__).parent / "golden"
_MASK = np.uint64(0xFFFFFFFF)


def golden(name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the facts of one golden group, `golden/<name>.npz` and `.json`."""
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays), json.loads((GOLDEN / f"{name}.json").read_text())


def s(k: np.ndarray, i: int) -> np.ndarray:
    """The hash s(k, i) of integers k with stream i, float64 in [-1, 1)."""
    # Products of two 32-bit numbers fit in 64 bits, so masking after each step is arithmetic modulo 2**32.
    h = (np.asarray(k, dtype=np.uint64) + np.uint64(0x9E3779B9 * (i + 1) & 0xFFFFFFFF)) & _MASK
    h ^= h >> np.uint64(16)
    h = (h * np.uint64(0x7FEB352D)) & _MASK
    h ^= h >> np.uint64(15)
    h = (h * np.uint64(0x846CA68B)) & _MASK
    h ^= h >> np.uint64(16)
    return h.astype(np.float64) / 2.0**31 - 1.0


def s_like(shape: tuple[int, ...], i: int) -> np.ndarray:
    """s(k, i) for k = 0, 1, ... in C order, float64."""
    return s(np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.uint64), i).reshape(shape)


def parameter(i: int, name: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    """The i-th parameter of a network, float32; `name` decides only whether it is a bias."""
    values = s_like(shape, i)
    if len(shape) >= 2 and shape[0] == 1:
        values = 0.5 * values
    elif name.rsplit(".", 1)[-1] == "bias":
        values = 0.1 * values
    elif len(shape) in (1, 3):
        values = 1 + 0.1 * values
    else:
        values = gain * np.sqrt(3 / np.prod(shape[1:])) * values
    return values.astype(np.float32)


def set_parameters(network: nn.Module, gain: float) -> None:
    """Fill a network's parameters by the formula, in registration order, and reset its running statistics."""
    with torch.no_grad():
        for i, (name, target) in enumerate(network.named_parameters()):
            target.copy_(torch.from_numpy(parameter(i, name, tuple(target.shape), gain)))
        for name, buffer in network.named_buffers():
            buffer.fill_(1 if name.endswith("running_var") else 0)


def images(n: int, channels: int, height: int, width: int, salt: int) -> Tensor:
    """Test images of shape (n, channels, height, width), float32, roughly standardised."""
    b, c, h, w = np.meshgrid(np.arange(n), np.arange(channels), np.arange(height), np.arange(width), indexing="ij")
    waves = np.sin(2 * np.pi * ((b + 1) * h / height + (c + 1) * w / width)) * (0.5 + 0.25 * c) + 0.2 * (b - 1)
    noise = 0.7 * s_like((n, channels, height, width), 1000 + salt)
    return torch.from_numpy((waves + noise).astype(np.float32))
