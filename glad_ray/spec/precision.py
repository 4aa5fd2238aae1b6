"""The precision in which GPUs multiply float32 numbers."""

from typing import Literal

FP32Precision = Literal["float32", "tf32"]
"""Of matrix products and convolutions: `float32`, rounded to its 24 significant bits, or `tf32`, in which factors are
rounded to 11, several times as fast on NVIDIA GPUs since Ampere. Other devices compute in `float32` in either case.
"""
