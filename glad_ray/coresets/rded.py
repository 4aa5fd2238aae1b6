"""RDED makes images of real patches that a trained network, the observer, finds realistic (Sun et al., "On the
diversity and realism of distilled dataset: an efficient dataset distillation paradigm", CVPR 2024, section 4).

Of each of some images of a class, several crops are shrunk to the size of a patch. The crop with the lowest
cross-entropy under the observer stands for its image, and the patches with the lowest of all are stitched, factor x
factor of them an image. The paper relabels the images by the observer and trains on that: labels that a teacher gives
at every step (`Evaluation.labels`).
"""

import io

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from PIL import Image
from torch import Tensor

from glad_ray.augment import draw_crop, resized_crop
from glad_ray.coresets.candidates import Candidates
from glad_ray.data import unit_inputs
from glad_ray.errors import UserError
from glad_ray.spec.algorithms.rded import RDED

_PATCHES_AT_ONCE = 256


def realistic_images(candidates: Candidates, count: int, rng: torch.Generator) -> UInt8[Tensor, "count c h w"]:
    """Images stitched of the patches that the observer finds the most realistic.

    Raises `UserError` if the class has fewer images than patches are needed.
    """
    settings, dataset = candidates.settings, candidates.dataset
    assert isinstance(settings, RDED), "whose baseline this is"
    side = dataset.train_images.shape[-1]
    factor = settings.factor_at(side)
    pool, needed = min(settings.images, candidates.number), count * factor**2
    if pool < needed:
        raise UserError(
            f"RDED needs a patch of {needed} images of class {dataset.class_names[candidates.label]!r} for "
            f"{count} images of {factor} x {factor} patches, and takes crops of {pool}: lower images_per_class or "
            "algorithm.factor, or raise algorithm.images where the class has more."
        )
    originals = candidates.pixels(torch.randperm(candidates.number, generator=rng)[:pool]).float() / 255
    patches = torch.cat([
        resized_crop(original, draw_crop(side, side, settings.smallest_area, 1.0, rng), side // factor)
        for original in originals.split(1)
        for _ in range(settings.crops)
    ]).clamp_(0, 1)  # fmt: skip
    losses = _losses(patches, candidates).view(pool, settings.crops)
    best, chosen = select(losses, needed)
    ranked = patches.view(pool, settings.crops, *patches.shape[1:])[chosen, best[chosen]]
    return in_bytes(stitch(ranked, side, factor), truncate=settings.truncate, jpeg=settings.jpeg)


@torch.no_grad()
def _losses(patches: Float[Tensor, "p c s s"], candidates: Candidates) -> Float[Tensor, " p"]:
    """Mean cross-entropy of the observers, patch by patch, on the CPU."""
    dataset = candidates.dataset
    mean = torch.tensor(dataset.mean).view(1, -1, 1, 1)
    losses = []
    for some in patches.split(_PATCHES_AT_ONCE):
        # 0 where images are normalised is the mean colour.
        framed = padded(some - mean, dataset.train_images.shape[-1]) + mean
        inputs = unit_inputs(framed.to(candidates.device), dataset)
        of_each = [realism_losses(network(inputs), candidates.label) for network in candidates.networks()]
        losses.append(torch.stack(of_each).mean(0).cpu())
    return torch.cat(losses)


def padded(patches: Float[Tensor, "p c s s"], side: int) -> Float[Tensor, "p c side side"]:
    """Patches in the middle of images of zeros; where it cannot be the middle, a pixel nearer to the top and left."""
    rest = side - patches.shape[-1]
    before, after = rest // 2, rest - rest // 2
    return F.pad(patches, (before, after, before, after))


def realism_losses(logits: Float[Tensor, "... k"], label: int) -> Float[Tensor, " ..."]:
    """Cross-entropy of what the observer says of patches, with their class: the lower, the more realistic.

    As the code has it, -log(softmax), which is infinite where a probability rounds to 0.
    """
    return -logits.softmax(-1)[..., label].log()


def select(losses: Float[Tensor, "n m"], count: int) -> tuple[Int64[Tensor, " n"], Int64[Tensor, " count"]]:
    """The crop of each image with the lowest loss, and the images whose lowest losses are the lowest, ascending."""
    lowest, best = losses.min(1)
    return best, lowest.argsort(stable=True)[:count]


def stitch(patches: Float[Tensor, "p c s s"], side: int, factor: int) -> Float[Tensor, "n c side side"]:
    """Images of factor x factor patches, given in the order of their rank: the n best are the top left ones of the n
    images, the n next stand to the right of them, and so on, row by row.

    Where the factor does not divide the side, the first rows and columns of patches are a pixel larger; patches are
    enlarged by the nearest pixel.
    """
    count = len(patches) // factor**2
    sizes = [side // factor + (number < side % factor) for number in range(factor)]
    rows = []
    for row, height in enumerate(sizes):
        places = [
            F.interpolate(patches[place * count : (place + 1) * count], (height, width), mode="nearest")
            for place, width in enumerate(sizes, row * factor)
        ]
        rows.append(torch.cat(places, 3))
    return torch.cat(rows, 2)


def in_bytes(images: Float[Tensor, "n c h w"], *, truncate: bool, jpeg: bool) -> UInt8[Tensor, "n c h w"]:
    """Images in [0, 1] as 8-bit pixels, rounded or truncated, and as they are after they were kept as JPEG."""
    scaled = images * 255
    pixels = (scaled if truncate else scaled.round()).clamp(0, 255).to(torch.uint8)
    return torch.stack([_after_jpeg(image) for image in pixels]) if jpeg else pixels


def _after_jpeg(image: UInt8[Tensor, "c h w"]) -> UInt8[Tensor, "c h w"]:
    """An image read back from a JPEG of Pillow's usual quality."""
    channels = image.shape[0]
    kept = io.BytesIO()
    Image.fromarray(image[0].numpy() if channels == 1 else image.permute(1, 2, 0).contiguous().numpy()).save(
        kept, "JPEG"
    )
    read = torch.frombuffer(bytearray(Image.open(kept).tobytes()), dtype=torch.uint8)
    return read.view(*image.shape[1:], channels).permute(2, 0, 1)
