"""A generator as the released code of StyleGAN-XL and StyleGAN3 pickles it: settings and weights of its live objects.

A stored network is nested modules: each a dictionary of attributes, parameters, buffers and further modules, with the
text of the Python file that defined its class, which is ignored. Settings are read from the attributes of every
layer, never from a table: generators grown to a higher resolution keep the constructor's arguments of the one they
grew from. Sauer et al. (2022); Karras et al. (2021).
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

from glad_ray.stylegan.checks import (
    MOST_HIDDEN_LAYERS,
    MOST_LAYERS,
    Shape,
    check_settings,
    check_shapes,
    is_layer_name,
)
from glad_ray.stylegan.pickle_machine import Inert
from glad_ray.stylegan.pickled_arrays import Tensor, described, plain_numbers
from glad_ray.stylegan.refusal import RefusalError, shown
from glad_ray.stylegan.settings import InputSettings, LayerSettings, MappingSettings, SynthesisSettings

Family = Literal["stylegan_xl", "stylegan3"]

_NETWORKS = ("G_ema", "G")
_PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
_EMBEDDING = "torch.nn.modules.sparse.Embedding"
_GENERATORS = ("Generator", "SuperresGenerator")
_MISSING = object()


@dataclass(frozen=True, eq=False)
class OfficialNetwork:
    """Settings that are sound and fit the weights, which are still claims on the file's bytes."""

    family: Family
    mapping: MappingSettings
    synthesis: SynthesisSettings
    weights: dict[str, Tensor]
    """by official names, each of the shape that the settings ask for, and backed by bytes of the file"""


def read_network(root: Any) -> OfficialNetwork:
    """The generator in the dictionary of networks that a file holds: G_ema, or G where there is no other.

    Raises `RefusalError` for another kind of file or network, and for one that contradicts itself.
    """
    generator = _generator(root)
    mapping_part, synthesis_part = generator.part("mapping"), generator.part("synthesis")
    if "layer_names" not in synthesis_part.state:
        raise RefusalError(
            f"holds a generator made of {shown(synthesis_part.kind)}, without the layers of StyleGAN3 "
            "(StyleGAN2, say): only StyleGAN-XL and StyleGAN3 are supported"
        )
    weights: dict[str, Tensor] = {}
    mapping, family = _read_mapping(mapping_part, weights)
    synthesis = _read_synthesis(synthesis_part, weights)
    check_settings(mapping, synthesis)
    check_shapes(mapping, synthesis, {name: tensor.shape for name, tensor in weights.items()})
    for tensor in weights.values():
        tensor.check()
    return OfficialNetwork(family, mapping, synthesis, weights)


