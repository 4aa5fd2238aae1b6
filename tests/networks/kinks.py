"""Where rounding decided the recorded gradients: ReLU inputs and max-pool rivals that are equal but for rounding.

The reference gradients were recorded in float32. A ReLU input within rounding of zero, or two pool inputs within
rounding of each other, send a gradient one way or the other by chance, and one such choice moves the gradients of the
layers below by up to a percent. `KINKS` lists, per golden case, the choices the recording made the other way than exact
arithmetic; with them a float64 computation gives the recorded numbers to 1e-5. Found by flipping the candidates of the
deepest layer that disagreed, layer by layer.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from glad_ray import machine

# (function, its how-manieth call in a forward pass): flat indices into its output.
KINKS: dict[str, dict[tuple[str, int], list[int]]] = {
    "ConvNet_d5_r128": {("relu", 2): [97485]},
    "ConvNet_d7_r512": {("relu", 2): [1403534, 258112]},
    "AlexNet_r128": {("relu", 3): [175842]},
    "VGG11_r128": {
        ("max_pool2d", 1): [186677],
        ("relu", 2): [315070],
        ("max_pool2d", 3): [34511, 93490],
        ("adaptive_max_pool2d", 0): [346 * 49 + 13],
    },
    "ResNet18_r128": {
        ("relu", 7): [1572222, 567750],
        ("relu", 10): [252976, 314756, 88970],
        ("relu", 11): [265861],
        ("relu", 12): [333347, 192637],
        ("relu", 16): [252739, 135764],
    },
    "ResNet18CIFAR_r32": {("relu", 3): [53004]},
}

ROUNDING = 2e-5
"""what float32 may do to activations of about 1, the largest in channels of little variance"""


@contextmanager
def recorded_choices(case: str) -> Iterator[None]:
    """Within, ReLUs and max pools choose as the recording of a case did; only choices within rounding may differ."""
    flips, calls = KINKS.get(case, {}), Counter[str]()
    relu, pools = F.relu, {name: getattr(F, name) for name in ("max_pool2d", "adaptive_max_pool2d")}

    def here(name: str) -> list[int]:
        calls[name] += 1
        return flips.get((name, calls[name] - 1), [])

    def flipped_relu(x: Tensor) -> Tensor:
        places = here("relu")
        if not places:
            return relu(x)
        passed = (x > 0).flatten()
        assert (x.detach().flatten()[places].abs() < ROUNDING).all()
        passed[places] = ~passed[places]
        return x * passed.view_as(x)

    def flipped_pool(name: str) -> Callable[[Tensor, int], Tensor]:
        def pool(x: Tensor, size: int) -> Tensor:
            places = here(name)
            if not places:
                return pools[name](x, size)
            _, chosen = pools[name](x, size, return_indices=True)
            shape, chosen = chosen.shape, chosen.flatten(2)
            for place in places:
                image_channel, window = divmod(place, chosen.shape[2])
                row = divmod(image_channel, x.shape[1])
                without = x.detach()[row].clone()
                best = without.view(-1)[chosen[row][window]].clone()
                without.view(-1)[chosen[row][window]] = -torch.inf
                rivals, indices = pools[name](without[None], size, return_indices=True)
                assert best - rivals.flatten()[window] < ROUNDING
                chosen[row][window] = indices.flatten()[window]
            return x.flatten(2).gather(2, chosen).view(shape)

        return pool

    F.relu = flipped_relu
    # The forms for a CPU call neither, so that no choice could be changed; other tests hold the two forms equal.
    few_passes_are_fast = machine.few_passes_are_fast
    if flips:
        machine.few_passes_are_fast = lambda device: False
    for name in pools:
        setattr(F, name, flipped_pool(name))
    try:
        yield
    finally:
        F.relu = relu
        machine.few_passes_are_fast = few_passes_are_fast
        for name, pool in pools.items():
            setattr(F, name, pool)
    for name, call in flips:
        assert calls[name] > call, f"{name} was called {calls[name]} times"
