"""Image files of unknown origin: which are read, and what their headers tell of data without a record.

What is read: one picture a file, of at most 8 bits a channel, or of as many as the file itself says (12 or 16). Numbers
whose range the file does not say (floating point, signed, 32 bits) are refused.
"""

import contextlib
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from PIL import Image, ImageFile, UnidentifiedImageError

from glad_ray.errors import DataError, GladRayError, is_of_system, unreadable

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Those that hold pixels alone; Pillow would hand some others to programs outside."""
DEFAULT_RESOLUTION = 128
"""Side in pixels that runs take on images of many sizes where they name none."""
LOOKED_AT = 200
"""How many images of a dataset are opened to judge it, if it has no more classes."""
_GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")
_COLOUR_MODES = ("RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")
_PALETTE_MODES = ("P", "PA")
_REMEDY = "save it as PNG with 8 or 16 bits a channel"
_BITS, _PHOTOMETRIC, _PLANES, _SAMPLE_FORMAT = 258, 262, 284, 339
"""tags of TIFF"""
_APART, _SIGNED = 2, 2
# Nothing is known of such data: in colour ImageNet's, as networks are used to, in grey [0, 1] to [-1, 1].
_STATISTICS = {
    1: ((0.5,), (0.5,), "0.5: those of the data are not known"),
    3: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "ImageNet's: those of the data are not known"),
}
_T = TypeVar("_T")


class Appearance(NamedTuple):
    """What some images of a dataset look like."""

    channels: int
    resolution: int
    many_sizes: bool

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...], str]:
        """Mean and standard deviation per channel to normalise such images with, and where they are from."""
        return _STATISTICS[self.channels]


class Pixels(NamedTuple):
    """How an image file stores its pixels."""

    grey: bool
    peak: int
    """the value of full brightness: 255, 4095 or 65535"""
    inverted: bool
    """0 is white, and Pillow leaves it so"""
    stored: str
    """what the file holds, in Pillow's word for the raw data: `RGB;16B`"""


@contextlib.contextmanager
def opened(content: bytes | Path, where: str) -> Iterator[ImageFile.ImageFile]:
    """An image file, open; raises `DataError`, calling it `where`, if opening it or what is done with it fails.

    A file that cannot be read at present is an `UnavailableError`.
    """
    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content, formats=FORMATS) as image:
            yield image
    except (GladRayError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise DataError(
            f"{where} is no image that can be read ({', '.join(FORMATS)} of 1 to 16 bits a channel): {_REMEDY}, or "
            "move it elsewhere if it does not belong to the dataset."
        ) from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{where} has too many pixels to be opened safely: make it smaller.") from error
    except Exception as error:  # a damaged file breaks the reader in any way
        if is_of_system(error):
            raise unreadable(where, error) from error
        raise DataError(f"{where} is no whole image ({error}): fetch it again, or remove it.") from error


def pixels_of(image: ImageFile.ImageFile, where: str) -> Pixels:
    """How an open image, not loaded yet, stores its pixels; raises `DataError` if that is not understood."""
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise DataError(
            f"{where} holds {getattr(image, 'n_frames', 1)} pictures (an animation, or several pages), and which is "
            "meant is not known: save the one that is meant as a file of its own."
        )
    # Alpha is dropped in any case, and Pillow warns of some of it.
    image.info.pop("transparency", None)
    tags: Any = getattr(image, "tag_v2", {})
    bits = max(tags.get(_BITS, (8,))) if image.format == "TIFF" else 8
    stored = _stored(image)
    if image.mode == "F" or _SIGNED in tags.get(_SAMPLE_FORMAT, ()) or bits > 16 or (image.mode == "I" and bits > 8):
        kind = "floating-point numbers" if image.mode == "F" else "signed numbers or numbers of 32 bits"
        raise DataError(
            f"{where} holds {kind} (mode {image.mode}), whose range from black to white the file does not say: scale "
            f"them to 0..65535 or 0..255, and {_REMEDY}."
        )
    deep = bits > 8 or ";16" in stored or image.mode.startswith("I")
    apart = tags.get(_PLANES) == _APART and image.mode not in _GREY_MODES
    if deep and (apart or stored.startswith("RGBa")):
        raise DataError(
            f"{where} holds 16 bits a channel in a way that is not read exactly (channels apart, or multiplied by "
            f"alpha): {_REMEDY}."
        )
    if image.mode not in (*_GREY_MODES, *_COLOUR_MODES, *_PALETTE_MODES):
        raise DataError(f"{where} holds pixels of mode {image.mode}, which is not read: {_REMEDY}.")
    return Pixels(
        grey=image.mode in _GREY_MODES
        or stored.startswith("LA;")
        or (image.mode in _PALETTE_MODES and _is_grey(image)),
        peak=4095 if bits == 12 else 65535 if deep else 255,
        inverted=deep and tags.get(_PHOTOMETRIC) == 0,
        stored=stored,
    )


def appearance_of(images: Iterable[tuple[bytes | Path, str]]) -> Appearance:
    """By some images: grey if all are, of one size if all are square and alike.

    An image counts as grey by its file's mode, one with a palette by the colours that it uses.
    """
    grey, sizes = True, set()
    for content, where in images:
        with opened(content, where) as image:
            grey &= pixels_of(image, where).grey
            sizes.add(image.size)
    channels = 1 if grey else 3
    width, height = sizes.pop()
    if sizes or width != height:
        return Appearance(channels, DEFAULT_RESOLUTION, True)
    return Appearance(channels, width, False)


def spread(items: Sequence[_T], count: int) -> list[_T]:
    """`count` of some items, or all if there are fewer, from the first on at even distances."""
    return [items[number * len(items) // count] for number in range(count)] if count < len(items) else list(items)


def _stored(image: ImageFile.ImageFile) -> str:
    tiles = getattr(image, "tile", ())
    arguments = tiles[0][3] if tiles else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _is_grey(image: Image.Image) -> bool:
    red, green, blue = (band.tobytes() for band in image.convert("RGB").split())
    return red == green == blue
