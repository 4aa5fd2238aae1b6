"""Whether settings of unknown origin describe a network at all, and which weights it then has, by name and shape."""

import math
import re
from collections.abc import Iterator, Mapping

from glad_ray.stylegan.refusal import RefusalError, shown
from glad_ray.stylegan.settings import EncoderSettings, LayerSettings, MappingSettings, SynthesisSettings

Shape = tuple[int, ...]

LARGEST_SIZE = 4096
MOST_CHANNELS = 16384
MOST_CLASSES = 1_000_000
MOST_TAPS = 1024
MOST_LAYERS = 100
MOST_HIDDEN_LAYERS = 64
LARGEST_KERNEL = 31
LARGEST_FACTOR = 64
MOST_BLOCKS = 9
MEAN_CODE = "mapping.w_avg"
ENCODER = "encoder."
"""what the names of an encoder's weights begin with"""
_LAYER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def check_settings(
    mapping: MappingSettings, synthesis: SynthesisSettings, encoder: EncoderSettings | None = None
) -> None:
    """Raises `RefusalError` for sizes out of all proportion, and for parts that do not fit one another."""
    _check_mapping(mapping)
    _require(mapping.w_dim == synthesis.w_dim, "maps to style codes of another length than the layers take")
    _check_input(synthesis)
    if encoder is not None:
        _check_encoder(encoder, synthesis)
    _within("the number of layers", len(synthesis.layers), MOST_LAYERS)
    _positive("the output scale", synthesis.output_scale)
    names = [layer.name for layer in synthesis.layers]
    for name in names:
        _require(is_layer_name(name), f"calls a layer '{shown(name)}', which is no layer's name")
    _require("input" not in names and len(set(names)) == len(names), "has two parts of the same name")
    features = synthesis.input
    before = (features.channels, features.size, features.rate)
    for layer in synthesis.layers:
        _check_layer(layer, is_last=layer is synthesis.layers[-1])
        fits = before == (layer.in_channels, layer.in_size, layer.in_rate)
        _require(fits, f"has a layer {layer.name} that does not take what the layer before it gives")
        before = (layer.out_channels, layer.out_size, layer.out_rate)


def is_layer_name(name: object) -> bool:
    """A short word, fit for the name of weights."""
    return isinstance(name, str) and _LAYER_NAME.fullmatch(name) is not None


def check_shapes(
    mapping: MappingSettings,
    synthesis: SynthesisSettings,
    found: Mapping[str, Shape],
    encoder: EncoderSettings | None = None,
) -> None:
    """Raises `RefusalError` unless these are all the weights of the network, each of the right shape."""
    expected = weight_shapes(mapping, synthesis)
    if encoder is not None:
        expected |= dict(_encoder_shapes(encoder, mapping, synthesis))
    for name, shape in expected.items():
        _require(name in found, f"lacks the weights {name}")
        # Older networks keep one mean code, released ones one for each class.
        single = name == MEAN_CODE and found[name] == (mapping.w_dim,)
        _require(single or found[name] == shape, f"has weights {name} of another shape than the network needs")
    for name in found:
        _require(name in expected, f"has weights '{shown(name)}', which the network does not")


def weight_shapes(mapping: MappingSettings, synthesis: SynthesisSettings) -> dict[str, Shape]:
    """The shape of every weight and buffer by its official name; one mean code per class where there are classes."""
    return dict(_mapping_shapes(mapping)) | dict(_synthesis_shapes(synthesis))


def _mapping_shapes(settings: MappingSettings) -> Iterator[tuple[str, Shape]]:
    one_per_class = settings.classes > 0 and settings.embedding == "table"
    yield MEAN_CODE, (settings.classes, settings.w_dim) if one_per_class else (settings.w_dim,)
    if settings.classes and settings.embedding == "table":
        yield "mapping.embed.weight", (settings.embedding_rows, settings.embedding_dim)
        yield from _linear_shapes("mapping.embed_proj", settings.embedding_dim, settings.z_dim)
    elif settings.classes:
        yield from _linear_shapes("mapping.embed", settings.classes, settings.w_dim)
    fan_in = settings.z_dim + settings.class_dim
    for i in range(settings.hidden_layers):
        yield from _linear_shapes(f"mapping.fc{i}", fan_in, settings.w_dim)
        fan_in = settings.w_dim


def _synthesis_shapes(settings: SynthesisSettings) -> Iterator[tuple[str, Shape]]:
    channels = settings.input.channels
    yield "synthesis.input.weight", (channels, channels)
    yield "synthesis.input.transform", (3, 3)
    yield "synthesis.input.freqs", (channels, 2)
    yield "synthesis.input.phases", (channels,)
    yield from _linear_shapes("synthesis.input.affine", settings.w_dim, 4)
    for layer in settings.layers:
        prefix = f"synthesis.{layer.name}"
        yield f"{prefix}.weight", (layer.out_channels, layer.in_channels, layer.kernel_size, layer.kernel_size)
        yield f"{prefix}.bias", (layer.out_channels,)
        yield f"{prefix}.magnitude_ema", ()
        yield from _linear_shapes(f"{prefix}.affine", settings.w_dim, layer.in_channels)
        if not layer.to_rgb:
            yield f"{prefix}.up_filter", (layer.up_taps,)
            yield f"{prefix}.down_filter", (layer.down_taps,) * (2 if layer.radial else 1)


