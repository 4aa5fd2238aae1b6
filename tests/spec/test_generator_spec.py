"""The layer schedule is that of the official networks: names, sizes, channels, parameters, work."""

import pytest

from glad_ray.errors import UserError
from glad_ray.spec import RandomStyleGAN
from glad_ray.stylegan.expected import expected_network
from glad_ray.stylegan.schedule import stem, super_resolution
from tests.golden_numbers import golden

STEM_32 = (
    "L0_36_1024 L1_36_1024 L2_36_1024 L3_36_1024 L4_52_1024 L5_52_1024 L6_52_1024 L7_52_1024 L8_52_1024 L9_32_1024 "
    "L10_32_3"
)
RANDOM_32 = STEM_32.replace("1024", "512")
RANDOM_256 = (
    "L0_36_512 L1_36_512 L2_36_512 L3_52_512 L4_52_512 L5_52_512 L6_84_512 L7_84_512 L8_84_512 L9_148_512 L10_148_512 "
    "L11_148_388 L12_276_294 L13_276_223 L14_276_169 L15_276_128 L16_256_128 L17_256_3"
)
IMAGENET_512 = (
    "L0_36_1024 L1_36_1024 L2_36_1024 L3_36_1024 L4_36_1024 L5_36_1024 L6_36_1024 L7_36_1024 L9_36_1024 L10_52_1024 "
    "L11_52_1024 L12_52_1024 L13_52_1024 L14_52_1024 L15_84_1024 L16_84_1024 L17_84_1024 L18_84_1024 L19_84_1024 "
    "L20_148_1024 L21_148_861 L22_148_724 L23_148_609 L24_148_609 L25_276_512 L26_276_431 L27_276_362 L28_276_304 "
    "L29_276_304 L30_532_256 L31_532_215 L32_532_181 L33_532_152 L34_532_128 L35_512_128 L36_512_3"
)
# Class table of 1000 rows, projection of the class, two hidden layers.
MAPPING_PARAMETERS = 669_248


def imagenet(resolution):
    """The published networks, as far as is known of them: a 16-pixel config-R stem, doubled with 3x3 heads."""
    return expected_network("imagenet", resolution)[1]


def names(settings):
    return " ".join(layer.name for layer in settings.layers)


def test_stem_of_config_t():
    record = RandomStyleGAN(classes=1000)
    assert names(record.synthesis_settings) == STEM_32
    assert record.mapping_settings.parameter_count == MAPPING_PARAMETERS
    assert record.parameter_count == 101_883_463
    assert record.synthesis_settings.codes == 12


@pytest.mark.parametrize(
    ("resolution", "num_layers", "layers", "parameters"),
    [(32, 10, RANDOM_32, 26_753_031), (256, 17, RANDOM_256, 34_143_900)],
)
def test_glad_random_generators(resolution, num_layers, layers, parameters):
    record = RandomStyleGAN(resolution=resolution, num_layers=num_layers, channel_base=32768, channel_max=512)
    assert names(record.synthesis_settings) == layers
    assert record.synthesis_settings.parameter_count == parameters


@pytest.mark.parametrize(
    ("resolution", "layers", "parameters"),
    [
        (16, 11, 17_997_383),
        (32, 16, 84_592_199),
        (64, 21, 134_409_799),
        (128, 26, 158_741_379),
        (256, 31, 166_267_046),
        (512, 36, 168_362_273),
    ],
)
def test_imagenet_networks(resolution, layers, parameters):
    settings = imagenet(resolution)
    assert len(settings.layers) == layers
    assert settings.codes == layers + 1
    assert settings.parameter_count + MAPPING_PARAMETERS == parameters
    assert settings.image_shape == (3, resolution, resolution)


def test_other_released_networks():
    # Names found in other people's code.
    grown = "L9_52_1024 L10_84_1024 L11_84_1024 L12_148_919 L13_148_919 L14_276_485 L15_276_256 L16_256_256 L17_256_3"
    ffhq = names(expected_network("ffhq", 256)[1])
    assert ffhq.endswith(" " + grown)
    assert len(ffhq.split()) == 17
    assert len(expected_network("imagenet", 1024)[1].layers) == 39
    mapping, cifar = expected_network("cifar10", 32)
    assert (mapping.classes, len(cifar.layers)) == (10, 16)
    assert expected_network("birds", 128) is None
    assert expected_network("ffhq", 16) is None
    assert expected_network("imagenet", 100) is None


def test_imagenet_layers():
    settings = imagenet(512)
    assert names(settings) == IMAGENET_512
    assert settings.latent_shapes("f12") == {"f": (1024, 52, 52), "w": (24, 512)}
    assert settings.latent_shapes("f16")["f"] == (1024, 84, 84)
    assert settings.latent_shapes("f20")["f"] == (1024, 148, 148)
    at_128 = imagenet(128)
    assert [at_128.latent_shapes(f"f{n}")["w"][0] for n in (12, 16, 20)] == [14, 10, 6]
    by_kind = {(layer.up_factor, layer.kernel_size, layer.padding) for layer in at_128.layers if not layer.to_rgb}
    assert by_kind == {(2, 1, (11, 10)), (2, 3, (9, 8)), (4, 3, (-6, -9)), (2, 3, (-11, -12))}
    assert [layer.radial for layer in at_128.layers] == [True] * 8 + [False] * 18
    assert [layer.radial for layer in imagenet(16).layers] == [True] * 8 + [False] * 3