@dataclass(frozen=True, eq=False, repr=False)
class _Module:
    """One stored module: its class, and its state by attribute."""

    where: str
    kind: str
    state: dict[Any, Any]

    @classmethod
    def of(cls, value: Any, where: str) -> "_Module":
        if isinstance(value, Inert) and value.name == _PERSISTENT and len(value.arguments) == 1:
            meta = value.arguments[0]
            if type(meta) is dict and type(meta.get("class_name")) is str and type(meta.get("state")) is dict:
                return cls(where, meta["class_name"], meta["state"])
        if isinstance(value, Inert) and value.name == _EMBEDDING and type(value.state) is dict:
            return cls(where, _EMBEDDING, value.state)
        raise RefusalError(f"has {described(value)} for {where}, where a stored network module belongs")

    def attribute(self, name: str) -> Any:
        value = self.state.get(name, _MISSING)
        if value is _MISSING:
            raise RefusalError(f"lacks the attribute {name} of {self.where}")
        return value

    def number(self, name: str) -> float:
        where = f"{self.where}.{name}"
        try:
            numbers = [float(number) for number in plain_numbers(self.attribute(name), where)]
        except OverflowError:
            numbers = [math.inf]
        if not all(map(math.isfinite, numbers)):
            raise RefusalError(f"has a number out of range for {where}")
        if len(set(numbers)) > 1:
            raise RefusalError(
                f"has different numbers along the two axes for {where}: only square images are supported"
            )
        return numbers[0]

    def whole(self, name: str) -> int:
        number = self.number(name)
        if number != int(number):
            raise RefusalError(f"has a fraction for {self.where}.{name}, where a whole number belongs")
        return int(number)

    def flag(self, name: str) -> bool:
        number = self.number(name)
        if number not in (0, 1):
            raise RefusalError(f"has a number for {self.where}.{name}, where true or false belongs")
        return bool(number)

    def require(self, name: str, value: str | float) -> None:
        """Raises `RefusalError` if the attribute is not what this project's network computes with."""
        same = self.attribute(name) == value if isinstance(value, str) else math.isclose(self.number(name), value)
        if not same:
            raise RefusalError(f"has a {self.where} whose {name} is not {value}, and no other is supported")

    def part(self, name: str) -> "_Module":
        part = self.optional_part(name)
        if part is None:
            raise RefusalError(f"lacks the module {name} of {self.where}")
        return part

    def optional_part(self, name: str) -> "_Module | None":
        modules = self.state.get("_modules")
        value = modules.get(name) if type(modules) is dict else None
        return None if value is None else _Module.of(value, f"{self.where}.{name}")

    def tensors(self, prefix: str, *names: str) -> dict[str, Tensor]:
        """Parameters or buffers, under their official names."""
        return {f"{prefix}.{name}": self._tensor(name) for name in names}

    def _tensor(self, name: str) -> Tensor:
        for kind in ("_parameters", "_buffers"):
            held = self.state.get(kind)
            if type(held) is dict and held.get(name) is not None:
                return Tensor.of(held[name], f"{self.where}.{name}")
        raise RefusalError(f"lacks the weights {name} of {self.where}")


def _generator(root: Any) -> _Module:
    if type(root) is tuple and len(root) == 3:
        raise RefusalError("holds the networks of a TensorFlow StyleGAN: only StyleGAN-XL and StyleGAN3 are supported")
    if type(root) is not dict:
        raise RefusalError(f"holds {described(root)}, where a dictionary of networks belongs")
    for name in _NETWORKS:
        if root.get(name) is not None:
            generator = _Module.of(root[name], name)
            break
    else:
        keys = ", ".join(shown(key) for key in list(root)[:8] if type(key) is str)
        raise RefusalError(f"has no generator G_ema or G: it has {keys[:120] or 'nothing with a name'}")
    if generator.kind not in _GENERATORS:
        raise RefusalError(
            f"holds a network of the class {shown(generator.kind)}: only StyleGAN-XL and StyleGAN3 are supported"
        )
    return generator


def _read_mapping(part: _Module, weights: dict[str, Tensor]) -> tuple[MappingSettings, Family]:
    """Settings and family; adds the weights that matter (an unconditional StyleGAN-XL keeps a class table unused)."""
    classes, w_dim, hidden_layers = part.whole("c_dim"), part.whole("w_dim"), part.whole("num_layers")
    if not 1 <= hidden_layers <= MOST_HIDDEN_LAYERS:
        raise RefusalError(f"has a mapping network that is not of 1 to {MOST_HIDDEN_LAYERS} hidden layers")
    weights |= part.tensors("mapping", "w_avg")
    factor = part.part("fc0").number("bias_gain")
    for i in range(hidden_layers):
        weights |= _linear(part.part(f"fc{i}"), f"mapping.fc{i}", activation="lrelu", rate=factor)
    embed = part.optional_part("embed")
    family: Family = "stylegan3" if embed is None or embed.kind != _EMBEDDING else "stylegan_xl"
    rows = width = 0
    if classes and embed is not None and family == "stylegan_xl":
        rows, width = _read_table(embed, weights)
        weights |= _linear(part.part("embed_proj"), "mapping.embed_proj", activation="lrelu")
    elif classes:
        rows, width = classes, w_dim
        weights |= _linear(part.part("embed"), "mapping.embed")
    settings = MappingSettings(
        z_dim=part.whole("z_dim"),
        w_dim=w_dim,
        classes=classes,
        embedding_rows=rows,
        embedding_dim=width,
        embedding="table" if family == "stylegan_xl" else "linear",
        hidden_layers=hidden_layers,
        learning_rate_factor=factor,
    )
    return settings, family


