"""Our steps of AdamW are PyTorch's."""

import pytest
import torch

from glad_ray.adamw import AdamW
from glad_ray.networks import build_network
from glad_ray.spec import Network


@pytest.mark.parametrize("decay_vectors", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_are_those_of_pytorch(decay_vectors, dtype):
    def trained(theirs):
        rng = torch.Generator().manual_seed(0)
        made = build_network(Network(width=8), channels=1, resolution=32, classes=10, rng=rng).to(dtype)
        images, labels = torch.randn(6, 1, 32, 32, generator=rng, dtype=dtype), torch.arange(6)
        parameters = list(made.parameters())
        groups = [
            {"params": [each for each in parameters if each.ndim > 1]},
            {"params": [each for each in parameters if each.ndim == 1], "weight_decay": 0.1 * decay_vectors},
        ]
        optimiser = (
            torch.optim.AdamW(groups, lr=0.01, weight_decay=0.1)
            if theirs
            else AdamW(parameters, 0.01, 0.1, decay_vectors=decay_vectors)
        )
        for step in range(5):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(made(images), labels).backward()
            # Zero but for rounding, which Adam would make steps of: nothing to compare.
            for name, value in made.named_parameters():
                if name.endswith("conv.bias"):
                    value.grad.zero_()
            if step < 2:
                # Its moments begin later than those of the others.
                parameters[-1].grad = None
            optimiser.step()
        return made.state_dict()

    tolerance = {torch.float32: 1e-4, torch.float64: 1e-11}[dtype]
    torch.testing.assert_close(trained(False), trained(True), rtol=tolerance, atol=tolerance)


def test_what_is_forgotten_is_begun_anew():
    def moved(forget):
        value = torch.ones(3, dtype=torch.float64, requires_grad=True)
        optimiser = AdamW([value], 0.1, 0.0)
        for number in range(3):
            if forget and number == 2:
                optimiser.forget()
                before = value.detach().clone()
            optimiser.zero_grad()
            (value * torch.tensor([1.0, -2.0, 3.0]) * (number + 1)).sum().backward()
            optimiser.step()
        return value.detach() - before if forget else None

    # The first step of Adam is the rate along the signs of the gradient.
    torch.testing.assert_close(moved(forget=True), torch.tensor([-0.1, 0.1, -0.1], dtype=torch.float64))
