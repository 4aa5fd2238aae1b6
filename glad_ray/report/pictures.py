"""Image grids made to travel inside a page."""

import base64
import io
from dataclasses import dataclass

from PIL import Image

_LARGE_BYTES = 200_000
_WIDEST = 720


@dataclass(frozen=True)
class Picture:
    """A picture as a `data:` URI, and its size in pixels."""

    uri: str
    width: int
    height: int


def inline(png: bytes) -> Picture:
    """A PNG as it is, or, where it would weigh a page down, a smaller one in a format with loss."""
    with Image.open(io.BytesIO(png)) as image:
        if len(png) <= _LARGE_BYTES:
            return Picture(_uri("png", png), image.width, image.height)
        small = image.convert("RGB")
        small.thumbnail((_WIDEST, _WIDEST * image.height // image.width), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=88)
    return Picture(_uri("webp", buffer.getvalue()), small.width, small.height)


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
