"""The fast forms are the plain ones, and every network can be differentiated twice and called functionally."""

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

from glad_ray.networks import build_network, flat_parameters, load_flat_parameters, split_parameters
from glad_ray.networks.few_operations.instance_norm import instance_norm
from glad_ray.networks.few_operations.pooling import pooled_relu
from glad_ray.networks.layers import relu_then_average_pool, relu_then_max_pool
from glad_ray.networks.of_groups import InstanceNorm
from glad_ray.networks.on_cpu import block as block_on_cpu
from glad_ray.networks.on_cpu.max_pooling import max_pool
from glad_ray.spec import Network
from glad_ray.spec.networks import NETWORK_NAMES
from tests.golden_numbers import images


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def build(name, resolution=32, seed=0):
    return build_network(Network(name=name, width=8), channels=1, resolution=resolution, classes=10, rng=rng(seed))


def value_and_gradient(function, x, v):
    x = x.clone().requires_grad_()
    y = function(x)
    return y.detach(), *torch.autograd.grad(y, x, v)


@pytest.mark.parametrize("function", [relu_then_average_pool, pooled_relu])
@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 3, 7, 9), (1, 1, 2, 3)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_relu_then_average_pool(function, shape, layout):
    x = torch.randn(shape, generator=rng(), dtype=torch.float64).to(memory_format=layout)
    v = torch.randn(F.avg_pool2d(x, 2).shape, generator=rng(1), dtype=torch.float64)
    for ours, plain in zip(
        value_and_gradient(function, x, v),
        value_and_gradient(lambda x: F.avg_pool2d(F.relu(x), 2), x, v),
        strict=True,
    ):
        torch.testing.assert_close(ours, plain, rtol=0, atol=1e-15)
    assert torch.autograd.gradgradcheck(function, x.requires_grad_())


def _norm_arguments(*shape):
    return [
        torch.randn(size, generator=rng(seed), dtype=torch.float64, requires_grad=True)
        for seed, size in enumerate(((*shape, 5, 4), shape[-1:], shape[-1:]))
    ]


def test_gradients_of_instance_norm_and_of_its_gradients():
    arguments = _norm_arguments(3, 4)
    torch.testing.assert_close(instance_norm(*arguments), F.group_norm(arguments[0], 4, *arguments[1:]))
    assert torch.autograd.gradcheck(instance_norm, arguments)
    assert torch.autograd.gradgradcheck(instance_norm, arguments)


def test_instance_norms_of_several_networks_at_once():
    """Each with a scale and a shift of its own; and of several classes with the same."""
    maps, scale, shift = _norm_arguments(2, 3, 4)
    scales, shifts = torch.stack([scale, 2 * scale]), torch.stack([shift, -shift])
    for of_each in (0, None):
        given = (scales, shifts) if of_each == 0 else (scale, shift)
        ours = torch.vmap(instance_norm, (0, of_each, of_each))(maps, *given)
        plain = torch.stack([
            F.group_norm(each, 4, *(of[number] if of_each == 0 else of for of in given))
            for number, each in enumerate(maps)
        ])  # fmt: skip
        torch.testing.assert_close(ours, plain)
        gradients = [
            torch.autograd.grad((outcome**3).sum(), (maps, scale, shift), retain_graph=True)
            for outcome in (ours, plain)
        ]
        torch.testing.assert_close(*gradients)


@pytest.fixture(params=["whole", "in parts"])
def block(request, monkeypatch):
    """Norm, ReLU and pooling of a block as one function, of batches as a whole and of parts that are smaller."""
    if request.param == "in parts":
        monkeypatch.setattr(block_on_cpu, "WHOLE", 50)
        monkeypatch.setattr(block_on_cpu, "PART", 50)
    return block_on_cpu.normed_relu_pooled


def in_three_steps(maps, scale, shift):
    return relu_then_average_pool(F.group_norm(maps, len(scale), scale, shift))


@pytest.mark.parametrize("sides", [(4, 4), (3, 5)])
def test_gradients_of_a_block_and_of_its_gradients(block, sides):
    shapes = ((3, 2, *sides), (2,), (2,))
    arguments = [torch.randn(*of, generator=rng(number), dtype=torch.float64) for number, of in enumerate(shapes)]
    arguments = [each.requires_grad_() for each in arguments]
    torch.testing.assert_close(block(*arguments), in_three_steps(*arguments))
    assert torch.autograd.gradcheck(block, arguments)
    assert torch.autograd.gradgradcheck(block, arguments)
    channels_last = arguments[0].detach().contiguous(memory_format=torch.channels_last)
    assert torch.equal(block(channels_last, *arguments[1:]), block(*arguments))


def test_a_block_is_its_three_steps_in_float32(block):
    maps, scale, shift = (torch.randn(*of, generator=rng()).requires_grad_() for of in ((6, 8, 16, 16), (8,), (8,)))
    v = torch.randn(6, 8, 8, 8, generator=rng(1))
    found, expected = (form(maps, scale, shift) for form in (block, in_three_steps))
    assert torch.equal(found, expected)
    for ours, plain in zip(*(torch.autograd.grad(y, (maps, scale, shift), v) for y in (found, expected)), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-5)


def test_blocks_of_several_networks_at_once(block):
    maps, scales, shifts = _norm_arguments(2, 3, 4)[0], *(torch.randn(2, 4, generator=rng(n)).double() for n in (1, 2))
    ours = torch.vmap(block)(maps, scales, shifts)
    plain = torch.stack([block(*each) for each in zip(maps, scales, shifts, strict=True)])
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(*(torch.autograd.grad((y**3).sum(), maps)[0] for y in (ours, plain)))


