"""The encoder that `glad-ray generator train` trains with a generator: from images to the draws z that give them."""

from collections.abc import Mapping
from typing import final

from jaxtyping import Float
from torch import Tensor, nn

from glad_ray.networks import build_network
from glad_ray.spec.network import Network
from glad_ray.stylegan.checks import ENCODER
from glad_ray.stylegan.settings import EncoderSettings, MappingSettings, SynthesisSettings


@final
class Encoder(nn.Module):
    """A ConvNet, frozen; `state` holds its weights under `encoder.` and their names in a ConvNet."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        settings: EncoderSettings,
        mapping: MappingSettings,
        synthesis: SynthesisSettings,
        state: Mapping[str, Tensor],
    ) -> None:
        super().__init__()
        channels, side, _ = synthesis.image_shape
        own = {name.removeprefix(ENCODER): value for name, value in state.items() if name.startswith(ENCODER)}
        network = build_network(
            Network(name="convnet", width=settings.width, depth=settings.depth, norm="none"),
            channels=channels,
            resolution=side,
            classes=2 * mapping.z_dim,
            rng=None,
        )
        network.load_state_dict(own, assign=True)
        self.network = network.requires_grad_(False)
        like = next(iter(own.values()))
        self.register_buffer("mean", like.new_tensor(settings.mean)[:, None, None])
        self.register_buffer("std", like.new_tensor(settings.std)[:, None, None])

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n z_dim"]:
        """The most probable z of each image in [-1, 1]: the mean of its posterior."""
        seen = ((images + 1) / 2 - self.mean) / self.std
        mean: Tensor = self.network(seen).chunk(2, dim=1)[0]
        return mean
