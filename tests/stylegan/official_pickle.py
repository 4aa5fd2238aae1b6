"""Writes generator files as the released code does, from settings and weights; any part can be put in by hand.

A name is written as text, without anything of that name being there.
"""

import io
import pickle
from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
import torch

from glad_ray.stylegan.checks import weight_shapes
from glad_ray.stylegan.schedule import stem, super_resolution
from glad_ray.stylegan.settings import MappingSettings

SOURCE = "raise SystemExit('no line of this is run')\n"


@dataclass(frozen=True, eq=False)
class Named:
    """A class or function, by name."""

    module: str
    name: str


@dataclass(frozen=True, eq=False)
class Made:
    """An object: what makes it, from what, with which state, and by which operation."""

    maker: object
    arguments: object = ()
    state: object = None
    operation: bytes = pickle.REDUCE


@dataclass(frozen=True, eq=False)
class Raw:
    """Bytes of a pickle that leave one object on the stack."""

    operations: bytes


class _Pickler(pickle._Pickler):
    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012

    def save_named(self, value):
        if self.proto >= 4:
            self.save(value.module)
            self.save(value.name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
        self.memoize(value)

    def save_made(self, value):
        self.save(value.maker)
        self.save(value.arguments)
        self.write(value.operation)
        self.memoize(value)
        if value.state is not None:
            self.save(value.state)
            self.write(pickle.BUILD)

    def save_raw(self, value):
        self.write(value.operations)

    dispatch[Named] = save_named
    dispatch[Made] = save_made
    dispatch[Raw] = save_raw


def pickled(root, protocol=4):
    with io.BytesIO() as file:
        _Pickler(file, protocol).dump(root)
        return file.getvalue()


def write_pickle(path, root, protocol=4):
    path.write_bytes(pickled(root, protocol))
    return path


def tiny_settings(*, classes=3, embedding="table", radial=False, grown=False, w_dim=5):
    mapping = MappingSettings(
        z_dim=4,
        w_dim=w_dim,
        classes=classes,
        embedding_rows=0 if not classes else classes if embedding == "linear" else classes + 1,
        embedding_dim=0 if not classes else w_dim if embedding == "linear" else 6,
        embedding=embedding,
    )
    channels = {"channel_base": 24, "channel_max": 3}
    synthesis = stem(
        resolution=16, num_layers=4, kernel_size=1 if radial else 3, image_channels=3, w_dim=w_dim, **channels
    )
    if grown:
        synthesis = super_resolution(synthesis, resolution=32, head_layers=3, **channels)
    return mapping, synthesis


def random_state(mapping, synthesis, seed=0):
    rng = np.random.default_rng(seed)
    state = {}
    for name, shape in weight_shapes(mapping, synthesis).items():
        values = torch.from_numpy(np.asarray(rng.standard_normal(shape), np.float32))
        state[name] = values.abs() if name.endswith("magnitude_ema") else values
    return state


def networks(generator, **others):
    """The whole file: the training copy and the discriminator come before the generator."""
    root = {"G": None, "D": None, "G_ema": generator, "augment_pipe": None, "training_set_kwargs": {"path": "data.zip"}}
    return root | others


def generator(mapping, synthesis, state, class_name="Generator", **attributes):
    parts = {"synthesis": synthesis_network(synthesis, state), "mapping": mapping_network(mapping, state, synthesis)}
    return module(
        class_name,
        modules=parts,
        z_dim=mapping.z_dim,
        c_dim=mapping.classes,
        w_dim=mapping.w_dim,
        num_ws=synthesis.codes,
        **attributes,
    )


def mapping_network(settings, state, synthesis):
    modules, attributes = {}, {}
    if settings.embedding == "table":
        table = state.get("mapping.embed.weight", torch.zeros(settings.embedding_rows, 6))
        embedding = Named("torch.nn.modules.sparse", "Embedding")
        contents = {**module_state({"weight": table}), "max_norm": None, "num_embeddings": len(table)}
        modules["embed"] = Made(embedding, (), contents, operation=pickle.NEWOBJ)
    if settings.classes and settings.embedding == "table":
        modules["embed_proj"] = linear(state, "mapping.embed_proj", "lrelu")
    elif settings.classes:
        modules["embed"] = linear(state, "mapping.embed")
    else:
        attributes["embed_proj"] = None
    for i in range(settings.hidden_layers):
        modules[f"fc{i}"] = linear(state, f"mapping.fc{i}", "lrelu", settings.learning_rate_factor)
    return module(
        "MappingNetwork",
        buffers={"w_avg": state["mapping.w_avg"]},
        modules=modules,
        z_dim=settings.z_dim,
        c_dim=settings.classes,
        w_dim=settings.w_dim,
        num_ws=synthesis.codes,
        num_layers=settings.hidden_layers,
        w_avg_beta=0.998,
        **attributes,
    )


def synthesis_network(settings, state):
    part = settings.input
    features = module(
        "SynthesisInput",
        parameters={"weight": state["synthesis.input.weight"]},
        buffers={name: state[f"synthesis.input.{name}"] for name in ("transform", "freqs", "phases")},
        modules={"affine": linear(state, "synthesis.input.affine")},
        w_dim=settings.w_dim,
        channels=part.channels,
        size=np.broadcast_to(np.asarray(part.size), [2]),
        sampling_rate=np.float64(part.rate),
        bandwidth=np.float64(part.bandwidth),
    )
    layers = {layer.name: synthesis_layer(layer, state, settings.w_dim) for layer in settings.layers}
    return module(
        "SynthesisNetwork",
        modules={"input": features, **layers},
        w_dim=settings.w_dim,
        num_ws=settings.codes,
        output_scale=settings.output_scale,
        layer_names=[layer.name for layer in settings.layers],
    )


def synthesis_layer(layer, state, w_dim, **attributes):
    prefix = f"synthesis.{layer.name}"
    buffers = {name: state.get(f"{prefix}.{name}") for name in ("magnitude_ema", "up_filter", "down_filter")}
    facts = {
        "w_dim": w_dim,
        "is_torgb": layer.to_rgb,
        "use_fp16": np.bool_(layer.half),
        "in_channels": layer.in_channels,
        "out_channels": layer.out_channels,
        "in_size": np.broadcast_to(np.asarray(layer.in_size), [2]),
        "out_size": np.broadcast_to(np.asarray(layer.out_size), [2]),
        "in_sampling_rate": int(layer.in_rate),
        "out_sampling_rate": int(layer.out_rate),
        "tmp_sampling_rate": int(layer.filter_rate),
        "in_cutoff": np.float64(layer.in_cutoff),
        "out_cutoff": np.float64(layer.out_cutoff),
        "in_half_width": np.float64(layer.in_half_width),
        "out_half_width": np.float64(layer.out_half_width),
        "conv_kernel": layer.kernel_size,
        "conv_clamp": layer.clamp,
        "up_factor": layer.up_factor,
        "up_taps": layer.up_taps,
        "down_factor": layer.down_factor,
        "down_taps": layer.down_taps,
        "down_radial": layer.radial,
        "padding": [*layer.padding, *layer.padding],
    }
    return module(
        "SynthesisLayer",
        parameters={name: state[f"{prefix}.{name}"] for name in ("weight", "bias")},
        buffers=buffers,
        modules={"affine": linear(state, f"{prefix}.affine")},
        **facts | attributes,
    )


def linear(state, prefix, activation="linear", rate=1):
    weight = state[f"{prefix}.weight"]
    return module(
        "FullyConnectedLayer",
        parameters={"weight": weight, "bias": state[f"{prefix}.bias"]},
        activation=activation,
        weight_gain=rate / np.sqrt(weight.shape[1]),
        bias_gain=rate,
    )


def module(class_name, parameters=(), buffers=(), modules=(), **attributes):
    """A network module of the released code: its source and its state, behind one name."""
    meta = {
        "type": "class",
        "version": 6,
        "module_src": SOURCE,
        "class_name": class_name,
        "state": module_state(parameters, buffers, modules) | attributes,
    }
    return Made(Named("torch_utils.persistence", "_reconstruct_persistent_obj"), (meta,))


def module_state(parameters=(), buffers=(), modules=()):
    return {
        "_init_args": (),
        "_init_kwargs": Made(Named("dnnlib.util", "EasyDict"), (), operation=pickle.NEWOBJ),
        "training": False,
        "_parameters": OrderedDict((name, parameter(value)) for name, value in dict(parameters).items()),
        "_buffers": OrderedDict(buffers),
        "_modules": OrderedDict(modules),
        "_non_persistent_buffers_set": set(),
        "_forward_hooks": OrderedDict(),
    }


def parameter(value):
    return torch.nn.Parameter(value, requires_grad=False) if type(value) is torch.Tensor else value


def tiny_network(path, protocol=4, **options):
    """A sound file, and what it holds."""
    mapping, synthesis = tiny_settings(**options)
    state = random_state(mapping, synthesis)
    root = networks(generator(mapping, synthesis, state))
    return write_pickle(path, root, protocol), mapping, synthesis, state


def altered_layer(synthesis, index, **changes):
    """The same settings with one layer changed."""
    layers = list(synthesis.layers)
    layers[index] = replace(layers[index], **changes)
    return replace(synthesis, layers=tuple(layers))