@pytest.mark.parametrize("groups", [1, 2])
def test_a_block_with_parameters_of_groups(groups):
    """Whose images go in turn to one group and the next."""
    norm = InstanceNorm(4).double()
    maps = torch.randn(6, 4, 6, 6, generator=rng(), dtype=torch.float64)
    weight, bias = (torch.randn(groups, 4, generator=rng(number), dtype=torch.float64) for number in (1, 2))
    given = {"weight": weight, "bias": bias}
    ours = functional_call(PooledNorm(norm), {f"norm.{name}": value for name, value in given.items()}, (maps,))
    torch.testing.assert_close(ours, relu_then_average_pool(functional_call(norm, given, (maps,))))


class PooledNorm(torch.nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.norm = norm

    def forward(self, maps):
        return self.norm.relu_then_average_pool(maps)


def test_nothing_is_differentiated_three_times_unseen(block):
    x = _norm_arguments(2, 3)
    (first,) = torch.autograd.grad((block(*x) ** 3).sum(), x[:1], create_graph=True)
    (second,) = torch.autograd.grad((first**3).sum(), x[:1], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        second.sum().backward()


@pytest.mark.parametrize("sides", [(4, 6), (5, 7)])
def test_max_pooling_with_equals(sides):
    """Whole numbers, of which many windows have their largest twice."""
    maps = torch.randint(0, 3, (3, 2, *sides), generator=rng()).double()
    v = torch.randn(3, 2, sides[0] // 2, sides[1] // 2, generator=rng(1), dtype=torch.float64)
    for ours, plain in zip(
        value_and_gradient(max_pool, maps, v),
        value_and_gradient(lambda maps: F.max_pool2d(maps, 2), maps, v),
        strict=True,
    ):
        assert torch.equal(ours, plain)
    apart = torch.randperm(maps.numel(), generator=rng()).view_as(maps).double().requires_grad_()
    assert torch.autograd.gradcheck(max_pool, apart)
    assert torch.autograd.gradgradcheck(max_pool, apart)
    assert torch.equal(
        torch.vmap(max_pool)(torch.stack([apart, -apart])), torch.stack([max_pool(apart), max_pool(-apart)])
    )


def test_relu_then_max_pool():
    x = torch.randn(4, 3, 8, 8, generator=rng(), dtype=torch.float64)
    x[0] = -1
    v = torch.randn(4, 3, 4, 4, generator=rng(1), dtype=torch.float64)
    for ours, plain in zip(
        value_and_gradient(relu_then_max_pool, x, v),
        value_and_gradient(lambda x: F.max_pool2d(F.relu(x), 2), x, v),
        strict=True,
    ):
        assert torch.equal(ours, plain)


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_gradient_of_a_gradient(name):
    """d/dx of <g(x), r> against a central difference, as DC and MTT need it."""
    network = build(name).double().eval()
    x = images(2, 1, 32, 32, 0).double().requires_grad_()
    labels, parameters = torch.tensor([1, 4]), list(network.parameters())
    directions = [torch.randn(p.shape, generator=rng(9), dtype=torch.float64) for p in parameters]

    def projected(x):
        gradients = torch.autograd.grad(F.cross_entropy(network(x), labels), parameters, create_graph=True)
        return sum((g * r).sum() for g, r in zip(gradients, directions, strict=True))

    (grad,) = torch.autograd.grad(projected(x), x)
    way = torch.randn(x.shape, generator=rng(2), dtype=torch.float64)
    step = 1e-7  # small enough that no ReLU input changes its sign
    difference = float((projected(x + step * way) - projected(x - step * way)).detach()) / (2 * step)
    assert difference == pytest.approx(float((grad * way).sum()), rel=1e-5)


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_channels_last_gives_the_same_logits(name):
    network = build(name).double().eval()
    x = images(2, 1, 32, 32, 0).double()
    last = network(x).detach()
    network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(x.to(memory_format=torch.channels_last)).detach(), last, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_logits_do_not_depend_on_the_other_images(name):
    network = build(name).double().eval()
    x = images(5, 1, 32, 32, 0).double()
    apart = torch.cat([network(image[None]) for image in x])
    torch.testing.assert_close(network(x), apart, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_flat_parameters_there_and_back(name):
    network, other = build(name).eval(), build(name, seed=1).eval()
    flat = flat_parameters(network)
    assert flat.shape == (sum(p.numel() for p in network.parameters()),)
    assert not flat.requires_grad
    x = images(2, 1, 32, 32, 0)
    assert torch.equal(functional_call(other, split_parameters(other, flat), (x,)), network(x))
    load_flat_parameters(other, flat)
    assert torch.equal(flat_parameters(other), flat)
    assert torch.equal(other(x), network(x))


def test_flat_parameters_are_a_copy_and_their_split_is_differentiable():
    network = build("convnet")
    flat = flat_parameters(network).requires_grad_()
    x, labels = images(2, 1, 32, 32, 0), torch.tensor([0, 1])
    loss = F.cross_entropy(functional_call(network, split_parameters(network, flat), (x,)), labels)
    (gradient,) = torch.autograd.grad(loss, flat)
    expected = torch.autograd.grad(F.cross_entropy(network(x), labels), list(network.parameters()))
    torch.testing.assert_close(gradient, torch.cat([g.flatten() for g in expected]), rtol=0, atol=1e-7)
    with torch.no_grad():
        flat.zero_()
    assert flat_parameters(network).any()
