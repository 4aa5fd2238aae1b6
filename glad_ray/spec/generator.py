"""Which image prior: StyleGAN-XL's synthesis network with random weights (the paper's "Rand G", Figures 6 and 7).

The record is pure data; `glad_ray.generators` builds the network from it.
"""

from typing import Literal

from pydantic import Field, model_validator

from glad_ray.errors import UserError
from glad_ray.spec.record import Record
from glad_ray.stylegan.schedule import stem
from glad_ray.stylegan.settings import MappingSettings, SynthesisSettings


class RandomStyleGAN(Record):
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
    def _possible(self) -> "RandomStyleGAN":
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
    def synthesis(self) -> SynthesisSettings:
        """Every layer: sizes, rates, cutoffs, channels, names."""
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
    def mapping(self) -> MappingSettings:
        """The network that makes style codes."""
        return MappingSettings(z_dim=self.z_dim, w_dim=self.w_dim, classes=self.classes, embedding_rows=self.classes)

    @property
    def spaces(self) -> tuple[str, ...]:
        """The latent spaces this generator has: `w+` and one `f<n>` per synthesis layer, the RGB layer included."""
        return ("w+", *(f"f{n}" for n in range(self.num_layers + 1)))

    @property
    def parameter_count(self) -> int:
        """Learned numbers, mapping network included."""
        return self.mapping.parameter_count + self.synthesis.parameter_count

    def latent_shapes(self, space: str) -> dict[str, tuple[int, ...]]:
        """Shape per image of each kind of latent, `f` and `w`; raises `UserError` for a space it does not have."""
        return self.synthesis.latent_shapes(space)

    def multiply_adds(self, space: str) -> int:
        """Multiply-adds that decode one image from `space`; a gradient takes about twice as many on top."""
        return self.synthesis.multiply_adds(space)
