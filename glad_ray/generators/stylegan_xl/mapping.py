"""The mapping network: a normal draw z and a class become a style code w (Sauer et al., 2022).

Runs in its weights' precision, on few numbers: it serves initialisation only.
"""

from collections.abc import Mapping
from typing import final

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.errors import UserError
from glad_ray.generators.stylegan_xl.linear import EqualizedLinear, leaky_relu, unit_power
from glad_ray.stylegan.settings import MappingSettings


@final
class MappingNetwork(nn.Module):
    """Frozen; `state` holds the official names (`mapping.fc0.weight`, ...)."""

    w_average: Tensor
    embedding: Tensor

    def __init__(self, settings: MappingSettings, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("w_average", state["mapping.w_avg"])
        self.project: EqualizedLinear | None = None
        if settings.classes:
            self.register_buffer("embedding", state["mapping.embed.weight"])
            self.project = EqualizedLinear(state, "mapping.embed_proj")
        self.hidden = nn.ModuleList(
            EqualizedLinear(state, f"mapping.fc{i}", settings.learning_rate_factor)
            for i in range(settings.hidden_layers)
        )

    def forward(
        self, z: Float[Tensor, "n z_dim"], labels: Int64[Tensor, " n"], truncation: float = 1.0
    ) -> Float[Tensor, "n w_dim"]:
        """One code per draw; `truncation` below 1 moves it towards the class's average code.

        Labels matter to a conditional network only; `UserError` for one that it has no class for.
        """
        x = unit_power(z)
        if self.project is not None:
            self._check(labels)
            x = torch.cat([x, unit_power(leaky_relu(self.project(self.embedding[labels])))], dim=1)
        for layer in self.hidden:
            x = leaky_relu(layer(x))
        if truncation == 1:
            return x
        # Released networks keep one average per class, unconditional and older ones a single one.
        average = self.w_average[labels] if self.w_average.ndim == 2 else self.w_average
        return torch.lerp(average.expand_as(x), x, truncation)

    def _check(self, labels: Tensor) -> None:
        classes = self.settings.classes
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise UserError(
                f"Labels from {int(labels.min())} to {int(labels.max())} do not fit a generator conditioned on "
                f"{classes} classes: build it with generator.classes set to the dataset's, or 0 for none."
            )
