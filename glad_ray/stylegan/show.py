"""What a generator's file holds, for people."""

import math
from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from glad_ray.stylegan.files import FileSettings
from glad_ray.stylegan.settings import LayerSettings


def settings_parts(name: str, settings: FileSettings) -> Iterator[Table | str]:
    """A summary, and a table of the spaces: each layer's input, and the codes that go with it."""
    mapping, synthesis = settings.mapping, settings.synthesis
    channels, height, width = synthesis.image_shape
    classes = f"{mapping.classes} classes" if mapping.classes else "unconditional"
    parameters = mapping.parameter_count + synthesis.parameter_count
    family = {"stylegan_xl": "StyleGAN-XL", "stylegan3": "StyleGAN3"}[settings.family]
    if settings.trained_on:
        family = "compact StyleGAN"
    in_colour = "1 channel" if channels == 1 else f"{channels} channels"
    yield escape(f"{name}: {family}, {height} x {width} pixels, {in_colour}, {classes}, {parameters:,} parameters")
    yield f"sha256 {settings.sha256}"
    if settings.trained_on:
        yield escape(f"trained here on {settings.trained_on}; latents can start from real images, too")
    first, last = 1, synthesis.codes - 1
    table = Table(
        *("space", "feature map", "codes", "numbers per image", "layer fed", "kernel", "channels", "side"),
        *("rate", "cutoff", "filters", "parameters"),
        title=f"w+: all {synthesis.codes} codes of {synthesis.w_dim} numbers; f<n>: the input of layer n, and the "
        "codes from there on",
        title_justify="left",
    )
    for n, layer in enumerate(synthesis.layers):
        shapes = synthesis.latent_shapes(f"f{n}")
        numbers = sum(math.prod(shape) for shape in shapes.values())
        table.add_row(
            f"f{n}",
            " x ".join(map(str, shapes["f"])),
            f"{first + n} to {last}" if first + n < last else str(last),
            f"{numbers:,}",
            escape(layer.name),
            f"{layer.kernel_size} x {layer.kernel_size}",
            f"{layer.in_channels} > {layer.out_channels}",
            f"{layer.in_size} > {layer.out_size}",
            f"{layer.in_rate:g} > {layer.out_rate:g}",
            f"{layer.out_cutoff:.4g}",
            _filters(layer),
            f"{synthesis.parameters_from(f'f{n}') - _after(settings, n):,}",
        )
    yield table


def _filters(layer: LayerSettings) -> str:
    if layer.to_rgb:
        return "none"
    return f"{layer.up_taps}, {layer.down_taps}{' radial' if layer.radial else ''}"


def _after(settings: FileSettings, n: int) -> int:
    """Parameters of the layers after layer n."""
    synthesis = settings.synthesis
    return synthesis.parameters_from(f"f{n + 1}") if n + 1 < len(synthesis.layers) else 0
