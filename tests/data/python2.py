"""Pickles as Python 2 wrote them, protocol 2, which today's Python cannot write: what CIFAR's batches are made of."""

import struct


def python2_pickle(value):
    """A dictionary, list, text, integer or array of bytes."""
    return b"\x80\x02" + _written(value) + b"."


def _written(value):
    if isinstance(value, dict):
        return b"}(" + b"".join(_written(item) for pair in value.items() for item in pair) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(_written, value)) + b"e"
    if isinstance(value, str):
        return _string(value.encode("latin-1"))
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    return _array(value)


def _string(data):
    """SHORT_BINSTRING, or BINSTRING."""
    return (b"U" + bytes([len(data)]) if len(data) < 256 else b"T" + struct.pack("<i", len(data))) + data


def _array(array):
    made = b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    shape = b"(" + b"".join(map(_written, array.shape)) + b"t"
    kind = b"cnumpy\ndtype\n" + _string(array.dtype.str[1:].encode()) + b"K\x00K\x01\x87R"
    kind += b"(K\x03" + _string(array.dtype.str[:1].encode()) + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    by_columns = array.flags.f_contiguous and not array.flags.c_contiguous
    order = b"\x88" if by_columns else b"\x89"
    raw = array.tobytes(order="F" if by_columns else "C")
    return made + b"(K\x01" + shape + kind + order + _string(raw) + b"tb"
