"""Generator files: an official `.pkl`, read without running a line of it, or the pair that one was converted to.

Every error is a `DataError` of one sentence that names the file.
"""

import contextlib
import mmap
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from safetensors import SafetensorError

from glad_ray.errors import DataError, UserError, is_lasting, unreadable
from glad_ray.stylegan.converted import (
    DESCRIPTION,
    WEIGHTS,
    ConvertedDescription,
    Description,
    Origin,
    TrainedDescription,
    TrainingOrigin,
    check_weights,
    read_description,
    read_weights,
    sha256_of,
    write_pair,
)
from glad_ray.stylegan.official import Family, OfficialNetwork, read_network
from glad_ray.stylegan.pickle_machine import unpickle
from glad_ray.stylegan.pickle_names import network_name
from glad_ray.stylegan.refusal import RefusalError, shown
from glad_ray.stylegan.settings import EncoderSettings, MappingSettings, SynthesisSettings

LICENCE_NOTE = (
    "The authors of StyleGAN-XL and StyleGAN3 publish their code for non-commercial research, state no licence for the "
    "StyleGAN-XL weights, and trained on data with terms of their own: use such weights for research only, and do not "
    "pass them on."
)

_BYTES_PER_FLOAT32 = 4
_BEGINNING_BYTES = 32
_STARTS = {
    b"PK\x03\x04": "a zip archive (as torch.save writes)",
    b"<": "a web page (of a download that failed, perhaps)",
    b"version https://git-lfs": "a pointer of Git LFS to a file that was not fetched",
    b"\x1f\x8b": "compressed with gzip",
    b"{": "JSON",
    b"\x89HDF": "an HDF5 file",
}


@dataclass(frozen=True, kw_only=True)
class FileSettings:
    """What fixes the generator in a file but its weights."""

    mapping: MappingSettings
    synthesis: SynthesisSettings
    family: Family
    """stylegan_xl (the random generators of GLaD's code too) or stylegan3"""
    sha256: str
    """see `file_sha256`"""
    encoder: EncoderSettings | None = None
    """the network that latents can start from real images by; None: there is none"""
    trained_on: str = ""
    """the title of the dataset, of a generator that was trained here; empty: of another"""

    @property
    def licence(self) -> str:
        """What has to be said of the weights where they are loaded; empty: nothing, for they were trained here."""
        return "" if self.trained_on else LICENCE_NOTE


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneratorFile(FileSettings):
    """The whole content of a generator file."""

    state: dict[str, np.ndarray]
    """float32, by official names, filters included; those of an encoder by a ConvNet's names after `encoder.`"""


@dataclass(frozen=True, kw_only=True)
class ConvertedPair:
    """The two files of a generator that were written."""

    description: Path
    weights: Path
    sha256: str
    """see `file_sha256`"""


def read_settings(path: str | Path) -> FileSettings:
    """Settings alone: no weights are copied, but those that are claimed are known to be there.

    `path` is a `.pkl`, or either file of a converted pair. Raises `DataError`.
    """
    path = Path(path)
    with _named(path):
        path = _identified_by(path)
        return _read_settings(path, *_stamp(path))


def read_generator(path: str | Path) -> GeneratorFile:
    """Settings and weights; of a converted pair the hash of the weights is verified. Raises `DataError`."""
    settings = read_settings(path)
    path = Path(path)
    with _named(path):
        state = _read_state(_identified_by(path))
    return GeneratorFile(**vars(settings), state=state)


def convert(path: str | Path, to: str | Path) -> ConvertedPair:
    """Write the generator of a `.pkl` as the pair `X.json` and `X.safetensors`; `to` is X, or either name.

    Nothing is written of a file that is refused. Raises `DataError` for such a file, `UserError` if the pair cannot be
    written or another is there.
    """
    path, to = Path(path), Path(to)
    if _is_converted(path):
        raise UserError(f"{path} is converted already: name the original .pkl file.")
    generator = read_generator(path)
    stem = to.with_suffix("") if _is_converted(to) else to

    def describe(weights_sha256: str) -> Description:
        return ConvertedDescription(
            format="glad-ray generator",
            version=1,
            family=generator.family,
            mapping=generator.mapping,
            synthesis=generator.synthesis,
            weights_sha256=weights_sha256,
            converted_from=Origin(name=shown(path.name), sha256=generator.sha256),
            licence=LICENCE_NOTE,
        )

    try:
        description, weights = write_pair(stem, generator.state, describe)
    except (OSError, SafetensorError) as error:
        raise UserError(f"The converted generator cannot be written to {stem}: name a folder you can write.") from error
    return ConvertedPair(description=description, weights=weights, sha256=file_sha256(description))


