"""The autoencoder of a latent diffusion model as an image prior: its latents, and the inputs of its decoder's blocks.

A folder as diffusers' `save_pretrained` writes it: `config.json` and `diffusion_pytorch_model.safetensors`.
"""

import hashlib
import json
import math
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple, Self

from pydantic import Field, model_validator
from safetensors import SafetensorError, safe_open
from typing_extensions import override

from glad_ray.errors import UserError, unknown
from glad_ray.spec.generators.base import FilePath, GeneratorRecord, Init, Precision

AUTOENCODER_INITS: tuple[Init, ...] = ("real", "gaussian")
CONFIG = "config.json"
WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"
_CLASS = "AutoencoderKL"
_DECODES = ("decoder.", "post_quant_conv.")
_READ = 2**24


class DiffusersAutoencoder(GeneratorRecord):
    """An `AutoencoderKL` of diffusers (Stable Diffusion's and its successors'), which needs `pip install diffusers`.

    Its spaces are `f0`, its latents, `f1`, the input of the decoder's middle block, and `f2`, `f3`, ... the inputs of
    its upward blocks. Latents start from encoded real images, for it knows no classes.
    """

    kind: Literal["diffusers-autoencoder"] = "diffusers-autoencoder"
    path: FilePath
    """of the folder, on every machine that uses it"""
    resolution: int = Field(ge=8, le=4096)
    """side of the images in pixels: whatever the decoder's upsampling divides"""
    precision: Precision = "float32"
    """of the network; bfloat16 and float16 are for GPUs, latents and images stay float32; with tf32, GPUs
    multiply float32 numbers in TF32"""
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """of its settings and weights; None: of those that are there, any other is refused"""
    image_channels: int = 0
    """filled in"""
    latent_channels: int = 0
    """filled in"""
    block_channels: tuple[int, ...] = ()
    """of the encoder's blocks, filled in"""
    decoder_parameters: int = 0
    """filled in"""

    @model_validator(mode="after")
    def _described(self) -> Self:
        if self.sha256 and self.block_channels:
            return self
        if not Path(self.path).exists():
            return self
        facts = read_autoencoder(Path(self.path))
        if self.sha256 not in (None, facts.sha256):
            raise UserError(
                f"{self.path} has sha256 {facts.sha256}, not {self.sha256}: it is another autoencoder; name the right "
                "one, or leave generator.sha256 out."
            )
        if self.resolution % facts.factor:
            raise UserError(
                f"generator resolution {self.resolution} does not divide by {facts.factor}, by which {self.path} "
                f"upsamples: use {-(-self.resolution // facts.factor) * facts.factor}."
            )
        for name, value in facts._asdict().items():
            object.__setattr__(self, name, value)
        return self

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return ("path",) if identity and self.sha256 else ()

    @property
    @override
    def title(self) -> str:
        return f"autoencoder {Path(self.path).name}"

    @property
    @override
    def missing(self) -> str | None:
        if self.block_channels:
            return None
        return f"Autoencoder {self.path} is not there: download its folder ({CONFIG}, {WEIGHTS_FILE}) to that place."

    @property
    @override
    def inits(self) -> tuple[Init, ...]:
        return AUTOENCODER_INITS

    @property
    @override
    def spaces(self) -> tuple[str, ...]:
        """`f0`, the latents; `f1` and on, the inputs of the decoder's middle block and of its upward blocks."""
        return tuple(f"f{n}" for n in range(2 + len(self.block_channels)))

    @override
    def later_spaces(self, space: str) -> tuple[str, ...]:
        return self.spaces[self.spaces.index(space) + 1 :]

    @property
    @override
    def parameter_count(self) -> int:
        """Of the decoder."""
        return self.decoder_parameters

    @override
    def latent_shapes(self, space: str) -> dict[str, tuple[int, ...]]:
        if space not in self.spaces:
            raise unknown("latent space", space, self.spaces)
        channels, side, n = self.block_channels, self.resolution // factor(self.block_channels), int(space[1:])
        if n == 0:
            return {"f": (self.latent_channels, side, side)}
        # Upward block k gives the channels of encoder block -1 - k, and all but the last double the side.
        block = max(0, n - 2)
        return {"f": (channels[-max(1, block)], side * 2**block, side * 2**block)}


class AutoencoderFacts(NamedTuple):
    """What a folder says of its autoencoder."""

    sha256: str
    image_channels: int
    latent_channels: int
    block_channels: tuple[int, ...]
    decoder_parameters: int

    @property
    def factor(self) -> int:
        """By which it upsamples."""
        return factor(self.block_channels)


def factor(block_channels: tuple[int, ...]) -> int:
    """By which a decoder of so many blocks upsamples: every one but the last doubles."""
    return int(2 ** (len(block_channels) - 1))


def read_autoencoder(folder: Path) -> AutoencoderFacts:
    """The facts of a folder, without torch; raises `UserError` if it does not hold an `AutoencoderKL`."""
    parts = [folder / CONFIG, folder / WEIGHTS_FILE]
    for part in parts:
        if not part.is_file():
            raise UserError(f"{folder} has no {part.name}: name a folder that diffusers' save_pretrained wrote.")
    return _read(folder, tuple((part.stat().st_size, part.stat().st_mtime_ns) for part in parts))


@lru_cache
def _read(folder: Path, version: tuple[tuple[int, int], ...]) -> AutoencoderFacts:
    """Hashing weights takes seconds: once for each version of the files."""
    text = (folder / CONFIG).read_bytes()
    try:
        config = json.loads(text)
        if config["_class_name"] != _CLASS:
            raise UserError(f"{folder} holds a {str(config['_class_name'])[:80]}: only {_CLASS} is supported.")
        channels = tuple(int(each) for each in config["block_out_channels"])
        latent_channels, image_channels = int(config["latent_channels"]), int(config["out_channels"])
        with safe_open(folder / WEIGHTS_FILE, "numpy") as weights:
            names = [name for name in weights.keys() if name.startswith(_DECODES)]  # noqa: SIM118
            parameters = sum(math.prod(weights.get_slice(name).get_shape()) for name in names)
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(
            f"{folder} is not a whole autoencoder ({type(error).__name__}): name a folder that diffusers' "
            "save_pretrained wrote."
        ) from error
    digest = hashlib.sha256(text)
    with (folder / WEIGHTS_FILE).open("rb") as file:
        while part := file.read(_READ):
            digest.update(part)
    return AutoencoderFacts(digest.hexdigest(), image_channels, latent_channels, channels, parameters)
