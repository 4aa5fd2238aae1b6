"""Parameters of a backbone and bytes of an expert set, worked out from their records alone: what a plan foretells.

The architectures are those that `glad_ray.networks` builds; every weight, bias, norm and learned position counts.
"""

from glad_ray.plan.multiply_adds import HEAD_DIM, VGG11_STAGES, padded_side, scaled
from glad_ray.spec import ExpertSet, Network, dataset_facts
from glad_ray.spec.network import SMALL_FAMILY_PIXELS, STANDARD_WIDTH, Norm, convnet_depth

_BYTES = {"float32": 4, "bfloat16": 2}


def expert_bytes(expert_set: ExpertSet) -> int:
    """Bytes of all parameters that an expert set keeps; its files take about a kilobyte a snapshot beyond them."""
    facts, experts = dataset_facts(expert_set.dataset), expert_set.experts
    parameters = parameter_count(
        expert_set.network, channels=facts.channels, resolution=expert_set.resolution, classes=facts.classes
    )
    return experts.count * (experts.last_epoch + 1) * parameters * _BYTES[experts.dtype]


def parameter_count(network: Network, *, channels: int, resolution: int, classes: int) -> int:
    """Parameters of a network that is not foreign, for such images; the family follows from the resolution."""
    width = STANDARD_WIDTH[network.name] if network.width is None else network.width
    large = resolution > SMALL_FAMILY_PIXELS
    side = padded_side(network, channels, resolution)
    match network.name:
        case "convnet":
            depth = network.depth or convnet_depth(resolution)
            return _convnet(width, depth, channels, side, classes, network.norm)
        case "alexnet":
            return _alexnet(width, channels, side, classes)
        case "vgg11":
            return _vgg11(width, channels, side, classes, network.norm, large=large)
        case "resnet18":
            return _resnet18(width, channels, side, classes, network.norm)
        case "vit":
            return _vit(width, channels, side, classes, large=large)
    raise AssertionError(f"{network.name} is not counted")


def _convolution(channels_in: int, channels_out: int, kernel: int) -> int:
    return channels_in * channels_out * kernel**2


def _linear(features_in: int, features_out: int) -> int:
    """With a bias."""
    return (features_in + 1) * features_out


def _norm(norm: Norm, channels: int, side: int) -> int:
    """Scales and shifts: one a channel, or of layernorm one a value."""
    return {"none": 0, "layernorm": 2 * channels * side**2}.get(norm, 2 * channels)


def _convnet(width: int, depth: int, channels: int, side: int, classes: int, norm: Norm) -> int:
    total = 0
    for _ in range(depth):
        total += _convolution(channels, width, 3) + width + _norm(norm, width, side)
        channels, side = width, side // 2
    return total + _linear(width * side**2, classes)


def _alexnet(width: int, channels: int, side: int, classes: int) -> int:
    total = 0
    for standard, kernel in ((128, 5), (192, 5), (256, 3), (192, 3), (192, 3)):
        channels_out = scaled(standard, width, 128)
        total += _convolution(channels, channels_out, kernel) + channels_out
        channels = channels_out
    return total + _linear(channels * (side // 8) ** 2, classes)


def _vgg11(width: int, channels: int, side: int, classes: int, norm: Norm, *, large: bool) -> int:
    total = 0
    for standard, pooled in VGG11_STAGES:
        channels_out = scaled(standard, width, 64)
        total += _convolution(channels, channels_out, 3) + channels_out + _norm(norm, channels_out, side)
        channels, side = channels_out, side // 2 if pooled else side
    return total + _linear(channels * (7 if large else side) ** 2, classes)


def _resnet18(width: int, channels: int, side: int, classes: int, norm: Norm) -> int:
    total = _convolution(channels, width, 3) + _norm(norm, width, side)
    channels = width
    for standard, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        channels_out = scaled(standard, width, 64)
        side = (side + stride - 1) // stride
        total += _convolution(channels, channels_out, 3) + 3 * _convolution(channels_out, channels_out, 3)
        total += 4 * _norm(norm, channels_out, side)
        if stride != 1 or channels != channels_out:
            total += _convolution(channels, channels_out, 1) + _norm(norm, channels_out, side)
        channels = channels_out
    return total + _linear(channels, classes)


def _vit(dim: int, channels: int, side: int, classes: int, *, large: bool) -> int:
    patch, layers = (16, 10) if large else (4, 6)
    inner = max(1, dim // HEAD_DIM) * min(HEAD_DIM, dim)
    # Only the small family has norms: one before each of the two branches of a layer, and one at the end.
    norms = 0 if large else (2 * layers + 1) * 2 * dim
    tokens = ((side // patch) ** 2 + 1) * dim + dim
    attention = 3 * dim * inner + _linear(inner, dim)
    feed_forward = 2 * _linear(dim, dim)
    return (
        tokens + _linear(channels * patch**2, dim) + layers * (attention + feed_forward) + norms + _linear(dim, classes)
    )
