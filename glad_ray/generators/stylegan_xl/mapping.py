"""The mapping network: a normal draw z and a class become a style code w (Sauer et al., 2022; Karras et al., 2021).

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
class ClassTable(nn.Module):
    """StyleGAN-XL's classes: rows of a table, and a layer after it."""

    table: Tensor

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.register_buffer("table", state["mapping.embed.weight"])
        self.project = EqualizedLinear(state, "mapping.embed_proj")

    def forward(self, labels: Int64[Tensor, " n"]) -> Float[Tensor, "n z_dim"]:
        """What stands for each label."""
        return leaky_relu(self.project(self.table[labels]))


@final
class LinearClasses(nn.Module):
    """StyleGAN3's classes: a linear layer of the one-hot label."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.layer = EqualizedLinear(state, "mapping.embed")

    def forward(self, labels: Int64[Tensor, " n"]) -> Float[Tensor, "n w_dim"]:
        """What stands for each label."""
        return self.layer.weight.T[labels] + self.layer.bias


@final
class MappingNetwork(nn.Module):
    """Frozen; `state` holds the official names (`mapping.fc0.weight`, ...)."""

    w_average: Tensor

    def __init__(self, settings: MappingSettings, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("w_average", state["mapping.w_avg"])
        self.embed: ClassTable | LinearClasses | None = None
        if settings.classes:
            self.embed = ClassTable(state) if settings.embedding == "table" else LinearClasses(state)
        self.hidden = nn.ModuleList(
            EqualizedLinear(state, f"mapping.fc{i}", settings.learning_rate_factor)
            for i in range(settings.hidden_layers)
        )

    def forward(self, z: Float[Tensor, "n z_dim"], labels: Int64[Tensor, " n"]) -> Float[Tensor, "n w_dim"]:
        """One code per draw.

        Labels matter to a conditional network only; `UserError` for one that it has no class for.
        """
        x = unit_power(z)
        if self.embed is not None:
            self._check(labels)
            x = torch.cat([x, unit_power(self.embed(labels))], dim=1)
        for layer in self.hidden:
            x = leaky_relu(layer(x))
        return x

    def codes(
        self,
        z: Float[Tensor, "n z_dim"],
        labels: Int64[Tensor, " n"],
        count: int,
        truncation: float = 1.0,
        truncated: int | None = None,
    ) -> Float[Tensor, "n codes w_dim"]:
        """The code of each draw for all `count` places of a synthesis network.

        `truncation` below 1 moves the first `truncated` of them (None: all) towards the class's average code.
        """
        w = self(z, labels)
        ws = w[:, None].repeat(1, count, 1)
        if truncation != 1:
            # Released networks keep one average per class, unconditional and older ones a single one.
            average = self.w_average[labels] if self.w_average.ndim == 2 else self.w_average
            ws[:, :truncated] = torch.lerp(average.expand_as(w), w, truncation)[:, None]
        return ws

    def _check(self, labels: Tensor) -> None:
        classes = self.settings.classes
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise UserError(
                f"Labels from {int(labels.min())} to {int(labels.max())} do not fit a generator conditioned on "
                f"{classes} classes: build it with generator.classes set to the dataset's, or 0 for none."
            )
