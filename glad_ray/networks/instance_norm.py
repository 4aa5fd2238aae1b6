"""Instance normalisation whose gradient can be differentiated in seventeen operations.

Where the graph of group norm's gradient is kept, PyTorch computes that gradient by some hundred and fifty small
operations. On a GPU each costs a launch, however small it is. A CPU takes 1 to 10 % longer for the form here, and uses
PyTorch's.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

_EPS = 1e-5


class InstanceNorm(nn.GroupNorm):
    """Group norm with one channel a group, affine, eps 1e-5: each map alone has mean 0 and variance 1 before its scale
    and shift.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, eps=_EPS)

    @override
    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The normalised maps."""
        if is_fast_for(maps):
            return instance_norm(maps, self.weight, self.bias)
        return super().forward(maps)


def is_fast_for(maps: Tensor) -> bool:
    """Whether `instance_norm` is to be used for these maps, in place of PyTorch's group norm."""
    return maps.device.type not in ("cpu", "meta")


def instance_norm(
    maps: Float[Tensor, "n c h w"], scale: Float[Tensor, " c"], shift: Float[Tensor, " c"]
) -> Float[Tensor, "n c h w"]:
    """Every map less its mean, over the root of its variance plus eps, times its channel's scale, plus its shift."""
    normalised: Tensor = _Normalise.apply(maps, scale, shift)[0]
    return normalised


def _normalise(maps: Tensor, scale: Tensor | None, shift: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The normalised maps y = gamma xhat + beta, mean and r, with xhat = (x - mean) r, r = 1 / sqrt(variance + eps)."""
    n, c, h, w = maps.shape
    return torch.native_group_norm(maps, scale, shift, n, c, h * w, c, _EPS)


def _gradient(
    grad: Tensor, maps: Tensor, mean: Tensor, r: Tensor, scale: Tensor | None, wanted: tuple[bool, bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """With g the gradient of y, that of x: gamma r (g - mean(g) - xhat mean(g xhat)); of gamma: the sum of g xhat; of
    beta: the sum of g.
    """
    n, c, h, w = maps.shape
    gradients: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.native_group_norm_backward(
        grad.contiguous(), maps.contiguous(), mean, r, scale, n, c, h * w, c, list(wanted)
    )
    return gradients


class _Normalise(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(maps: Tensor, scale: Tensor, shift: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return _normalise(maps, scale, shift)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        maps, scale, _ = inputs
        _, mean, r = output
        ctx.mark_non_differentiable(mean, r)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(maps, scale, mean, r)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        if grad is None:
            return None, None, None
        gradients: tuple[Tensor, Tensor, Tensor] = _Gradient.apply(grad, *ctx.saved_tensors)
        return gradients


class _Gradient(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(grad: Tensor, maps: Tensor, scale: Tensor, mean: Tensor, r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return _gradient(grad, maps, mean, r, scale, (True, True, True))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(
        ctx: Any, to_maps: Tensor, to_scale: Tensor, to_shift: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None, None]:
        """With u, a and b what comes back for the three gradients, and P(v) = r (v - mean(v) - xhat mean(v xhat)), the
        gradient of x where gamma is 1. From dxhat = P(dx) and dr = -r^2 mean(dx xhat):

        of g: gamma P(u) + a xhat + b; of gamma: the sum of <u, P(g)>;
        of x: (a - gamma r mean(u xhat)) P(g) - gamma r mean(g xhat) P(u) - gamma r mean(u P(g)) xhat.
        """
        grad, maps, scale, mean, r = ctx.saved_tensors
        n, c, h, w = maps.shape
        only_maps = (True, False, False)
        xhat = _normalise(maps, None, None)[0]
        of_grad, of_to = (_gradient(each, maps, mean, r, None, only_maps)[0] for each in (grad, to_maps))

        def dot(one: Tensor, other: Tensor) -> Tensor:
            return (one.reshape(n * c, 1, h * w) @ other.reshape(n * c, h * w, 1)).view(n, c, 1, 1)

        gamma, a = scale.view(c, 1, 1), to_scale.view(c, 1, 1)
        share = gamma * (r / (h * w)).view(n, c, 1, 1)
        u_p = dot(to_maps, of_grad)
        of_g = torch.addcmul(_normalise(maps, to_scale, to_shift)[0], gamma, of_to)
        of_x = of_grad * torch.addcmul(a, share, dot(to_maps, xhat), value=-1)
        of_x = torch.addcmul(of_x, share * dot(grad, xhat), of_to, value=-1)
        of_x = torch.addcmul(of_x, share * u_p, xhat, value=-1)
        return of_g, of_x, u_p.sum(0).view(c), None, None
