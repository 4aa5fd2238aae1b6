"""The fast convolution is the plain one, whatever its sizes and strips, and so is its adjoint."""

import pytest
import torch
import torch.nn.functional as F

from glad_ray.generators.stylegan_xl import winograd
from glad_ray.generators.stylegan_xl.modulation import demodulated_kernel, modulated_convolution


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("strip_numbers", [1, 700, 2**22])
@pytest.mark.parametrize("size", [(7, 8), (10, 9), (3, 3)])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_plain_convolution_and_its_adjoint(padding, size, strip_numbers, monkeypatch):
    monkeypatch.setattr(winograd, "STRIP_NUMBERS", strip_numbers)
    x, scales, kernel = normal(2, 3, *size), normal(2, 3), normal(5, 3, 3, 3)
    expected = F.conv2d(x * scales[:, :, None, None], kernel, padding=padding)
    torch.testing.assert_close(winograd.convolve(x, scales, kernel, padding), expected, rtol=0, atol=1e-12)

    y, scales = normal(*expected.shape), normal(2, 5)
    expected = F.conv_transpose2d(y * scales[:, :, None, None], kernel, padding=padding)
    torch.testing.assert_close(winograd.convolve_adjoint(y, scales, kernel, padding), expected, rtol=0, atol=1e-12)


def test_no_images():
    assert winograd.convolve(normal(0, 3, 7, 7), normal(0, 3), normal(5, 3, 3, 3), 2).shape == (0, 5, 9, 9)


def test_rounding_in_float32():
    x, kernel = normal(1, 256, 20, 20), normal(256, 256, 3, 3)
    expected = F.conv2d(x, kernel)
    arguments = x.float(), torch.ones(1, 256), kernel.float(), 0
    assert winograd.is_faster(arguments[0], arguments[2])
    error = float((winograd.convolve(*arguments) - expected).norm() / expected.norm())
    # A sum of 2,304 products, rounded after each, would be off by some 3e-6. What PyTorch's own convolution makes of it
    # depends on the processor: 2.3e-7 on one with AVX-512, where this one is off by 4.9e-7.
    assert error < 1e-6


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("crop", [0, 1, 4])
def test_frozen_gradients_are_those_of_autograd(crop, fast, monkeypatch):
    monkeypatch.setattr(winograd, "is_faster", lambda x, kernel: fast)
    x, style = normal(2, 3, 11, 11).requires_grad_(), normal(2, 3).requires_grad_()
    kernel, power = demodulated_kernel(normal(4, 3, 3, 3))
    weights = kernel, power, normal(4), torch.tensor(0.7, dtype=torch.float64), crop
    y = modulated_convolution(x, style, *weights)
    upstream = normal(*y.shape)
    found = torch.autograd.grad(y, (x, style), upstream)

    # A kernel that requires its gradient takes the way of plain autograd.
    kernel.requires_grad_()
    plain = modulated_convolution(x, style, *weights)
    torch.testing.assert_close(y, plain, rtol=1e-12, atol=1e-12)
    expected = torch.autograd.grad(plain, (x, style), upstream)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
