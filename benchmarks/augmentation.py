"""DSA's operations against kornia's, where both compute the same: equality, and time forward and with the gradient.

2,560 images of 1 x 32 x 32, ten classes, a set of parameters for each class: what a step of DC or DM augments.
Saturation and contrast are other functions in kornia, and its random erasing cuts other rectangles than cutout's.

    python benchmarks/augmentation.py
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from kornia.enhance import adjust_brightness
from kornia.geometry.transform import hflip, homography_warp, translate
from rich.console import Console
from rich.table import Table
from timing import time_in_turn
from torch import Tensor

from glad_ray.augment import apply_operation
from glad_ray.augment import operations as ours
from glad_ray.machine import device_name, keep_freed_memory, open_device

CLASSES = 10

Operation = Callable[[Tensor], Tensor]


def kornia_warp(images: Float[Tensor, "n c h w"], matrix: Float[Tensor, "n 3 3"]) -> Float[Tensor, "n c h w"]:
    """Bilinear samples at normalised coordinates, corners at +-1, 0 outside."""
    height, width = images.shape[-2:]
    return homography_warp(images, matrix, (height, width), align_corners=True)


def kornia_flip(images: Float[Tensor, "n c h w"], flipped: Tensor) -> Float[Tensor, "n c h w"]:
    """Mirrored where `flipped`."""
    return torch.where(flipped.view(-1, 1, 1, 1), hflip(images), images)


def _ours(name: str, **draws: Tensor) -> Operation:
    return lambda images: apply_operation(name, images, draws)


def pairs(images: int, side: int, device: torch.device) -> dict[str, tuple[Operation, Operation]]:
    """By name, our operation and kornia's with the same parameters, one set for the images of each class."""
    rng = torch.Generator().manual_seed(0)
    uniforms = torch.rand(CLASSES, 2, generator=rng)[torch.arange(images) * CLASSES // images].to(device)
    u, v = uniforms.unbind(1)
    reach = ours.crop_reach(side)
    shift_h, shift_w = ((values * (2 * reach + 1)).floor() - reach for values in (u, v))
    low, high = 1 / ours.SCALE_RATIO, ours.SCALE_RATIO
    sx, sy = (values * (high - low) + low for values in (u, v))
    angle = torch.deg2rad((2 * u - 1) * ours.ROTATE_DEGREES)
    scaling = torch.diag_embed(torch.stack([sx, sy, torch.ones_like(sx)], 1))
    rotation = torch.eye(3, device=device).repeat(images, 1, 1)
    rotation[:, 0, 0] = rotation[:, 1, 1] = angle.cos()
    rotation[:, 1, 0] = angle.sin()
    rotation[:, 0, 1] = -angle.sin()
    # kornia moves the content, ours the window.
    translation = torch.stack([-shift_w, -shift_h], 1)
    return {
        "brightness": (
            _ours("brightness", offset=u - 0.5),
            partial(adjust_brightness, factor=u - 0.5, clip_output=False),
        ),
        "crop": (
            _ours("crop", shift_h=shift_h.long(), shift_w=shift_w.long()),
            partial(translate, translation=translation),
        ),
        "flip": (_ours("flip", flipped=u < 0.5), partial(kornia_flip, flipped=u < 0.5)),
        "scale": (_ours("scale", sx=sx, sy=sy), partial(kornia_warp, matrix=scaling)),
        "rotate": (_ours("rotate", angle_rad=angle), partial(kornia_warp, matrix=rotation)),
    }


def with_gradient(operation: Operation, images: Tensor, upstream: Tensor) -> Tensor:
    """The gradient of sum(operation(images) * upstream) with respect to the images."""
    leaf = images.detach().requires_grad_()
    (grad,) = torch.autograd.grad(operation(leaf), leaf, upstream)
    return grad


def largest_difference(one: Tensor, other: Tensor) -> float:
    """The largest absolute difference of two tensors of like shape."""
    return float((one - other).abs().max())


def table(images: int, side: int, repeats: int, device: torch.device) -> Table:
    """Equality and times of every pair."""
    rng = torch.Generator().manual_seed(1)
    x, upstream = torch.randn(2, images, 1, side, side, generator=rng).to(device)
    shown = Table(
        *("operation", "difference", "of gradients", "ours, ms", "kornia, ms", "kornia / ours"),
        *("with gradient: ours, ms", "kornia, ms", "kornia / ours"),
    )
    for name, (our_operation, kornias) in pairs(images, side, device).items():
        values = largest_difference(our_operation(x), kornias(x))
        gradients = largest_difference(with_gradient(our_operation, x, upstream), with_gradient(kornias, x, upstream))
        cells = []
        for candidates in (
            {"ours": partial(our_operation, x), "kornia": partial(kornias, x)},
            {
                "ours": partial(with_gradient, our_operation, x, upstream),
                "kornia": partial(with_gradient, kornias, x, upstream),
            },
        ):
            taken = time_in_turn(candidates, repeats, device)
            milliseconds = [1000 * taken[whose].wall for whose in ("ours", "kornia")]
            cells += [*(f"{value:.2f}" for value in milliseconds), f"{milliseconds[1] / milliseconds[0]:.1f}"]
        shown.add_row(name, f"{values:.0e}", f"{gradients:.0e}", *cells)
    return shown


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2560, help="images in a call")
    parser.add_argument("--resolution", type=int, default=32, help="side of the images in pixels")
    parser.add_argument("--repeats", type=int, default=11, help="timed calls of each")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:<n>")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    chosen = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(chosen.threads)
    device = open_device(chosen.device)
    console = Console(width=150)
    console.print(
        f"{chosen.images} images of 1 x {chosen.resolution} x {chosen.resolution}, "
        f"{device_name(device)}, {chosen.threads} threads, torch {torch.__version__}"
    )
    console.print(table(chosen.images, chosen.resolution, chosen.repeats, device))


if __name__ == "__main__":
    main()
