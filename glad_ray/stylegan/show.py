"""What a generator's file holds, for people, and as fields of a JSON document (docs/schemas/generator.json)."""

import math
from collections.abc import Iterator
from typing import Any

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
        f"codes from there on; f0>..>f{len(synthesis.layers) - 1}: all layers, one after another",
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


def settings_fields(settings: FileSettings) -> dict[str, Any]:
    """What `settings_parts` shows; rates and cutoffs in samples and cycles per image width."""
    mapping, synthesis = settings.mapping, settings.synthesis
    channels, height, width = synthesis.image_shape
    return {
        "family": settings.family,
        "sha256": settings.sha256,
        "trained_on": settings.trained_on or None,
        "channels": channels,
        "height": height,
        "width": width,
        "classes": mapping.classes,
        "parameters": mapping.parameter_count + synthesis.parameter_count,
        "codes": synthesis.codes,
        "w_dim": synthesis.w_dim,
        "licence": settings.licence or None,
        "layers": [_layer_fields(settings, n, layer) for n, layer in enumerate(synthesis.layers)],
    }


def _layer_fields(settings: FileSettings, n: int, layer: LayerSettings) -> dict[str, Any]:
    shapes = settings.synthesis.latent_shapes(f"f{n}")
    return {
        "space": f"f{n}",
        "feature_map": list(shapes["f"]),
        "numbers_per_image": sum(math.prod(shape) for shape in shapes.values()),
        "name": layer.name,
        "kernel_size": layer.kernel_size,
        "in_channels": layer.in_channels,
        "out_channels": layer.out_channels,
        "in_size": layer.in_size,
        "out_size": layer.out_size,
        "in_rate": layer.in_rate,
        "out_rate": layer.out_rate,
        "cutoff": layer.out_cutoff,
        "parameters": settings.synthesis.parameters_from(f"f{n}") - _after(settings, n),
    }


def _filters(layer: LayerSettings) -> str:
    if layer.to_rgb:
        return "none"
    return f"{layer.up_taps}, {layer.down_taps}{' radial' if layer.radial else ''}"


def _after(settings: FileSettings, n: int) -> int:
    """Parameters of the layers after layer n."""
    synthesis = settings.synthesis
    return synthesis.parameters_from(f"f{n + 1}") if n + 1 < len(synthesis.layers) else 0
