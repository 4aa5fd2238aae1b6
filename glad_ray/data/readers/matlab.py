"""MATLAB files of version 5, read by scipy, which comes with scikit-learn; imported late, for few datasets need it."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glad_ray.data.readers.files import damaged, file_bytes


def read_matlab(path: Path, names: Sequence[str], squeeze: bool = False) -> list[Any]:
    """The arrays of some names, without axes of length 1 if `squeeze`; raises `DataError` if the file has them not."""
    from scipy.io import loadmat

    data = file_bytes(path)
    try:
        arrays = loadmat(io.BytesIO(data), variable_names=names, squeeze_me=squeeze)
        return [arrays[name] for name in names]
    except MemoryError:
        raise
    # Of a damaged file scipy and numpy raise whatever comes.
    except Exception as error:
        raise damaged(path, f"it is no MATLAB file of version 5 with {' and '.join(names)}") from error
