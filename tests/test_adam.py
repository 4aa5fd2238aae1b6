import torch

from glad_ray.adam import Adam


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
