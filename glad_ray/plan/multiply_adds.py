"""Multiply-adds of a classifier per image, worked out from its record alone: what a plan needs without torch.

The architectures are those that `glad_ray.networks` builds; convolutions, linear layers and attention count, norms,
activations and pooling do not. Of a foreign network nothing is known before it is built: it is not counted.
"""

from glad_ray.spec import DatasetFacts, Network
from glad_ray.spec.network import SMALL_FAMILY_PIXELS, STANDARD_WIDTH, convnet_depth

VGG11_STAGES = (
    (64, True),
    (128, True),
    (256, False),
    (256, True),
    (512, False),
    (512, True),
    (512, False),
    (512, True),
)
"""channels of each convolution at the standard width, and whether pooling follows"""
HEAD_DIM = 64
"""of the ViT's attention"""


def multiply_adds(network: Network, *, channels: int, resolution: int, classes: int) -> int:
    """Multiply-adds of one forward pass of one image; the family follows from the resolution.

    0 for a foreign network (`Network.foreign`): whoever shows a cost says that those are not in it.
    """
    if network.foreign:
        return 0
    width = STANDARD_WIDTH[network.name] if network.width is None else network.width
    side = padded_side(network, channels, resolution)
    match network.name:
        case "convnet":
            depth = network.depth or convnet_depth(resolution)
            return _convnet(width, depth, channels, side, classes)
        case "alexnet":
            return _alexnet(width, channels, side, classes)
        case "vgg11":
            return _vgg11(width, channels, side, classes, large=resolution > SMALL_FAMILY_PIXELS)
        case "resnet18":
            return _resnet18(width, channels, side, classes)
        case "vit":
            return _vit(width, channels, side, classes, large=resolution > SMALL_FAMILY_PIXELS)
    raise AssertionError(f"{network.name} is not counted")


def padded_side(network: Network, channels: int, resolution: int) -> int:
    """Of the first convolution's map: some networks pad 28-pixel grey images to 32 pixels there."""
    pads = network.name in ("convnet", "alexnet", "vgg11")
    return 32 if pads and channels == 1 and resolution == 28 else resolution


def network_multiply_adds(network: Network, facts: DatasetFacts, resolution: int) -> int:
    """The same for the images of a dataset."""
    return multiply_adds(network, channels=facts.channels, resolution=resolution, classes=facts.classes)


def _convolution(channels_in: int, channels_out: int, kernel: int, side: int) -> int:
    """Of a convolution whose output has the given side."""
    return channels_in * channels_out * kernel**2 * side**2


def scaled(channels: int, width: int, standard_width: int) -> int:
    """Channels of a stage where the first has `width` in place of `standard_width`."""
    return max(1, round(channels * width / standard_width))


def _convnet(width: int, depth: int, channels: int, side: int, classes: int) -> int:
    total = 0
    for _ in range(depth):
        total += _convolution(channels, width, 3, side)
        channels, side = width, side // 2
    return total + width * side**2 * classes


def _alexnet(width: int, channels: int, side: int, classes: int) -> int:
    w1, w2, w3, w4, w5 = (scaled(w, width, 128) for w in (128, 192, 256, 192, 192))
    total = _convolution(channels, w1, 5, side) + _convolution(w1, w2, 5, side // 2)
    side //= 4
    total += _convolution(w2, w3, 3, side) + _convolution(w3, w4, 3, side) + _convolution(w4, w5, 3, side)
    return total + w5 * (side // 2) ** 2 * classes


def _vgg11(width: int, channels: int, side: int, classes: int, *, large: bool) -> int:
    total = 0
    for standard, pooled in VGG11_STAGES:
        channels_out = scaled(standard, width, 64)
        total += _convolution(channels, channels_out, 3, side)
        channels, side = channels_out, side // 2 if pooled else side
    return total + channels * (7 if large else side) ** 2 * classes


def _resnet18(width: int, channels: int, side: int, classes: int) -> int:
    total = _convolution(channels, width, 3, side)
    channels = width
    for standard, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        channels_out = scaled(standard, width, 64)
        side = (side + stride - 1) // stride
        total += _convolution(channels, channels_out, 3, side) + 3 * _convolution(channels_out, channels_out, 3, side)
        if stride != 1 or channels != channels_out:
            total += _convolution(channels, channels_out, 1, side)
        channels = channels_out
    return total + channels * classes


def _vit(dim: int, channels: int, side: int, classes: int, *, large: bool) -> int:
    patch, layers = (16, 10) if large else (4, 6)
    patches = (side // patch) ** 2
    tokens = patches + 1
    inner = max(1, dim // HEAD_DIM) * min(HEAD_DIM, dim)
    attention = tokens * (3 + 1) * dim * inner + 2 * tokens**2 * inner
    feed_forward = tokens * 2 * dim * dim
    return patches * channels * patch**2 * dim + layers * (attention + feed_forward) + dim * classes
