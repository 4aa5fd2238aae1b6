"""StyleGAN-XL with random weights (the paper's "Rand G", Figures 6 and 7) or with trained ones from a file."""

from abc import abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from glad_ray.errors import UserError
from glad_ray.spec.generators.base import FilePath, GeneratorRecord, Init, Precision
from glad_ray.stylegan.bundled import generator_path
from glad_ray.stylegan.expected import expected_network
from glad_ray.stylegan.files import LICENCE_NOTE, read_settings
from glad_ray.stylegan.schedule import stem
from glad_ray.stylegan.settings import EncoderSettings, MappingSettings, SynthesisSettings

STYLEGAN_INITS: tuple[Init, ...] = ("sampled", "average", "gaussian")


class StyleGANRecord(GeneratorRecord):
    """What is the same for random and trained weights."""

    truncation: float = Field(default=1.0, ge=0, le=1)
    """psi: below 1, the codes that latents start from lie nearer to their class's average; GLaD does not truncate"""
    precision: Precision = "float32"
    """of the synthesis layers; bfloat16 and float16 are for GPUs, latents and images stay float32; with tf32,
    GPUs multiply float32 numbers in TF32"""

    @property
    @abstractmethod
    def mapping_settings(self) -> MappingSettings:
        """The network that makes style codes."""

    @property
    @abstractmethod
    def synthesis_settings(self) -> SynthesisSettings:
        """Every layer: sizes, rates, cutoffs, channels, names."""

    @property
    @override
    def inits(self) -> tuple[Init, ...]:
        return STYLEGAN_INITS

    @property
    @override
    def spaces(self) -> tuple[str, ...]:
        """`w+` and one `f<n>` per synthesis layer, the RGB layer included."""
        return self.synthesis_settings.spaces

    @override
    def later_spaces(self, space: str) -> tuple[str, ...]:
        return self.spaces[self.spaces.index(space) + 1 :]

    @property
    @override
    def parameter_count(self) -> int:
        """Learned numbers, mapping network included."""
        return self.mapping_settings.parameter_count + self.synthesis_settings.parameter_count

    @override
    def latent_shapes(self, space: str) -> dict[str, tuple[int, ...]]:
        return self.synthesis_settings.latent_shapes(space)

    @override
    def step_multiply_adds(self, space: str) -> int:
        return self.synthesis_settings.step_multiply_adds(space)

    @override
    def pullback_bytes(self, space: str) -> int:
        return self.synthesis_settings.graph_bytes(space, 4 if self.precision in ("float32", "tf32") else 2)

    @property
    @override
    def classes_known(self) -> int:
        return self.mapping_settings.classes


class RandomStyleGAN(StyleGANRecord):
    """A randomly initialised StyleGAN-XL stem; every weight follows from `seed`."""

    kind: Literal["random-stylegan-xl"] = "random-stylegan-xl"
    resolution: int = Field(default=32, ge=16, le=1024)
    """side of the images in pixels, a power of two"""
    image_channels: Literal[1, 3] = 3
    num_layers: int = Field(default=10, ge=4, le=30)
    """synthesis layers before the RGB layer, so that the spaces are w+, f0 .. f<num_layers>"""
    channel_base: int = Field(default=65536, ge=2)
    """channels of a layer are min(channel_base / 2 / cutoff, channel_max), rounded"""
    channel_max: int = Field(default=1024, ge=1)
    kernel_size: Literal[1, 3] = 3
    """3: translation-equivariant (config T); 1: rotation-equivariant (config R, radial filters)"""
    z_dim: int = Field(default=64, ge=1)
    w_dim: int = Field(default=512, ge=1)
    classes: int = Field(default=0, ge=0)
    """classes the mapping network is conditioned on; 0: unconditional"""
    seed: int = Field(default=0, ge=0)
    calibrate: bool = True
    """scale and centre every layer, and the images to deviation 0.5, on samples of its own; False: the paper's"""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.resolution & (self.resolution - 1):
            raise UserError(f"generator resolution {self.resolution} is not a power of two: use 16, 32, 64, ... 1024")
        # The last layers have the highest cutoff, half the resolution, and so the fewest channels.
        if self.channel_base < self.resolution:
            raise UserError(
                f"generator channel_base {self.channel_base} leaves no channels at {self.resolution} pixels: "
                f"use {self.resolution} or more"
            )
        return self

    @property
    @override
    def title(self) -> str:
        return "random StyleGAN-XL"

    @property
    @override
    def published_as(self) -> str:
        return "stylegan-xl random"

    @property
    @override
    def synthesis_settings(self) -> SynthesisSettings:
        return stem(
            resolution=self.resolution,
            num_layers=self.num_layers,
            channel_base=self.channel_base,
            channel_max=self.channel_max,
            kernel_size=self.kernel_size,
            image_channels=self.image_channels,
            w_dim=self.w_dim,
        )

    @property
    @override
    def mapping_settings(self) -> MappingSettings:
        return MappingSettings(z_dim=self.z_dim, w_dim=self.w_dim, classes=self.classes, embedding_rows=self.classes)


