"""Our steps of Adam and AdamW are PyTorch's."""

import pytest
import torch

from glad_ray.networks import build_network
from glad_ray.optimisers.adam import Adam, AdamW, adam_step
from glad_ray.spec import Network


def losses(parameters: dict[str, torch.Tensor]):
    for number in range(6):
        yield sum((value - number).square().sum() * (number + 1) for value in parameters.values())


def parameters() -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    shapes = {"a": (3, 2), "b": (4,)}
    return {
        name: torch.randn(shape, generator=rng, dtype=torch.float64).requires_grad_() for name, shape in shapes.items()
    }


def test_steps_are_those_of_pytorch():
    for betas in ((0.9, 0.99), (0.0, 0.99)):
        ours, theirs = parameters(), parameters()
        optimiser, reference = Adam(ours, 0.01, betas), torch.optim.Adam(list(theirs.values()), lr=0.01, betas=betas)
        for loss, other in zip(losses(ours), losses(theirs), strict=True):
            optimiser.step(loss)
            reference.zero_grad()
            other.backward()
            reference.step()
        for name in ours:
            torch.testing.assert_close(ours[name], theirs[name], rtol=1e-12, atol=1e-14)


def test_a_state_that_is_restored_goes_on():
    whole, halves = parameters(), parameters()
    optimiser = Adam(whole, 0.01, (0.9, 0.99))
    first = Adam(halves, 0.01, (0.9, 0.99))
    for number, (one, other) in enumerate(zip(losses(whole), losses(halves), strict=True)):
        optimiser.step(one)
        if number == 3:
            kept = {name: value.clone() for name, value in first.tensors().items()}
            first = Adam(halves, 0.01, (0.9, 0.99))
            for name, value in first.tensors().items():
                value.copy_(kept[name])
        first.step(other)
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


@pytest.mark.parametrize("decay_vectors", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_with_decay_are_those_of_pytorch(decay_vectors, dtype):
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


def test_gradients_may_lie_in_memory_otherwise_than_their_parameters():
    rng = torch.Generator().manual_seed(0)
    parameter, gradient = (torch.randn(4, 3, 5, 5, generator=rng) for _ in range(2))

    def moved(gradient):
        value, first, second = parameter.clone(), torch.zeros_like(parameter), torch.zeros_like(parameter)
        adam_step([value], [gradient], [first], [second], [torch.ones(())], rate=0.1, betas=(0.9, 0.999))
        return value, first, second

    for one, other in zip(moved(gradient), moved(gradient.to(memory_format=torch.channels_last)), strict=True):
        assert torch.equal(one, other)
