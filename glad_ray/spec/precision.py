"""How exactly GPUs multiply float32 numbers."""

from typing import Literal

Products = Literal["float32", "tf32"]
"""Of products and convolutions of float32 numbers: `float32`, exact to their rounding, or `tf32`, which keeps 10 of a
factor's 23 binary digits and is several times as fast on NVIDIA GPUs since Ampere. Other devices compute `float32`.
"""
