"""What a generator file may look like: protocols, families, ways of writing numbers, a discriminator of any kind."""

import enum
import functools
import hashlib
import os
import pickle
import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest
import torch

from glad_ray.errors import DataError
from glad_ray.stylegan.files import file_sha256, read_generator, read_settings
from tests.stylegan.official_pickle import (
    Made,
    Named,
    altered_layer,
    generator,
    linear,
    mapping_network,
    module,
    networks,
    random_state,
    synthesis_layer,
    synthesis_network,
    tiny_network,
    tiny_settings,
    write_pickle,
)

KINDS = {
    "stem": {},
    "radial": {"radial": True},
    "grown": {"grown": True, "radial": True},
    "unconditional": {"classes": 0},
    "stylegan3": {"classes": 0, "embedding": "linear"},
    "conditional stylegan3": {"embedding": "linear"},
}


def assert_holds(path, mapping, synthesis, state):
    found = read_generator(path)
    assert (found.mapping, found.synthesis) == (mapping, synthesis)
    assert found.state.keys() == state.keys()
    for name, value in state.items():
        assert found.state[name].dtype == np.float32
        np.testing.assert_array_equal(found.state[name], value.numpy())


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_settings_and_weights_come_back(kind, protocol, tmp_path):
    path, mapping, synthesis, state = tiny_network(tmp_path / "x.pkl", protocol, **KINDS[kind])
    assert_holds(path, mapping, synthesis, state)
    assert read_settings(path).family == ("stylegan3" if "stylegan3" in kind else "stylegan_xl")


def test_the_older_class_keeps_one_mean_code(tmp_path):
    mapping, synthesis = tiny_settings()
    state = random_state(mapping, synthesis)
    state["mapping.w_avg"] = state["mapping.w_avg"][0].clone()
    path = write_pickle(tmp_path / "x.pkl", {"G": generator(mapping, synthesis, state)})
    assert_holds(path, mapping, synthesis, state)


