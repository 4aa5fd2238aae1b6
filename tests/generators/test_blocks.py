"""The filtered activation is worked out in blocks of images and channels, which nothing depends on."""

import pytest
import torch

from glad_ray.generators.stylegan_xl import activation
from glad_ray.generators.stylegan_xl.activation import FilteredLeakyReLU
from glad_ray.generators.stylegan_xl.filters import layer_filters
from glad_ray.spec import RandomStyleGAN


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_blocks_do_not_matter(dtype, kernel_size, monkeypatch):
    settings = RandomStyleGAN(resolution=16, channel_max=40, kernel_size=kernel_size).synthesis_settings.layers[1]
    layer = FilteredLeakyReLU(settings, **layer_filters(settings)).to(dtype)
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(3, 40, settings.conv_size, settings.conv_size, generator=rng, dtype=dtype, requires_grad=True)
    upstream = torch.randn(3, 40, settings.out_size, settings.out_size, generator=rng, dtype=dtype)

    def in_blocks(samples):
        monkeypatch.setattr(activation, "CPU_BLOCK", samples)
        y = layer(x)
        return len(list(layer.blocks(x))), y.detach(), *torch.autograd.grad(y, x, upstream)

    # All at once; two images; one; 16 channels.
    whole, *others = (in_blocks(images * 40 * settings.filter_size**2) for images in (3, 2, 1, 0))
    assert [whole[0], *(other[0] for other in others)] == [1, 2, 3, 9]
    for other in others:
        torch.testing.assert_close(other[1:], whole[1:], rtol=0, atol=1e-5 if dtype == torch.float32 else 1e-13)
