"""Image files of every mode as 8-bit pixels, against the values that they hold."""

import errno
import io
import os

import numpy as np
import pytest
from PIL import Image

from glad_ray.data import load_dataset
from glad_ray.data.decode import decode
from glad_ray.data.prepare import CACHE_VARIABLE
from glad_ray.errors import DataError, UnavailableError
from tests.data.files_of_pictures import packed_12_bits, pgm, png_of_16_bits, tiff
from tests.data.trees import encoded, noise

RNG = np.random.default_rng(0)
RAMP = np.linspace(0, 65535, 8 * 12).round().astype(np.uint16).reshape(8, 12)
"""0 to 65535"""
COLOURS = RNG.integers(0, 65536, (8, 12, 4)).astype(np.uint16)
BYTES = RNG.integers(0, 256, (8, 12, 4)).astype(np.uint8)
OF_4095 = RNG.integers(0, 4096, (8, 12)).astype(np.uint16)


def scaled(values, peak=65535):
    return np.floor(values.astype(np.float64) * 255 / peak + 0.5).astype(np.uint8)


def saved(picture, form="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


GREY = {
    "PNG of 16 bits": (png_of_16_bits(RAMP), scaled(RAMP)),
    "PNG of 16 bits and alpha": (png_of_16_bits(COLOURS[..., :2]), scaled(COLOURS[..., 0])),
    "TIFF of 16 bits, little endian": (tiff(RAMP, 1), scaled(RAMP)),
    "TIFF of 16 bits, big endian": (tiff(RAMP, 1, order=">"), scaled(RAMP)),
    "TIFF of 16 bits, compressed": (saved(Image.fromarray(RAMP), "TIFF", compression="tiff_lzw"), scaled(RAMP)),
    "TIFF of 16 bits, 0 is white": (tiff(RAMP, 0), scaled(65535 - RAMP)),
    "TIFF of 12 bits": (tiff(OF_4095, 1, bits=12, body=packed_12_bits(OF_4095)), scaled(OF_4095, 4095)),
    "TIFF of 8 bits": (tiff(BYTES[..., 0], 1), BYTES[..., 0]),
    "TIFF of 8 bits, 0 is white": (tiff(BYTES[..., 0], 0), 255 - BYTES[..., 0]),
    "TIFF with alpha": (tiff(BYTES[..., :2], 1, extra=2), BYTES[..., 0]),
    "TIFF with something else": (tiff(BYTES[..., :2], 1, extra=0), BYTES[..., 0]),
    "PGM of 65535": (pgm(RAMP, 65535), scaled(RAMP)),
    "PGM of 4095": (pgm(OF_4095, 4095), scaled(OF_4095, 4095)),
    "PGM of 1000": (pgm(RAMP // 66, 1000), scaled(RAMP // 66, 1000)),
    "PGM of 1000 as text": (pgm(RAMP // 66, 1000, "P2"), scaled(RAMP // 66, 1000)),
    "PGM of 15": (pgm(BYTES[..., 0] // 16, 15), BYTES[..., 0] // 16 * 17),
    "bits": (saved(Image.fromarray(BYTES[..., 0] > 99)), np.where(BYTES[..., 0] > 99, 255, 0)),
    "palette of greys": (saved(Image.fromarray(BYTES[..., 0]).convert("P")), BYTES[..., 0]),
    "GIF of greys": (saved(Image.fromarray(BYTES[..., 0]), "GIF"), BYTES[..., 0]),
    "alpha": (saved(Image.fromarray(BYTES[..., :2], "LA")), BYTES[..., 0]),
}  # fmt: skip


@pytest.mark.parametrize("name", GREY)
def test_grey_is_scaled_by_the_range_that_the_file_states(name):
    content, values = GREY[name]
    # Of numbers between two bytes either is right.
    assert np.abs(decode(content, name, 1)[0].astype(int) - values.astype(int)).max() <= ("1000" in name)
    assert np.array_equal(decode(content, name, 3), decode(content, name, 1).repeat(3, 0))


COLOUR = {
    "PNG of 16 bits": (png_of_16_bits(COLOURS[..., :3]), scaled(COLOURS[..., :3])),
    "PNG of 16 bits and alpha": (png_of_16_bits(COLOURS), scaled(COLOURS[..., :3])),
    "TIFF of 16 bits, little endian": (tiff(COLOURS[..., :3], 2), scaled(COLOURS[..., :3])),
    "TIFF of 16 bits, big endian": (tiff(COLOURS[..., :3], 2, order=">"), scaled(COLOURS[..., :3])),
    "TIFF of 16 bits and alpha": (tiff(COLOURS, 2, extra=2), scaled(COLOURS[..., :3])),
    "TIFF of 16 bits and something else": (tiff(COLOURS, 2, extra=0), scaled(COLOURS[..., :3])),
    "TIFF with channels apart": (tiff(BYTES[..., :3], 2, planes=2), BYTES[..., :3]),
    "PPM of 65535": (pgm(COLOURS[..., :3], 65535, "P6"), scaled(COLOURS[..., :3])),
    "alpha": (saved(Image.fromarray(BYTES)), BYTES[..., :3]),
    "WEBP": (saved(Image.fromarray(BYTES[..., :3]), "WEBP", lossless=True), BYTES[..., :3]),
}  # fmt: skip


@pytest.mark.parametrize("name", COLOUR)
def test_colour_is_scaled_by_the_range_that_the_file_states(name):
    content, values = COLOUR[name]
    assert np.array_equal(decode(content, name, 3), values.transpose(2, 0, 1))
    with pytest.raises(DataError, match=f"^{name} is a colour image .* make all of its images grey, or all colour"):
        decode(content, name, 1)


@pytest.mark.parametrize("order", "<>")
def test_inks_of_16_bits_are_those_of_8(order):
    inks = BYTES.astype(np.uint16) * 257
    theirs = np.asarray(Image.open(io.BytesIO(tiff(BYTES, 5))).convert("RGB"))
    assert np.array_equal(decode(tiff(inks, 5, order=order), "inks", 3), theirs.transpose(2, 0, 1))


def test_premultiplied_grey_is_divided_by_its_alpha():
    (grey,) = decode(tiff(np.full((2, 2, 2), 100, np.uint8), 1, extra=1), "it", 1)
    assert grey.tolist() == [[255, 255], [255, 255]]


@pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK", "YCbCr", "LAB"])
def test_other_modes_become_the_colours_that_pillow_gives(mode):
    picture = noise((9, 7)).convert(mode) if mode != "LAB" else Image.fromarray(BYTES[..., :3], "LAB")
    content = saved(picture, "PNG" if mode in ("P", "RGBA") else "TIFF")
    theirs = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert np.array_equal(decode(content, mode, 3), theirs.transpose(2, 0, 1))


def test_transparent_colours_of_a_palette_are_kept():
    picture = noise((9, 7)).quantize(16)
    content = saved(picture, transparency=bytes(range(16)))
    assert np.array_equal(decode(content, "it", 3), np.asarray(picture.convert("RGB")).transpose(2, 0, 1))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_the_orientation_that_exif_states_is_ignored_as_torchvision_does(form):
    exif = Image.Exif()
    exif[274] = 6
    picture = noise((16, 8))
    content = saved(picture, form, exif=exif)
    assert decode(content, form, 3).shape == (3, 8, 16)
    assert np.array_equal(decode(content, form, 3), decode(saved(picture, form), form, 3))


def test_tiff_is_turned_as_pillow_turns_it():
    content = tiff(BYTES[..., :3], 2, orientation=6)
    assert np.array_equal(decode(content, "it", 3), np.rot90(BYTES[..., :3], -1).transpose(2, 0, 1))


def _frames(form, **options):
    first, second = noise((9, 7), 1), noise((9, 7), 2)
    return saved(first, form, save_all=True, append_images=[second], **options)


REFUSED = {
    "TIFF of floats in 0..1": (tiff(RNG.random((4, 5)).astype(np.float32), 1, sample_format=3), "floating-point"),
    "TIFF of other floats": (tiff(np.full((4, 5), np.nan, np.float32), 1, sample_format=3), "floating-point"),
    "PFM": (b"Pf\n2 2\n-1.0\n" + np.ones(4, "<f4").tobytes(), "floating-point"),
    "TIFF of 32 bits": (tiff(RAMP.astype(np.uint32), 1), "32 bits"),
    "TIFF of signed 32 bits": (tiff(RAMP.astype(np.int32), 1, sample_format=2), "signed"),
    "TIFF of signed 16 bits": (tiff((RAMP // 2).astype(np.int16), 1, sample_format=2), "signed"),
    "TIFF of signed bytes": (tiff(BYTES[..., 0].astype(np.int8), 1, sample_format=2), "signed"),
    "TIFF of 16 bits with channels apart": (tiff(COLOURS[..., :3], 2, planes=2), "channels apart"),
    "TIFF of 16 bits times alpha": (tiff(COLOURS, 2, extra=1), "multiplied by alpha"),
    "TIFF of 64 bits": (tiff(RNG.random((4, 5)), 1, sample_format=3), "no image that can be read"),
    "TIFF of grey and alpha of 16 bits": (tiff(COLOURS[..., :2], 1, extra=2), "no image that can be read"),
    "12 bits in 16": (png_of_16_bits(OF_4095), "no value above 40[0-9]+ of 65535"),
    "TIFF of two pages": (_frames("TIFF"), "holds 2 pictures"),
    "moving GIF": (_frames("GIF"), "holds 2 pictures"),
    "moving PNG": (_frames("PNG"), "holds 2 pictures"),
    "moving WEBP": (_frames("WEBP"), "holds 2 pictures"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused_with_a_remedy(name):
    content, told = REFUSED[name]
    with pytest.raises(DataError, match=rf"^{name} .*{told}.*: .*(save it|save them|save the one)") as caught:
        decode(content, name, 3)
    assert "remove" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_black_images_of_16_bits_stay_black():
    assert not decode(png_of_16_bits(np.zeros((4, 4), np.uint16)), "it", 1).any()


def test_a_photograph_with_a_preview_is_read():
    first = noise((16, 8))
    content = saved(first, "MPO", save_all=True, append_images=[noise((8, 4))])
    assert decode(content, "it", 3).shape == (3, 8, 16)


def test_a_picture_is_taken_for_damaged_only_if_it_is(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(noise((30, 30)))[:-900])
    with pytest.raises(DataError, match=r"is no whole image \(.*\): fetch it again, or remove it"):
        decode(path, "a.png", 3)
    for where, told in {
        tmp_path / "b.png": "No such file",
        tmp_path: "directory",
        path / "c": "Not a directory",
    }.items():
        with pytest.raises(DataError, match=f"cannot be read .*{told}") as caught:
            decode(where, "it", 3)
        assert "remove" not in str(caught.value)


@pytest.mark.parametrize("number", ["EIO", "ESTALE", "EMFILE", "ETIMEDOUT"])
def test_a_file_that_cannot_be_read_at_present_is_not_damaged(number, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)))

    monkeypatch.setattr("builtins.open", fail)
    with pytest.raises(UnavailableError, match=r"cannot be read at present .* then run the same command again"):
        decode(tmp_path / "a.png", "a.png", 3)


class TestDatasets:
    """Whole folders of such files."""

    @pytest.fixture
    def write(self, tmp_path, monkeypatch):
        """Write the same files into each class of both splits; returns the name of the dataset."""
        monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))

        def write(contents, suffix=".png"):
            for split in ("train", "test"):
                for name in ("ape", "bee"):
                    folder = tmp_path / "own" / split / name
                    folder.mkdir(parents=True)
                    for number, content in enumerate(contents):
                        (folder / f"{number:03d}{suffix}").write_bytes(content)
            return f"folder:{tmp_path / 'own'}"

        return write

    @pytest.mark.parametrize("name", GREY)
    def test_a_dataset_of_grey_images_is_grey(self, name, write):
        content, values = GREY[name]
        dataset = load_dataset(write([content], ".any"), resolution=8)
        assert dataset.train_images.shape == (2, 1, 8, 8)
        assert np.abs(dataset.train_images[0, 0].astype(int) - values[:, 2:-2]).max() <= 1

    def test_a_colour_image_among_grey_ones_makes_all_colour(self, write):
        grey = noise((8, 8), grey=True)
        dataset = load_dataset(write([encoded(grey), encoded(noise((8, 8), 1))]), resolution=8)
        assert dataset.train_images.shape == (4, 3, 8, 8)
        assert np.array_equal(dataset.train_images[0], np.asarray(grey)[None].repeat(3, 0))

    def test_a_colour_image_that_was_not_looked_at_is_refused(self, write, tmp_path):
        grey = encoded(noise((8, 8), grey=True))
        name = write([grey] * 120)
        (tmp_path / "own" / "train" / "bee" / "119.png").write_bytes(encoded(noise((8, 8))))
        with pytest.raises(DataError, match=r"bee/119\.png is a colour image \(mode RGB\)"):
            load_dataset(name, resolution=8)