def test_the_averaged_generator_is_taken_before_the_trained_one(tmp_path):
    mapping, synthesis = tiny_settings()
    states = [random_state(mapping, synthesis, seed) for seed in (0, 1)]
    trained, averaged = (generator(mapping, synthesis, state) for state in states)
    path = write_pickle(tmp_path / "x.pkl", networks(averaged, G=trained))
    assert_holds(path, mapping, synthesis, states[1])
    path = write_pickle(tmp_path / "y.pkl", networks(None, G=trained))
    assert_holds(path, mapping, synthesis, states[0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_precisions_become_float32(dtype, tmp_path):
    mapping, synthesis = tiny_settings()
    state = {name: value.to(dtype) for name, value in random_state(mapping, synthesis).items()}
    path = write_pickle(tmp_path / "x.pkl", networks(generator(mapping, synthesis, state)))
    assert_holds(path, mapping, synthesis, {name: value.float() for name, value in state.items()})


def test_views_of_larger_storages_are_read_in_their_own_order(tmp_path):
    mapping, synthesis = tiny_settings()
    state = random_state(mapping, synthesis)
    name = "mapping.fc1.weight"
    state[name] = torch.randn(7, 9)[1:6, 2:7].T
    assert not state[name].is_contiguous()
    path = write_pickle(tmp_path / "x.pkl", networks(generator(mapping, synthesis, state)))
    assert_holds(path, mapping, synthesis, state)


WAYS_TO_WRITE_A_SIZE = {
    "number": lambda size: size,
    "float": float,
    "numpy scalar": np.int64,
    "numpy array": lambda size: np.array([size, size]),
    "numpy scalar array": np.asarray,
    "tensor": lambda size: torch.tensor(float(size)),
    "dill": lambda size: Made(
        Named("dill._dill", "_create_array"),
        (
            Named("numpy.core.multiarray", "_reconstruct"),
            (np.ndarray, (0,), b"b"),
            (1, (2,), np.dtype("i8"), False, np.array([size, size]).tobytes()),
            None,
        ),
    ),
}


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("way", WAYS_TO_WRITE_A_SIZE)
def test_attributes_may_be_any_kind_of_number(way, protocol, tmp_path):
    mapping, synthesis = tiny_settings()
    state = random_state(mapping, synthesis)
    first = synthesis.layers[0]
    size = WAYS_TO_WRITE_A_SIZE[way](first.in_size)
    root = networks(generator(mapping, synthesis, state))
    layers(root)[first.name] = synthesis_layer(first, state, synthesis.w_dim, in_size=size)
    assert read_settings(write_pickle(tmp_path / "x.pkl", root, protocol)).synthesis == synthesis


def test_half_precision_and_no_clamp_are_read_from_the_layers(tmp_path):
    mapping, synthesis = tiny_settings()
    synthesis = altered_layer(synthesis, 1, half=False, clamp=None)
    state = random_state(mapping, synthesis)
    path = write_pickle(tmp_path / "x.pkl", networks(generator(mapping, synthesis, state)))
    assert read_settings(path).synthesis == synthesis


def layers(root):
    """The modules of the synthesis network, to be changed in place."""
    return part(root, "synthesis")


def part(root, *names):
    """The modules of a part of the generator, to be changed in place."""
    modules = root["G_ema"].arguments[0]["state"]["_modules"]
    for name in names:
        modules = modules[name].arguments[0]["state"]["_modules"]
    return modules


class Pooling(enum.Enum):
    TOKEN = "token"


def test_a_discriminator_of_foreign_objects_is_passed_over(tmp_path):
    block = functools.partial(torch.nn.LayerNorm, eps=1e-6)(4)
    code = Made(
        Named("dill._dill", "_create_code"), (1, 0, 0, 1, b"d\x00S\x00", (None,), ("os",), "hook", frozenset("ab"))
    )
    cell = Made(Named("dill._dill", "_create_cell"), ([1],))
    hook = Made(
        Named("dill._dill", "_create_function"), (code, {"os": None}, "hook", (), (cell,)), {"__module__": "vit"}
    )
    backbone = Made(
        Named("timm.models.vision_transformer", "VisionTransformer"),
        (),
        {
            "blocks": [block, functools.partial(torch.nn.LayerNorm, eps=1e-6)],
            "_forward_hooks": OrderedDict({0: hook}),
            "forward_flex": Made(Made(Named("dill._dill", "_load_type"), ("MethodType",)), (hook, None)),
            "pool": Made(Named(__name__, "Pooling"), ("token",)),
            "sets": [{1, (2, 3)}, frozenset("ab"), set()],
            "keys": {(1, (2,)): 3, None: 4, 1.5: 5, b"x": 6, hook: 7},
            "sizes": [torch.Size([1]), torch.float32, torch.device("cpu"), np.float32(1), slice(1, 2), 2**70],
            # In the transformer that StyleGAN-XL's own discriminator reads features with.
            "skip_add": torch.ao.nn.quantized.FloatFunctional(),
            "tensors": [torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.complex64)],
            "listlike": Made(Named("collections", "deque"), ()),
        },
        operation=pickle.NEWOBJ,
    )
    discriminator = Made(Named("pg_modules.discriminator", "ProjectedDiscriminator"), (), {"net": backbone})
    mapping, synthesis = tiny_settings()
    state = random_state(mapping, synthesis)
    for protocol in (2, 4):
        root = networks(generator(mapping, synthesis, state), D=discriminator, progress={"cur_nimg": torch.tensor([3])})
        assert_holds(write_pickle(tmp_path / f"{protocol}.pkl", root, protocol), mapping, synthesis, state)


def test_a_discriminator_costs_no_memory(tmp_path):
    mapping, synthesis = tiny_settings()
    weights = torch.zeros(1 << 22)
    root = networks(generator(mapping, synthesis, random_state(mapping, synthesis)), D={"weights": weights})
    path = write_pickle(tmp_path / "x.pkl", root)
    read_settings(path)
    os.utime(path, ns=(0, 0))
    tracemalloc.start()
    read_settings(path)
    assert tracemalloc.get_traced_memory()[1] < weights.nbytes / 2
    tracemalloc.stop()


def refused(tmp_path, root, match):
    path = write_pickle(tmp_path / "x.pkl", root)
    with pytest.raises(DataError, match=match) as caught:
        read_settings(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("root", "match"),
    [
        ({"D": None, "ema": 1}, "no generator G_ema or G: it has D, ema"),
        ({"\n" * 1000: 1}, "no generator"),
        ({}, "nothing with a name"),
        ([1], "type list, where a dictionary"),
        (Made(Named("torch.nn", "Linear")), "an object of torch.nn.Linear"),
        ((1, 2, 3), "TensorFlow"),
        (networks(module("Discriminator")), "of the class Discriminator"),
        (networks(Made(Named("timm", "Model"))), "timm.Model for G_ema"),
        (networks(module("Generator")), "lacks the module mapping of G_ema"),
        (
            networks(
                module("Generator", modules={"mapping": module("M"), "synthesis": module("S", block_resolutions=[4])})
            ),
            "StyleGAN2, say",
        ),
    ],
)
def test_other_contents_are_refused_by_what_they_are(root, match, tmp_path):
    refused(tmp_path, root, match)


LAYER_CHANGES = {
    "channels": ({"in_channels": 7}, "another shape|does not take"),
    "size": ({"out_size": np.array([36, 37])}, "different numbers along the two axes"),
    "larger size": ({"out_size": 40}, "padding of layer"),
    "huge size": ({"in_size": 10**9, "out_size": 10**9}, "not from 1 to 4,096"),
    "fraction": ({"in_channels": 1.5}, "a fraction"),
    "not a number": ({"in_cutoff": float("nan")}, "out of range"),
    "huge number": ({"in_cutoff": 2**1024 - 1}, "out of range"),
    "text": ({"up_factor": "2"}, "type str for"),
    "list": ({"up_factor": [2]}, "type list for"),
    "missing": ({"conv_clamp": Named("x", "y")}, "the name x.y"),
    "factor": ({"up_factor": 4}, "rates and factors"),
    "taps": ({"up_taps": 14}, "."),
    "many taps": ({"up_taps": 4096}, "filter length"),
    "padding": ({"padding": [8, 9, 8, 9]}, "padding"),
    "padding along one axis": ({"padding": [9, 8, 8, 8]}, "differently along its two axes"),
    "colours in the middle": ({"is_torgb": True}, "."),
    "flag": ({"use_fp16": 2}, "true or false"),
    "negative clamp": ({"conv_clamp": -1.0}, "clamp"),
    "kernel": ({"conv_kernel": 5}, "."),
    "radial": ({"down_radial": True}, "another shape"),
    "zero rate": ({"in_sampling_rate": 0, "out_sampling_rate": 0}, "."),
}


@pytest.mark.parametrize("change", LAYER_CHANGES)
def test_a_layer_that_contradicts_itself_is_refused(change, tmp_path):
    attributes, match = LAYER_CHANGES[change]
    mapping, synthesis = tiny_settings()
    state = random_state(mapping, synthesis)
    root = networks(generator(mapping, synthesis, state))
    layer = synthesis.layers[1]
    layers(root)[layer.name] = synthesis_layer(layer, state, synthesis.w_dim, **attributes)
    refused(tmp_path, root, match)


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (["input"], "is_torgb of G_ema.synthesis.input"),
        (["L0\n" * 100], "layer names"),
        (["../x"], "layer names"),
        ([1], "layer names"),
        ([], "layer names"),
        (["L0"] * 101, "layer names"),
        ("L0", "layer names"),
        (["L7_7_7"], "lacks the module L7_7_7"),
    ],
)
def test_layer_names_that_are_none_are_refused(names, match, tmp_path):
    mapping, synthesis = tiny_settings()
    root = networks(generator(mapping, synthesis, random_state(mapping, synthesis)))
    network = root["G_ema"].arguments[0]["state"]["_modules"]["synthesis"].arguments[0]["state"]
    network["layer_names"] = names
    refused(tmp_path, root, match)