def _encoder_shapes(
    settings: EncoderSettings, mapping: MappingSettings, synthesis: SynthesisSettings
) -> Iterator[tuple[str, Shape]]:
    channels, side, _ = synthesis.image_shape
    # A ConvNet makes 32-pixel maps of 28-pixel grey images.
    side = 32 if (channels, side) == (1, 28) else side
    for block in range(settings.depth):
        yield f"{ENCODER}blocks.{block}.conv.weight", (settings.width, channels, 3, 3)
        yield f"{ENCODER}blocks.{block}.conv.bias", (settings.width,)
        channels, side = settings.width, side // 2
    yield from _linear_shapes(f"{ENCODER}classifier", settings.width * side**2, 2 * mapping.z_dim)


def _linear_shapes(prefix: str, fan_in: int, fan_out: int) -> Iterator[tuple[str, Shape]]:
    yield f"{prefix}.weight", (fan_out, fan_in)
    yield f"{prefix}.bias", (fan_out,)


def _check_mapping(settings: MappingSettings) -> None:
    _within("the length of z", settings.z_dim, MOST_CHANNELS)
    _within("the length of w", settings.w_dim, MOST_CHANNELS)
    _within("the number of classes", settings.classes, MOST_CLASSES, least=0)
    _within("the number of hidden layers", settings.hidden_layers, MOST_HIDDEN_LAYERS)
    _positive("the learning rate factor", settings.learning_rate_factor)
    if settings.classes:
        _within("the number of rows of the class table", settings.embedding_rows, MOST_CLASSES, least=settings.classes)
        _within("the width of the class table", settings.embedding_dim, MOST_CHANNELS)


def _check_encoder(settings: EncoderSettings, synthesis: SynthesisSettings) -> None:
    channels, side, _ = synthesis.image_shape
    _within("the width of the encoder", settings.width, MOST_CHANNELS)
    _within("the depth of the encoder", settings.depth, MOST_BLOCKS)
    _require(side >> settings.depth > 0, "has an encoder with more blocks than its images can be halved")
    per_channel = len(settings.mean) == len(settings.std) == channels
    _require(per_channel, "has statistics of its encoder for another number of channels than its images have")
    for number in settings.std:
        _positive("a deviation of the encoder", number)
    _require(all(map(math.isfinite, settings.mean)), "gives a mean of the encoder that is not a number")


def _check_input(synthesis: SynthesisSettings) -> None:
    features = synthesis.input
    _within("the number of input channels", features.channels, MOST_CHANNELS)
    _within("the size of the input", features.size, LARGEST_SIZE)
    _positive("the rate of the input", features.rate)
    _positive("the bandwidth of the input", features.bandwidth)
    _require(features.bandwidth < features.rate / 2, "has an input with frequencies beyond what its rate can carry")


def _check_layer(layer: LayerSettings, *, is_last: bool) -> None:
    of = f"of layer {layer.name}"
    for channels in (layer.in_channels, layer.out_channels):
        _within(f"the number of channels {of}", channels, MOST_CHANNELS)
    for size in (layer.in_size, layer.out_size):
        _within(f"the size {of}", size, LARGEST_SIZE)
    for factor in (layer.up_factor, layer.down_factor):
        _within(f"the resampling factor {of}", factor, LARGEST_FACTOR)
    for taps in (layer.up_taps, layer.down_taps):
        _within(f"the filter length {of}", taps, MOST_TAPS)
    _within(f"the kernel size {of}", layer.kernel_size, LARGEST_KERNEL)
    for frequency in (layer.in_rate, layer.out_rate, layer.filter_rate, layer.in_cutoff, layer.out_cutoff):
        _positive(f"a frequency {of}", frequency)
    for width in (layer.in_half_width, layer.out_half_width):
        _positive(f"a transition {of}", width)
    if layer.clamp is not None:
        _positive(f"the clamp {of}", layer.clamp)
    _require(layer.to_rgb == is_last, "has a layer for colours elsewhere than at its end, or none there")
    if layer.to_rgb:
        _check_rgb(layer)
    else:
        _check_filters(layer)


def _check_rgb(layer: LayerSettings) -> None:
    plain = (layer.kernel_size, layer.up_factor, layer.up_taps, layer.down_factor, layer.down_taps) == (1,) * 5
    plain = plain and layer.padding == (0, 0) and not layer.radial
    _require(plain and layer.in_size == layer.out_size, f"has a last layer {layer.name} that filters or resizes")


def _check_filters(layer: LayerSettings) -> None:
    rates = (layer.in_rate * layer.up_factor, layer.out_rate * layer.down_factor)
    _require(
        rates == (layer.filter_rate,) * 2, f"has rates and factors of layer {layer.name} that contradict each other"
    )
    convolved = (layer.in_size + layer.kernel_size - 1) * layer.up_factor
    total = (layer.out_size - 1) * layer.down_factor + 1 - convolved + layer.up_taps + layer.down_taps - 2
    low = (total + layer.up_factor) // 2
    _require(layer.padding == (low, total - low), f"has a padding of layer {layer.name} that does not fit its sizes")
    centred = layer.padding[0] - layer.padding[1] == layer.up_factor - 1
    reaches = layer.up_taps - 1 >= layer.padding[0] + layer.conv_crop * layer.up_factor
    _require(
        centred and reaches and layer.conv_size > 0, f"has sizes of layer {layer.name} that its filters cannot bridge"
    )


def _within(what: str, number: int, most: int, least: int = 1) -> None:
    _require(least <= number <= most, f"gives {what} as {_brief(number)}, which is not from {least:,} to {most:,}")


def _positive(what: str, number: float) -> None:
    _require(math.isfinite(number) and number > 0, f"gives {what} as {_brief(number)}, which is not a positive number")


def _brief(number: float) -> str:
    return f"{number:,}" if abs(number) < 1e12 else "a number out of range"


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise RefusalError(reason)
