"""Image files of unknown origin: which formats are opened, and what their headers tell of data without a record."""

import contextlib
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from glad_ray.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Those that hold pixels alone; Pillow would hand some others to programs outside."""
DEFAULT_RESOLUTION = 128
"""Side in pixels that runs take on images of many sizes where they name none."""
_GREY_MODES = ("1", "L")
# Nothing is known of such data: in colour ImageNet's, as networks are used to, in grey [0, 1] to [-1, 1].
_STATISTICS = {
    1: ((0.5,), (0.5,), "0.5: those of the data are not known"),
    3: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "ImageNet's: those of the data are not known"),
}


class Look(NamedTuple):
    """What some images of a dataset look like."""

    channels: int
    resolution: int
    many_sizes: bool

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...], str]:
        """Mean and standard deviation per channel to normalise such images with, and where they are from."""
        return _STATISTICS[self.channels]


@contextlib.contextmanager
def opened(content: bytes | Path, where: str) -> Iterator[Image.Image]:
    """An image file, open; raises `DataError`, calling it `where`, if opening it or what is done with it fails."""
    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content, formats=FORMATS) as image:
            yield image
    except UnidentifiedImageError as error:
        raise DataError(f"{where} is no image ({', '.join(FORMATS)}): remove it, or fetch it again.") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{where} is no whole image ({reason}): remove it, or fetch it again.") from error


def look(images: Iterable[tuple[bytes | Path, str]]) -> Look:
    """By the headers of some images: grey if all are, of one size if all are square and alike."""
    modes, sizes = set(), set()
    for content, where in images:
        with opened(content, where) as image:
            modes.add(image.mode)
            sizes.add(image.size)
    channels = 1 if modes <= set(_GREY_MODES) else 3
    width, height = sizes.pop()
    if sizes or width != height:
        return Look(channels, DEFAULT_RESOLUTION, True)
    return Look(channels, width, False)
