"""Files that the official classes wrote: read and converted, they give the images that those classes give."""

import numpy as np
import pytest
import torch

from glad_ray.generators.stylegan_xl.mapping import MappingNetwork
from glad_ray.generators.stylegan_xl.synthesis import SynthesisNetwork
from glad_ray.stylegan.files import convert, read_generator, read_settings
from tests.golden_numbers import GOLDEN

CASES = ("super", "stylegan3")


def official(case):
    return GOLDEN / "stylegan_xl" / f"official_{case}.pkl"


def largest_error(found, golden):
    return np.abs(found.numpy() - golden).max() / np.abs(golden).max()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("converted", [False, True], ids=["pickle", "converted"])
def test_images_are_those_of_the_official_classes(case, converted, tmp_path):
    path = convert(official(case), tmp_path / case).weights if converted else official(case)
    generator = read_generator(path)
    state = {name: torch.from_numpy(value) for name, value in generator.state.items()}
    mapping, synthesis = MappingNetwork(generator.mapping, state), SynthesisNetwork(generator.synthesis, state)
    golden = np.load(GOLDEN / "stylegan_xl" / f"official_{case}.npz")
    z, labels = torch.from_numpy(golden["z"]), torch.from_numpy(golden["labels"])
    ws, halved = (mapping.codes(z, labels, generator.synthesis.codes, truncation) for truncation in (1.0, 0.5))
    assert largest_error(ws[:, 0], golden["w"]) < 1e-6
    assert largest_error(halved[:, 0], golden["w_half"]) < 1e-6
    images = synthesis(ws)
    assert largest_error(images, golden["images"]) < 1e-5


def test_a_grown_network_is_read_layer_by_layer_and_not_from_its_constructor():
    settings = read_settings(official("super"))
    assert settings.family == "stylegan_xl"
    assert settings.synthesis.image_shape == (3, 32, 32)
    assert [layer.name for layer in settings.synthesis.layers] == [
        *("L0_36_4", "L1_36_4", "L2_36_4", "L4_36_4", "L5_52_4", "L6_52_2", "L7_32_2", "L8_32_3"),
    ]
    assert [layer.kernel_size for layer in settings.synthesis.layers] == [1, 1, 1, 3, 3, 3, 3, 1]
    assert [layer.radial for layer in settings.synthesis.layers] == [True] * 3 + [False] * 5
    assert (settings.mapping.classes, settings.mapping.embedding_rows, settings.mapping.embedding_dim) == (4, 5, 6)


def test_stylegan3_has_a_linear_layer_for_its_classes():
    settings = read_settings(official("stylegan3"))
    assert settings.family == "stylegan3"
    assert settings.mapping.embedding == "linear"
    assert settings.mapping.class_dim == settings.mapping.w_dim == 8


@pytest.mark.parametrize("case", CASES)
def test_the_settings_count_the_parameters_of_the_file(case):
    generator = read_generator(official(case))
    learned = sum(value.size for name, value in generator.state.items() if name.endswith((".weight", ".bias")))
    assert generator.mapping.parameter_count + generator.synthesis.parameter_count == learned
