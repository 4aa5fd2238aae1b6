"""Image files that Pillow does not write: PNG and TIFF of 16 bits a channel, TIFF of any numbers, PGM of any range."""

import struct
import zlib

import numpy as np

_TYPES = {"H": 3, "L": 4}
_BITS, _PLACES, _LENGTHS = 258, 273, 279


def png_of_16_bits(values):
    """Of h x w (grey) or h x w x c: grey and alpha, RGB, RGBA."""
    height, width = values.shape[:2]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[values.shape[2] if values.ndim == 3 else 1]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def pgm(values, maxval, magic="P5"):
    """Of h x w or, with P6, h x w x 3."""
    height, width = values.shape[:2]
    body = values.astype(">u2" if maxval > 255 else np.uint8).tobytes()
    if magic in ("P2", "P3"):
        body = " ".join(map(str, values.ravel())).encode() + b"\n"
    return f"{magic}\n{width} {height}\n{maxval}\n".encode() + body


def tiff(values, photometric, *, order="<", bits=None, body=None, **tags):
    """Uncompressed, in one strip; `tags` are further ones by their names below; `body` is the pixels if packed."""
    height, width = values.shape[:2]
    channels = values.shape[2] if values.ndim == 3 else 1
    planes = channels if tags.get("planes") == 2 else 1
    if body is None:
        body = (values.transpose(2, 0, 1) if planes > 1 else values).astype(values.dtype.newbyteorder(order)).tobytes()
    numbers = {"orientation": 274, "planes": 284, "extra": 338, "sample_format": 339}
    entries = {
        256: ("L", [width]),
        257: ("L", [height]),
        _BITS: ("H", [bits or 8 * values.dtype.itemsize] * channels),
        259: ("H", [1]),
        262: ("H", [photometric]),
        _PLACES: ("L", [0] * planes),
        277: ("H", [channels]),
        278: ("L", [height]),
        _LENGTHS: ("L", [len(body) // planes] * planes),
    }
    for name, value in tags.items():
        entries[numbers[name]] = ("H", [value] * (channels if name == "sample_format" else 1))
    start = 8 + 2 + 12 * len(entries) + 4
    apart = [struct.calcsize(order + kind * len(given)) for kind, given in entries.values()]
    place = start + sum(size + size % 2 for size in apart if size > 4)
    entries[_PLACES] = ("L", [place + number * (len(body) // planes) for number in range(planes)])
    table, large = struct.pack(order + "H", len(entries)), b""
    for tag, (kind, given) in sorted(entries.items()):
        data = struct.pack(order + kind * len(given), *given)
        table += struct.pack(order + "HHL", tag, _TYPES[kind], len(given))
        if len(data) > 4:
            table += struct.pack(order + "L", start + len(large))
            large += data + b"\0" * (len(data) % 2)
        else:
            table += data.ljust(4, b"\0")
    beginning = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 8)
    return beginning + table + b"\0" * 4 + large + body


def packed_12_bits(values):
    """Pixels of h x w, w even, as TIFF packs them."""
    pairs = values.reshape(-1, 2).astype(np.uint16)
    first, second = pairs[:, 0], pairs[:, 1]
    return np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], 1).astype(np.uint8).tobytes()
