"""How latents are moved along their gradients; their learning rates stand beside it, in the algorithm's record."""

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from typing_extensions import override

from glad_ray.spec.record import Record

Decay = Annotated[float, Field(ge=0, lt=1)]


class LatentOptimiser(Record):
    """What all optimisers of latents have."""

    weight_decay: float = Field(default=0.0, ge=0)
    """towards 0, which for pixels is the dataset's mean"""
    patience: int | None = Field(default=None, ge=0)
    """iterations without a loss lower by a ten-thousandth than the lowest so far, after which all rates are halved (as
    PyTorch's `ReduceLROnPlateau` does it with that factor); None: the rates stay as they are"""

    @override
    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return self._at_default("patience")


class SGD(LatentOptimiser):
    """Stochastic gradient descent with momentum; the weight decay is added to the gradient."""

    name: Literal["sgd"] = "sgd"
    momentum: Decay = 0.5
    """share of the last step's momentum that is kept; 0.5 in the original code of DC, DM and MTT and in GLaD's"""


class AdamW(LatentOptimiser):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019): each number moves by about its learning rate a
    step, however large its gradient.
    """

    name: Literal["adamw"] = "adamw"
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """decays per step of the mean gradient and the mean squared gradient"""


def _by_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


AnyOptimiser = Annotated[SGD | AdamW, Field(discriminator="name"), BeforeValidator(_by_name)]