def _read_table(part: _Module, weights: dict[str, Tensor]) -> Shape:
    """Rows and width of the class table, which is added to the weights."""
    if part.attribute("max_norm") is not None:
        raise RefusalError("limits the rows of its class table, which is not supported")
    table = part.tensors("mapping.embed", "weight")
    weights |= table
    (shape,) = (tensor.shape for tensor in table.values())
    if len(shape) != 2:
        raise RefusalError("has a class table that is not a table")
    return shape


def _read_synthesis(part: _Module, weights: dict[str, Tensor]) -> SynthesisSettings:
    names = part.attribute("layer_names")
    if type(names) is not list or not 1 <= len(names) <= MOST_LAYERS or not all(map(is_layer_name, names)):
        raise RefusalError(f"has no list of 1 to {MOST_LAYERS} layer names in {part.where}")
    features = part.part("input")
    weights |= features.tensors("synthesis.input", "weight", "transform", "freqs", "phases")
    weights |= _linear(features.part("affine"), "synthesis.input.affine")
    return SynthesisSettings(
        w_dim=part.whole("w_dim"),
        input=InputSettings(
            channels=features.whole("channels"),
            size=features.whole("size"),
            rate=features.number("sampling_rate"),
            bandwidth=features.number("bandwidth"),
        ),
        layers=tuple(_read_layer(part.part(name), name, weights) for name in names),
        output_scale=part.number("output_scale"),
    )


def _read_layer(part: _Module, name: str, weights: dict[str, Tensor]) -> LayerSettings:
    prefix = f"synthesis.{name}"
    to_rgb = part.flag("is_torgb")
    filters = () if to_rgb else ("up_filter", "down_filter")
    weights |= part.tensors(prefix, "weight", "bias", "magnitude_ema", *filters)
    weights |= _linear(part.part("affine"), f"{prefix}.affine")
    return LayerSettings(
        name=name,
        in_channels=part.whole("in_channels"),
        out_channels=part.whole("out_channels"),
        in_size=part.whole("in_size"),
        out_size=part.whole("out_size"),
        in_rate=part.number("in_sampling_rate"),
        out_rate=part.number("out_sampling_rate"),
        filter_rate=part.number("tmp_sampling_rate"),
        in_cutoff=part.number("in_cutoff"),
        out_cutoff=part.number("out_cutoff"),
        in_half_width=part.number("in_half_width"),
        out_half_width=part.number("out_half_width"),
        kernel_size=part.whole("conv_kernel"),
        to_rgb=to_rgb,
        radial=part.flag("down_radial"),
        up_factor=part.whole("up_factor"),
        up_taps=part.whole("up_taps"),
        down_factor=part.whole("down_factor"),
        down_taps=part.whole("down_taps"),
        padding=_padding(part),
        clamp=None if part.attribute("conv_clamp") is None else part.number("conv_clamp"),
        half=part.flag("use_fp16"),
    )


def _padding(part: _Module) -> tuple[int, int]:
    """Stored as before and after along x, then along y."""
    padding = part.attribute("padding")
    if type(padding) is not list or len(padding) != 4 or any(type(samples) is not int for samples in padding):
        raise RefusalError(f"has no list of four whole numbers for {part.where}.padding")
    if padding[:2] != padding[2:]:
        raise RefusalError(f"pads {part.where} differently along its two axes: only square images are supported")
    return padding[0], padding[1]


def _linear(part: _Module, prefix: str, *, activation: str = "linear", rate: float = 1.0) -> dict[str, Tensor]:
    """Weights of a fully connected layer, once it is known to compute what ours would."""
    part.require("activation", activation)
    part.require("bias_gain", rate)
    found = part.tensors(prefix, "weight", "bias")
    shape = found[f"{prefix}.weight"].shape
    part.require("weight_gain", rate / math.sqrt(shape[1]) if len(shape) == 2 and shape[1] else 0.0)
    return found
