"""Image grids made to travel inside a page."""

import base64
import io
from dataclasses import dataclass

from PIL import Image

from glad_ray.results.parquet import damaged
from glad_ray.storage import Storage

_LARGE_BYTES = 200_000
_WIDEST = 720


@dataclass(frozen=True)
class Picture:
    """A picture as a `data:` URI, and its size in pixels."""

    uri: str
    width: int
    height: int


def inline(png: bytes) -> Picture:
    """A PNG as it is, or, where it would weigh a page down, a smaller one in a format with loss.

    Raises whatever Pillow raises for one that is damaged.
    """
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        # Loading alone passes over checksums and a missing end.
        image.verify()
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        image.load()
        if len(png) <= _LARGE_BYTES:
            return Picture(_uri("png", png), image.width, image.height)
        small = image.convert("RGB")
        small.thumbnail((_WIDEST, _WIDEST * image.height // image.width), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=88)
    return Picture(_uri("webp", buffer.getvalue()), small.width, small.height)


def read_picture(storage: Storage, path: str) -> Picture:
    """A PNG on storage, see `inline`; raises `DataError` if it is damaged."""
    data = storage.read_bytes(path)
    try:
        return inline(data)
    except Exception as error:  # a damaged file breaks the reader in any way
        raise damaged(storage, path) from error


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
