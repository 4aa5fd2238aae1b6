"""Several networks of one architecture as one, whose operations are batched over them: to train them side by side.

Operations of a small network leave a GPU mostly idle; batched over several networks, they are as many and larger.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glad_ray.networks.layers import DrawingClassifier, MaskedClassifier


@final
class Ensemble(nn.Module):
    """Networks of one architecture, each of which is given its own part of a batch; in training mode.

    It has the parameters and buffers of all of them, those of a name as one tensor with the networks in front. What an
    optimiser does to each value alone, as SGD does, it does to every network as if that were trained by itself. Of
    networks that draw in their forward pass, it can take those that can be given what they would draw
    (`MaskedClassifier`): each goes on drawing from the generator that it had.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.count = len(networks)
        parameters, buffers = torch.func.stack_module_state(list(networks))
        # No name of a parameter may have dots.
        for name, value in parameters.items():
            self.register_parameter(name.replace(".", "/"), nn.Parameter(value.detach()))
        for name, value in buffers.items():
            self.register_buffer(name.replace(".", "/"), value)
        # Not a module of this one, and without numbers of its own.
        self._pattern = (deepcopy(networks[0]).to("meta"),)
        self._dropout_rngs = [each.dropout_rng for each in networks if isinstance(each, DrawingClassifier)]

    @property
    def network_name(self) -> str:
        """The name of the class of the networks."""
        return type(self._pattern[0]).__name__

    def networks(self) -> list[nn.Module]:
        """Each by itself; its numbers are a part of those here, and not copied."""
        found = []
        for number in range(self.count):
            network = deepcopy(self._pattern[0])
            own = {name.replace("/", "."): value[number] for name, value in self.state_dict().items()}
            network.load_state_dict(own, assign=True)
            found.append(network)
        return found

    def forward(
        self, images: Float[Tensor, "eb c h w"], masks: Float[Tensor, "e ..."] | None = None
    ) -> Float[Tensor, "eb classes"]:
        """Logits of normalised images: the first part of the batch by the first network, and so on. Masks of dropout
        that are not given are drawn.
        """
        parts = images.unflatten(0, (self.count, -1))
        if masks is None and self.training:
            masks = self.empty_masks(parts.shape[1], images.device)
            if masks is not None:
                self.draw_masks(masks)
        given = () if masks is None else (masks,)
        return torch.vmap(self._one)(self._named(), parts, *given).flatten(0, 1)

    def empty_masks(self, images: int, device: torch.device) -> Float[Tensor, "e ..."] | None:
        """Room for the masks of a pass in which every network is given so many images; None: the networks have none."""
        (network,) = self._pattern
        if not isinstance(network, MaskedClassifier):
            return None
        empty = network.empty_masks(images, torch.device("meta"))
        return torch.empty(self.count, *empty.shape, dtype=empty.dtype, device=device)

    def draw_masks(self, masks: Float[Tensor, "e ..."]) -> None:
        """Draw the masks of a pass, for each network as it draws them by itself."""
        (network,) = self._pattern
        assert isinstance(network, MaskedClassifier), "others have no masks"
        for part, rng in zip(masks, self._dropout_rngs, strict=True):
            network.dropout_rng = rng
            network.draw_masks(part)

    def _named(self) -> dict[str, Tensor]:
        held = (*self.named_parameters(), *self.named_buffers())
        return {name.replace("/", "."): value for name, value in held}

    def _one(self, held: dict[str, Tensor], images: Tensor, *masks: Tensor) -> Tensor:
        (network,) = self._pattern
        given: tuple[Any, ...] = (images, *masks)
        logits: Tensor = torch.func.functional_call(network, held, given)
        return logits