class StyleGANFile(StyleGANRecord):
    """A trained StyleGAN-XL or StyleGAN3, read from a file without running a line of it.

    The file is the official `.pkl`, or what `glad-ray generator convert` made of it (`.json` with `.safetensors`). What
    it holds is known by its sha256, whatever it is called and wherever it lies.
    """

    kind: Literal["stylegan-xl"] = "stylegan-xl"
    path: FilePath
    """of the file, on the machine that starts the sweep; or the name of one that comes with the package"""
    trained_on: str = Field(default="", pattern="^[a-z0-9-]*$")
    """the data, for tables: imagenet, cifar10, ffhq and pokemon are set beside the published numbers of such priors"""
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """of the file; None: of the one that is there, any other is refused"""
    resolution: int = 0
    """filled in from the file, as is all below; where that is not there yet, plans take a released network of
    `trained_on` and so many pixels"""
    image_channels: int = 0
    mapping: MappingSettings | None = None
    synthesis: SynthesisSettings | None = None
    encoder: EncoderSettings | None = None
    """of a generator that `glad-ray generator train` made; latents then can start from real images"""

    @model_validator(mode="after")
    def _described(self) -> Self:
        if self.sha256 and self.mapping and self.synthesis:
            return self
        path = generator_path(self.path)
        if not path.exists():
            if self._expected is not None:
                object.__setattr__(self, "image_channels", self._expected[1].image_shape[0])
            return self
        settings = read_settings(path)
        if self.sha256 not in (None, settings.sha256):
            raise UserError(
                f"{self.path} has sha256 {settings.sha256}, not {self.sha256}: it is another file; name the right one, "
                "or leave generator.sha256 out."
            )
        channels, side, _ = settings.synthesis.image_shape
        filled_in = {
            "sha256": settings.sha256,
            "resolution": side,
            "image_channels": channels,
            "mapping": settings.mapping,
            "synthesis": settings.synthesis,
            "encoder": settings.encoder,
        }
        for name, value in filled_in.items():
            object.__setattr__(self, name, value)
        return self

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        # The hash stands for all that follows from the file.
        names = ("path", "trained_on", "resolution", "image_channels", "mapping", "synthesis", "encoder")
        return names if identity and self.sha256 else self._at_default("encoder")

    @property
    @override
    def inits(self) -> tuple[Init, ...]:
        return STYLEGAN_INITS if self.encoder is None else (*STYLEGAN_INITS, "real")

    @property
    @override
    def title(self) -> str:
        return Path(self.path).name

    @property
    @override
    def published_as(self) -> str:
        return f"stylegan-xl {self.trained_on}" if self.trained_on else ""

    @property
    @override
    def licence(self) -> str:
        return "" if self.encoder else LICENCE_NOTE

    @property
    @override
    def missing(self) -> str | None:
        return None if self.synthesis else f"Generator file {self.path} is not there: put it there, or name another."

    @property
    @override
    def known(self) -> bool:
        return self.synthesis is not None or self._expected is not None

    @property
    @override
    def synthesis_settings(self) -> SynthesisSettings:
        """Every layer, or what is expected of a released network; raises `UserError` where nothing is known."""
        return self.synthesis or self._expectation()[1]

    @property
    @override
    def mapping_settings(self) -> MappingSettings:
        """The network that makes style codes; like `synthesis_settings`."""
        return self.mapping or self._expectation()[0]

    @property
    def _expected(self) -> tuple[MappingSettings, SynthesisSettings] | None:
        return expected_network(self.trained_on, self.resolution)

    def _expectation(self) -> tuple[MappingSettings, SynthesisSettings]:
        if self._expected is None:
            raise UserError(self.missing)
        return self._expected