def test_a_layer_listed_twice_is_refused(tmp_path):
    mapping, synthesis = tiny_settings()
    state = random_state(mapping, synthesis)
    root = networks(generator(mapping, synthesis, state))
    network = root["G_ema"].arguments[0]["state"]["_modules"]["synthesis"].arguments[0]["state"]
    network["layer_names"].insert(0, synthesis.layers[0].name)
    refused(tmp_path, root, "two parts of the same name")


def test_layers_that_compute_something_else_are_refused(tmp_path):
    mapping, synthesis = tiny_settings()
    state = random_state(mapping, synthesis)
    for name, activation, rate, match in [
        ("fc0", "relu", 0.01, "fc0 whose activation"),
        ("fc1", "lrelu", 0.02, "fc1 whose bias_gain"),
        ("embed_proj", "lrelu", 0.5, "embed_proj whose bias_gain"),
    ]:
        root = networks(generator(mapping, synthesis, state))
        part(root, "mapping")[name] = linear(state, f"mapping.{name}", activation, rate)
        refused(tmp_path, root, match)


def test_weights_of_another_shape_are_refused(tmp_path):
    mapping, synthesis = tiny_settings()
    layer = synthesis.layers[0].name
    for name, match in [
        ("mapping.w_avg", "mapping.w_avg"),
        ("mapping.fc1.bias", "mapping.fc1.bias"),
        (f"synthesis.{layer}.weight", f"synthesis.{layer}.weight"),
        (f"synthesis.{layer}.up_filter", "up_filter"),
        ("synthesis.input.freqs", "freqs"),
    ]:
        state = random_state(mapping, synthesis)
        state[name] = torch.zeros(2, 2)
        refused(tmp_path, networks(generator(mapping, synthesis, state)), match)


@pytest.mark.parametrize("value", [None, 1.0, torch.zeros(5, dtype=torch.int64), Named("x", "y"), np.zeros(5)])
def test_weights_that_are_no_tensor_of_floats_are_refused(value, tmp_path):
    mapping, synthesis = tiny_settings()
    state = {**random_state(mapping, synthesis), "mapping.fc0.bias": value}
    refused(tmp_path, networks(generator(mapping, synthesis, state)), "fc0")


def test_a_mapping_network_for_other_layers_is_refused(tmp_path):
    mapping, synthesis = tiny_settings()
    other_mapping, other_synthesis = tiny_settings(w_dim=6)
    parts = {
        "mapping": mapping_network(mapping, random_state(mapping, synthesis), synthesis),
        "synthesis": synthesis_network(other_synthesis, random_state(other_mapping, other_synthesis)),
    }
    refused(tmp_path, networks(module("Generator", modules=parts)), "another length")


def test_the_identity_is_the_hash_of_the_file_and_follows_its_changes(tmp_path):
    path, *_ = tiny_network(tmp_path / "x.pkl")
    assert file_sha256(path) == read_settings(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    tiny_network(path, w_dim=6)
    assert file_sha256(path) == read_settings(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_settings(path).mapping.w_dim == 6


def test_a_file_that_is_not_there_is_an_error_of_one_sentence(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, match in [("x.pkl", "cannot be read: No such file"), ("", "is no file"), ("pipe", "is no file")]:
        with pytest.raises(DataError, match=match):
            read_generator(tmp_path / name)
