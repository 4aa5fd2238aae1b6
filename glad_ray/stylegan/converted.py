"""A generator in this project's own form: `X.safetensors` with the weights, and `X.json` that says what they are.

Version 1 of the form is that of a converted file, version 2 that of a generator that was trained here.

The description pins the weights by their hash, so that its own hash stands for both. Both files may come from
anywhere: nothing in them is believed before it is checked.
"""

import hashlib
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from glad_ray.errors import UserError
from glad_ray.stylegan.checks import check_settings, check_shapes
from glad_ray.stylegan.official import Family
from glad_ray.stylegan.refusal import RefusalError, shown
from glad_ray.stylegan.settings import EncoderSettings, MappingSettings, SynthesisSettings

DESCRIPTION = ".json"
WEIGHTS = ".safetensors"
_LARGEST_DESCRIPTION_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The file that was converted."""

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class TrainingOrigin:
    """The training that a generator comes from."""

    id: str
    """of its record (`glad_ray.spec.generator_training.GeneratorTraining`)"""
    dataset: str
    """its title"""


@dataclass(frozen=True, kw_only=True)
class _Description:
    """What either version of `X.json` says."""

    format: Literal["glad-ray generator"]
    version: int
    family: Family
    mapping: MappingSettings
    synthesis: SynthesisSettings
    weights_sha256: str


@dataclass(frozen=True, kw_only=True)
class ConvertedDescription(_Description):
    """The content of the `X.json` of a converted file."""

    version: Literal[1]
    converted_from: Origin
    licence: str

    @property
    def encoder(self) -> None:
        """Official files have none."""
        return


@dataclass(frozen=True, kw_only=True)
class TrainedDescription(_Description):
    """The content of the `X.json` of a generator that was trained here."""

    version: Literal[2]
    encoder: EncoderSettings
    trained_by: TrainingOrigin


Description = ConvertedDescription | TrainedDescription
_ADAPTER: TypeAdapter[Description] = TypeAdapter(Annotated[Description, Field(discriminator="version")])


def read_description(path: Path) -> Description:
    """Of `X.json`, the settings checked; raises `RefusalError`, or `OSError` if it cannot be read."""
    with path.open("rb") as file:
        text = file.read(_LARGEST_DESCRIPTION_BYTES + 1)
    if len(text) > _LARGEST_DESCRIPTION_BYTES:
        raise RefusalError(f"is longer than any description of a generator ({_LARGEST_DESCRIPTION_BYTES:,} bytes)")
    try:
        description = _ADAPTER.validate_json(text, strict=True)
        # What is said must be what was read: no key too many, none left to a default.
        exact = _ADAPTER.dump_python(description, mode="json") == from_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        # A place begins with the version, where that is one.
        where = "version" if first["type"].startswith("union_tag") else ".".join(map(str, first["loc"][1:]))
        place = f" (see '{shown(where)}' in it)" if where else ""
        raise RefusalError(
            f"is not the description of a converted generator{place}: convert the original again"
        ) from error
    except ValueError as error:
        raise RefusalError("is not the description of a converted generator: convert the original again") from error
    if not exact:
        raise RefusalError(
            "says more or less than the description of a converted generator: convert the original again"
        )
    check_settings(description.mapping, description.synthesis, description.encoder)
    return description


def read_weights(path: Path, description: Description) -> dict[str, np.ndarray]:
    """Of `X.safetensors`, every array float32; raises `RefusalError` unless it is the very file that is described."""
    if sha256_of(path) != description.weights_sha256:
        raise RefusalError("comes with weights that its description was not written with: convert the original again")
    try:
        with safe_open(path, framework="numpy") as file:
            _check_header(file, description)
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
    except SafetensorError as error:
        raise _no_safetensors() from error


def check_weights(path: Path, description: Description) -> None:
    """The header of `X.safetensors` alone; raises `RefusalError` unless it holds what the description says."""
    try:
        with safe_open(path, framework="numpy") as file:
            _check_header(file, description)
    except SafetensorError as error:
        raise _no_safetensors() from error


def write_pair(stem: Path, weights: dict[str, np.ndarray], describe: Callable[[str], Description]) -> tuple[Path, Path]:
    """`X.json` and `X.safetensors` for the stem X: both aside first, then renamed, so that a name means a whole file.

    `describe` makes the description from the SHA-256 of the weights' file.

    Raises `UserError` if `X.json` is there and says something else, or `X.safetensors` is there alone and holds
    something else, and `OSError` if they cannot be written.
    """
    json_path, weights_path = stem.with_name(stem.name + DESCRIPTION), stem.with_name(stem.name + WEIGHTS)
    aside = f".{uuid.uuid4().hex}.partial"
    json_aside, weights_aside = json_path.with_name(json_path.name + aside), stem.with_name(weights_path.name + aside)
    try:
        save_file(weights, weights_aside)
        description = describe(sha256_of(weights_aside))
        text = _ADAPTER.dump_json(description, indent=2) + b"\n"
        if json_path.exists() and json_path.read_bytes() != text:
            raise UserError(f"There is another {json_path} already: name a new file to convert to, or remove it.")
        # Weights are replaced if their description is there, which says what they have to be, else only by the same.
        if not json_path.exists() and weights_path.exists() and sha256_of(weights_path) != description.weights_sha256:
            raise UserError(f"There is another {weights_path} already: name a new file to convert to, or remove it.")
        json_aside.write_bytes(text)
        _flush(weights_aside)
        _flush(json_aside)
        os.replace(weights_aside, weights_path)
        os.replace(json_aside, json_path)
    finally:
        weights_aside.unlink(missing_ok=True)
        json_aside.unlink(missing_ok=True)
    return json_path, weights_path


def sha256_of(path: Path) -> str:
    """Of a file's content, in hexadecimal; raises `OSError`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _check_header(file: Any, description: Description) -> None:
    shapes = {}
    for name in file.keys():  # noqa: SIM118
        stored = file.get_slice(name)
        if stored.get_dtype() != "F32":
            raise RefusalError(f"has weights '{shown(name)}' that are not float32: convert the original again")
        shapes[name] = tuple(stored.get_shape())
    check_shapes(description.mapping, description.synthesis, shapes, description.encoder)


def _no_safetensors() -> RefusalError:
    return RefusalError("comes with weights that are no sound safetensors file: convert the original again")


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
