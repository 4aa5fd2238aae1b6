"""Whether images are whitened before networks see them, as the code of MTT does on CIFAR with its option `--zca`."""

from typing import Annotated, Literal

from pydantic import BeforeValidator

from glad_ray.errors import UserError

Whitening = Annotated[Literal["none", "zca"], BeforeValidator(lambda value: "none" if value is None else value)]
"""`none`: images are normalised per channel; `zca`: they are whitened instead. None on a command line is `none`."""

ZCA_EPS = 0.1
"""added to the variances of the principal components, of pixels in [0, 1]; MTT's"""
MOST_NUMBERS = 12_288
"""numbers of the largest image that can be whitened, 3 x 64 x 64: the matrix has their square"""


def check_whitening(whitening: Whitening, channels: int, resolution: int) -> None:
    """Raise `UserError` if images are to be whitened that are too large for it."""
    numbers = channels * resolution**2
    if whitening != "none" and numbers > MOST_NUMBERS:
        side = int((MOST_NUMBERS // channels) ** 0.5)
        raise UserError(
            f"Images of {channels} x {resolution} x {resolution} are too large to be whitened, which takes a matrix of "
            f"{numbers:,} x {numbers:,} numbers: set resolution to {side} or less, or whitening to none."
        )


def zca_bytes(channels: int, resolution: int) -> int:
    """Bytes of a whitening that was fitted: the mean, the matrix and its inverse in float32."""
    numbers = channels * resolution**2
    return 4 * (2 * numbers**2 + numbers)