@pytest.mark.parametrize("case", ["stem32", "super64", "super128", "older"])
def test_schedule_of_the_golden_networks(case):
    facts = golden(f"stylegan_xl/{case}")[1]
    first, *stages = facts["stages"]
    base, most = (first.get("cbase") or first["channel_base"]), (first.get("cmax") or first["channel_max"])
    settings = stem(
        resolution=first.get("res") or first["img_resolution"],
        num_layers=first["num_layers"],
        channel_base=base,
        channel_max=most,
        kernel_size=first.get("conv_kernel", 3),
        image_channels=3,
        w_dim=first["w_dim"],
    )
    for stage in stages:
        settings = super_resolution(
            settings,
            resolution=stage["img_resolution"],
            head_layers=stage["head_layers"],
            channel_base=base,
            channel_max=most,
            kernel_size=stage["conv_kernel"],
            radial=stage["radial"],
        )
    assert settings.codes == facts["num_ws"]
    assert settings.input.size == facts["input"]["size"]
    assert settings.input.rate == facts["input"]["sampling_rate"]
    assert settings.input.bandwidth == facts["input"]["bandwidth"]
    for layer, official in zip(settings.layers, facts["layers"], strict=True):
        assert layer.name == official["name"]
        assert (layer.in_channels, layer.out_channels) == (official["in_channels"], official["out_channels"])
        assert (layer.in_size, layer.out_size) == (official["in_size"], official["out_size"])
        assert (layer.in_rate, layer.out_rate) == (official["in_sampling_rate"], official["out_sampling_rate"])
        assert layer.in_cutoff == pytest.approx(official["in_cutoff"], rel=1e-12)
        assert layer.out_cutoff == pytest.approx(official["out_cutoff"], rel=1e-12)
        assert layer.in_half_width == pytest.approx(official["in_half_width"], rel=1e-12)
        assert layer.out_half_width == pytest.approx(official["out_half_width"], rel=1e-12)
        assert (layer.up_factor, layer.up_taps) == (official["up_factor"], official["up_taps"])
        assert (layer.down_factor, layer.down_taps) == (official["down_factor"], official["down_taps"])
        assert [*layer.padding, *layer.padding] == official["padding"]
        assert (layer.kernel_size, layer.radial) == (official["conv_kernel"], official["down_radial"])
        assert layer.to_rgb == official["is_torgb"]


@pytest.mark.parametrize(
    ("resolution", "n", "billions"),
    [(32, 2, 173), (128, 0, 1035), (128, 12, 942), (128, 16, 789), (128, 20, 510), (256, 12, 1402)],
)
def test_work_of_the_convolutions(resolution, n, billions):
    """Without cropping, as counted for the official networks; with it, less."""
    settings = imagenet(resolution)
    layers = settings.layers[n:]
    whole = sum(
        layer.conv_multiply_adds * ((layer.in_size + layer.kernel_size - 1) / layer.conv_size) ** 2 for layer in layers
    )
    assert round(whole / 1e9) == billions
    done = sum(layer.conv_multiply_adds for layer in layers)
    assert 0.9 * whole < done < whole
    assert done < settings.multiply_adds(f"f{n}") < 1.1 * done


def test_spaces_and_shapes():
    record = RandomStyleGAN(num_layers=4, channel_base=64, channel_max=6, w_dim=8)
    assert record.spaces == ("w+", "f0", "f1", "f2", "f3", "f4") == record.synthesis_settings.spaces
    assert record.latent_shapes("w+") == {"w": (6, 8)}
    assert record.latent_shapes("f4") == {"f": (2, 32, 32), "w": (1, 8)}
    work = [record.synthesis_settings.multiply_adds(space) for space in record.spaces]
    assert work == sorted(work, reverse=True)
    assert work[-1] == 2 * 3 * 32 * 32


def test_unknown_layer_lists_the_layers():
    with pytest.raises(UserError, match=r"no latent space 'f11': it has w\+, f0, f1, .*f10"):
        RandomStyleGAN().latent_shapes("f11")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"resolution": 48}, "power of two"),
        ({"resolution": 64, "channel_base": 32}, "use 64 or more"),
        ({"num_layers": 3}, "num_layers"),
    ],
)
def test_impossible_generators(fields, message):
    with pytest.raises(UserError, match=message):
        RandomStyleGAN(**fields)


@pytest.mark.parametrize("resolution", [16, 32, 128, 1024])
@pytest.mark.parametrize("num_layers", [4, 9, 30])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_every_schedule_fits_together(resolution, num_layers, kernel_size):
    settings = RandomStyleGAN(resolution=resolution, num_layers=num_layers, kernel_size=kernel_size).synthesis_settings
    assert settings.input.size == settings.layers[0].in_size
    for before, after in zip(settings.layers, settings.layers[1:], strict=False):
        assert (before.out_channels, before.out_size) == (after.in_channels, after.in_size)
    for layer in settings.layers[:-1]:
        low, high = layer.padding
        # Filters are centred, and cropping the convolution first leaves the same samples as cropping them later.
        assert low - high == layer.up_factor - 1
        crop = layer.conv_crop * layer.up_factor
        assert -layer.up_factor < min(low + crop, high + crop, 0)
        assert (layer.conv_size * layer.up_factor + low + high + 2 * crop) - layer.up_taps + 1 == layer.filter_size
        assert min(layer.in_half_width, layer.out_half_width) > 0
