"""The decoder of a latent diffusion model where the GAN stands: a diffusers `AutoencoderKL`, entered at any block."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from typing_extensions import override

from glad_ray.errors import UserError, unknown
from glad_ray.generators.base import Latents, LayeredGenerator, gaussian_like
from glad_ray.spec import DiffusersAutoencoder
from glad_ray.spec.generators import Init
from glad_ray.spec.generators.autoencoder import read_autoencoder

_IMAGES_AT_ONCE = 10  # through the encoder: for the start alone


@final
class Autoencoder(LayeredGenerator):
    """The `LayeredGenerator` of a record, frozen."""

    def __init__(self, record: DiffusersAutoencoder, *, precision: torch.dtype, device: torch.device | str) -> None:
        """Raises `UserError` if diffusers is not installed or the folder cannot be read."""
        self.record = record
        self.network = _load(record, precision).to(device).eval().requires_grad_(False)
        decoder = self.network.decoder
        self._blocks = (decoder.mid_block, *decoder.up_blocks)

    @property
    @override
    def spaces(self) -> tuple[str, ...]:
        return self.record.spaces

    @override
    def latent_shapes(self, space: str) -> Mapping[str, tuple[int, ...]]:
        return self.record.latent_shapes(space)

    @override
    def init(
        self,
        space: str,
        labels: Int64[Tensor, " n"],
        rng: torch.Generator,
        how: Init,
        real_images: Float[Tensor, "n c h w"] | None = None,
    ) -> Latents:
        """With `real`, latents are the mean of the encoder's distribution."""
        self.latent_shapes(space)
        if how not in self.record.inits:
            raise unknown("initialisation of latents", how, self.record.inits)
        if real_images is None:
            raise UserError("An autoencoder starts from real images: give real_images.")
        n = int(space[1:])
        f = torch.cat([self._encode(part, n).to(real_images) for part in real_images.split(_IMAGES_AT_ONCE)])
        if how == "gaussian":
            f = gaussian_like(f, rng)
        return {"f": f}

    @override
    def images(self, space: str, latents: Latents) -> Float[Tensor, "n c h w"]:
        x, n = latents["f"].to(self.network.dtype), int(space[1:])
        if n == 0:
            x = self._opened(x)
        for block in self._blocks[max(0, n - 1) :]:
            x = block(x)
        decoder = self.network.decoder
        return decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(x))).to(latents["f"])

    @override
    def hand_over(self, space: str, later: str, latents: Latents) -> Latents:
        """The decoder's blocks between the two; nothing is cleaned."""
        self.latent_shapes(space), self.latent_shapes(later)
        n, m = int(space[1:]), int(later[1:])
        if m <= n:
            raise UserError(f"Latents of {space} cannot be handed over to {later}: name a later layer.")
        x = latents["f"].to(self.network.dtype)
        if n == 0:
            x = self._opened(x)
        for block in self._blocks[max(0, n - 1) : m - 1]:
            x = block(x)
        return {"f": x.to(latents["f"])}

    def _encode(self, images: Tensor, n: int) -> Tensor:
        x = self.network.encode(images.to(self.network.dtype)).latent_dist.mode()
        if n == 0:
            return x
        x = self._opened(x)
        for block in self._blocks[: n - 1]:
            x = block(x)
        return x

    def _opened(self, x: Tensor) -> Tensor:
        """From latents to the input of the first block."""
        if self.network.post_quant_conv is not None:
            x = self.network.post_quant_conv(x)
        return self.network.decoder.conv_in(x)


def check_autoencoder(record: DiffusersAutoencoder) -> Any:
    """Raise `UserError` if diffusers is not installed or the folder is not the record's; returns diffusers' class."""
    try:
        from diffusers import AutoencoderKL
    except ImportError as error:
        raise UserError(f"Generator {record.path} needs diffusers: pip install 'glad-ray[diffusers]'.") from error
    if read_autoencoder(Path(record.path)).sha256 != record.sha256:
        raise UserError(f"Autoencoder {record.path} has changed since the sweep was made: start it again.")
    return AutoencoderKL


def _load(record: DiffusersAutoencoder, precision: torch.dtype) -> Any:
    return check_autoencoder(record).from_pretrained(
        record.path, local_files_only=True, use_safetensors=True, torch_dtype=precision, low_cpu_mem_usage=False
    )