def write_trained(
    to: Path,
    *,
    mapping: MappingSettings,
    synthesis: SynthesisSettings,
    encoder: EncoderSettings,
    weights: dict[str, np.ndarray],
    origin: TrainingOrigin,
) -> ConvertedPair:
    """Write a generator that was trained here, float32, as a pair; `to` is its `.json`, in a folder that is there.

    Raises `UserError` if another is there, `OSError` if it cannot be written.
    """

    def describe(weights_sha256: str) -> Description:
        return TrainedDescription(
            format="glad-ray generator",
            version=2,
            family="stylegan_xl",
            mapping=mapping,
            synthesis=synthesis,
            weights_sha256=weights_sha256,
            encoder=encoder,
            trained_by=origin,
        )

    description, file = write_pair(to.with_suffix(""), weights, describe)
    return ConvertedPair(description=description, weights=file, sha256=file_sha256(description))


def file_sha256(path: str | Path) -> str:
    """The identity of a generator file: its own SHA-256, or that of the description of a pair, which pins the weights.

    Computed once for a file of the same path, size and time of change. Raises `DataError`.
    """
    path = Path(path)
    with _named(path):
        path = _identified_by(path)
        return _sha256(path, *_stamp(path))


@lru_cache(maxsize=64)
def _sha256(path: Path, size: int, changed_ns: int) -> str:
    return sha256_of(path)


@lru_cache(maxsize=64)
def _read_settings(path: Path, size: int, changed_ns: int) -> FileSettings:
    sha256 = file_sha256(path)
    if not _is_converted(path):
        network = _read_official(path)
        return FileSettings(mapping=network.mapping, synthesis=network.synthesis, family=network.family, sha256=sha256)
    description = read_description(path)
    check_weights(path.with_suffix(WEIGHTS), description)
    return FileSettings(
        mapping=description.mapping,
        synthesis=description.synthesis,
        family=description.family,
        sha256=sha256,
        encoder=description.encoder,
        trained_on=description.trained_by.dataset if isinstance(description, TrainedDescription) else "",
    )


def _read_state(path: Path) -> dict[str, np.ndarray]:
    if _is_converted(path):
        return read_weights(path.with_suffix(WEIGHTS), read_description(path))
    return {name: tensor.numbers() for name, tensor in _read_official(path).weights.items()}


def _read_official(path: Path) -> OfficialNetwork:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if not size:
            raise RefusalError("is empty: fetch or make it again")
        # Views of the mapping keep it open for as long as tensors refer to it.
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    _require_pickle(bytes(data[:_BEGINNING_BYTES]))
    root, _ = unpickle(data, network_name)
    network = read_network(root)
    claimed = sum(tensor.size for tensor in network.weights.values()) * _BYTES_PER_FLOAT32
    # Numbers of 16 bits become twice as long; anything beyond is storage counted more than once.
    if claimed > 2 * size:
        raise RefusalError("claims more numbers than its bytes can hold: fetch or make it again")
    return network


def _require_pickle(beginning: bytes) -> None:
    for start, kind in _STARTS.items():
        if beginning.lstrip().startswith(start):
            raise RefusalError(f"is {kind}, where a pickle of networks belongs")
    if beginning[8:9] == b"{":
        raise RefusalError("is a safetensors file: name it .safetensors, and keep it beside its .json")
    if not beginning.startswith(b"\x80"):
        raise RefusalError("is no pickle of networks (protocol 2 or newer)")


def _is_converted(path: Path) -> bool:
    return path.suffix in (DESCRIPTION, WEIGHTS)


def _identified_by(path: Path) -> Path:
    """The file that a generator is known by: of a pair the description, once both are there."""
    if not _is_converted(path):
        return path
    for other in (path, path.with_suffix(DESCRIPTION), path.with_suffix(WEIGHTS)):
        if not other.is_file():
            raise RefusalError(f"is one of a pair, of which {shown(other.name)} is not there: keep both in one folder")
    return path.with_suffix(DESCRIPTION)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise RefusalError("is no file: name a .pkl, or a converted .json or .safetensors")
    return status.st_size, status.st_mtime_ns


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except RefusalError as error:
        raise DataError(f"The generator file '{shown(path.name)}' {error}.") from error
    except OSError as error:
        if not is_lasting(error):
            raise unreadable(path, error) from error
        raise DataError(
            f"The generator file '{shown(str(path))}' cannot be read: {error.strerror or 'no reason is given'}."
        ) from error
