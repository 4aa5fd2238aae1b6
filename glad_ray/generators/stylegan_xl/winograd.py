"""3x3 convolution with 16 multiplications for four outputs instead of 36: F(2x2, 3x3) of Lavin and Gray (2016).

oneDNN has no such kernel for float32 on x86, and at StyleGAN-XL's widths convolutions are most of the work on a CPU: it
is 1.3 times as fast at 256 channels, 1.9 times at 1024. The error stays that of a direct convolution, for fewer terms
are summed and the constants are powers of two. F(4x4, 3x3) would save another 1.8 times and errs six times more.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_KERNEL_MATRIX = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))
_FEWEST_CHANNELS = 128
STRIP_NUMBERS = 2**22
"""Numbers of a strip of tiles in the transformed domain, before and after the products each."""


def is_faster(x: Float[Tensor, "n c_in h w"], kernel: Float[Tensor, "c_out c_in k k"]) -> bool:
    """Whether this form beats the direct one: on a CPU, with channels enough for the products to outweigh the sums."""
    wide = min(kernel.shape[:2]) >= _FEWEST_CHANNELS
    return x.device.type == "cpu" and x.dtype == torch.float32 and kernel.shape[2] == 3 and wide


def convolve(
    x: Float[Tensor, "n c_in h w"],
    scales: Float[Tensor, "n c_in"],
    kernel: Float[Tensor, "c_out c_in 3 3"],
    padding: int,
) -> Float[Tensor, "n c_out h2 w2"]:
    """What `conv2d` gives for the scaled input, channels last; `padding` is 0 to 2."""
    return _convolve(x, scales, _transformed(kernel).transpose(1, 2), padding)


def convolve_adjoint(
    y: Float[Tensor, "n c_out h w"],
    scales: Float[Tensor, "n c_out"],
    kernel: Float[Tensor, "c_out c_in 3 3"],
    padding: int,
) -> Float[Tensor, "n c_in h2 w2"]:
    """What `conv_transpose2d` gives for the scaled input, channels last; `padding` is 0 to 2."""
    return _convolve(y, scales, _transformed(kernel.flip(2, 3)), 2 - padding)


def _transformed(kernel: Tensor) -> Float[Tensor, "16 c_out c_in"]:
    """G g G^T of the paper's section 4.1, positions along x before those along y, as tiles have them."""
    matrix = torch.tensor(_KERNEL_MATRIX, dtype=kernel.dtype)
    taps = kernel.permute(0, 3, 2, 1).flatten(1, 2)
    return (torch.kron(matrix, matrix) @ taps).transpose(0, 1)


def _convolve(x: Tensor, scales: Tensor, kernel: Float[Tensor, "16 c_in c_out"], padding: int) -> Tensor:
    height, width = (size + 2 * padding - 2 for size in x.shape[2:])
    rows, columns = -(-height // 2), -(-width // 2)
    y = x.new_empty(len(x), rows, 2, columns, 2, kernel.shape[2])
    strip = max(STRIP_NUMBERS // (16 * columns * max(kernel.shape[1:])), 1)
    for image, image_scales, out in zip(x.permute(0, 2, 3, 1), scales, y, strict=True):
        for first, strip_out in zip(range(0, rows, strip), out.split(strip), strict=True):
            tiles = _tiles(_window(image, image_scales, 2 * first - padding, len(strip_out), -padding, columns))
            products = torch.bmm(tiles.flatten(2, 3).flatten(0, 1), kernel)
            _untile(products.view(*tiles.shape[:4], -1), strip_out)
    # An odd size was made one larger.
    return y.flatten(3, 4).flatten(1, 2)[:, :height, :width].permute(0, 3, 1, 2)


def _window(
    x: Float[Tensor, "h w c"], scales: Float[Tensor, " c"], top: int, rows: int, left: int, columns: int
) -> Float[Tensor, "h2 w2 c"]:
    """What so many rows and columns of tiles lie on, from a corner that may lie outside, where there are zeros."""
    bottom, right = top + 2 * rows + 2, left + 2 * columns + 2
    inside = x[max(top, 0) : bottom, max(left, 0) : right] * scales
    borders = (max(-left, 0), max(right - x.shape[1], 0), max(-top, 0), max(bottom - x.shape[0], 0))
    return F.pad(inside, (0, 0, *borders))


def _tiles(x: Float[Tensor, "h w c"]) -> Float[Tensor, "4 4 rows columns c"]:
    """B^T d B of the paper's section 4.1 for the 4 x 4 tiles d at a stride of 2, positions along x first."""
    height, width = x.shape[:2]
    along_y = _spread(*(x[i : height - 3 + i : 2] for i in range(4)))
    return _spread(*(along_y[:, :, i : width - 3 + i : 2] for i in range(4)))


def _untile(products: Float[Tensor, "4 4 rows columns c"], out: Float[Tensor, "rows 2 columns 2 c"]) -> None:
    """A^T m A of the same section, written to `out`."""
    along_x = products.new_empty(2, *products.shape[1:])
    _gather(products, along_x)
    _gather(along_x.transpose(0, 1), out.permute(1, 3, 0, 2, 4))


def _spread(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    out = a.new_empty(4, *a.shape)
    torch.sub(a, c, out=out[0])
    torch.add(b, c, out=out[1])
    torch.sub(c, b, out=out[2])
    torch.sub(b, d, out=out[3])
    return out


def _gather(m: Tensor, out: Tensor) -> None:
    torch.add(m[1], m[2], out=out[0]).add_(m[0])
    torch.sub(m[1], m[2], out=out[1]).sub_(m[3])
