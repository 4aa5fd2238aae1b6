"""A converted pair is the generator it was made from; one that lies about anything is refused."""

import hashlib
import json
import struct

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from glad_ray.errors import DataError, UserError
from glad_ray.stylegan.files import LICENCE_NOTE, convert, file_sha256, read_generator, read_settings
from tests.stylegan.official_pickle import tiny_network


@pytest.fixture
def pair(tmp_path):
    return convert(tiny_network(tmp_path / "x.pkl")[0], tmp_path / "pair")


def refused(path, match):
    with pytest.raises(DataError, match=match) as caught:
        read_generator(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def describe(pair, **changes):
    """Change the description, at paths of keys joined by a double underscore."""
    description = json.loads(pair.description.read_text())
    for path, value in changes.items():
        *parents, last = [int(key) if key.isdigit() else key for key in path.split("__")]
        part = description
        for key in parents:
            part = part[key]
        part[last] = value
    pair.description.write_text(json.dumps(description))


def rewrite(pair, content):
    """Other weights, whose hash the description knows."""
    pair.weights.write_bytes(content)
    describe(pair, weights_sha256=hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("options", [{}, {"grown": True, "radial": True}, {"classes": 0}, {"embedding": "linear"}])
def test_a_pair_holds_what_the_original_held(options, tmp_path):
    original = tiny_network(tmp_path / "x.pkl", **options)[0]
    written = convert(original, tmp_path / "pair")
    expected = read_generator(original)
    for path in (written.description, written.weights):
        found = read_generator(path)
        assert (found.mapping, found.synthesis, found.family) == (expected.mapping, expected.synthesis, expected.family)
        assert found.state.keys() == expected.state.keys()
        for name, value in expected.state.items():
            assert found.state[name].dtype == np.float32
            np.testing.assert_array_equal(found.state[name], value)


def test_a_pair_is_known_by_its_description_which_pins_the_weights(pair):
    sha256 = hashlib.sha256(pair.description.read_bytes()).hexdigest()
    assert pair.sha256 == file_sha256(pair.description) == file_sha256(pair.weights) == sha256
    assert read_settings(pair.weights).sha256 == sha256
    description = json.loads(pair.description.read_text())
    assert description["weights_sha256"] == hashlib.sha256(pair.weights.read_bytes()).hexdigest()


def test_the_description_says_where_it_comes_from_and_on_which_terms(pair):
    description = json.loads(pair.description.read_text())
    original = pair.description.with_name("x.pkl")
    assert description["converted_from"] == {"name": "x.pkl", "sha256": file_sha256(original)}
    assert description["licence"] == LICENCE_NOTE


def test_the_name_to_convert_to_may_be_that_of_either_file(tmp_path):
    original = tiny_network(tmp_path / "x.pkl")[0]
    for name in ("a", "b.json", "c.safetensors", "d.v2", "e.v2.json"):
        written = convert(original, tmp_path / name)
        stem = name.removesuffix(".json").removesuffix(".safetensors")
        assert (written.description.name, written.weights.name) == (f"{stem}.json", f"{stem}.safetensors")


def test_converting_again_changes_nothing_and_replaces_nothing_else(tmp_path):
    original = tiny_network(tmp_path / "x.pkl")[0]
    first = convert(original, tmp_path / "pair")
    assert convert(original, tmp_path / "pair") == first
    other = tiny_network(tmp_path / "y.pkl", w_dim=6)[0]
    contents = first.description.read_bytes(), first.weights.read_bytes()
    with pytest.raises(UserError, match=r"another .*pair\.json already"):
        convert(other, tmp_path / "pair")
    assert (first.description.read_bytes(), first.weights.read_bytes()) == contents
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pair.json", "pair.safetensors", "x.pkl", "y.pkl"]


def test_weights_of_others_are_not_written_over(tmp_path):
    original = tiny_network(tmp_path / "x.pkl")[0]
    mine = tmp_path / "x.safetensors"
    mine.write_bytes(b"mine")
    with pytest.raises(UserError, match=r"another .*x\.safetensors already"):
        convert(original, tmp_path / "x")
    assert mine.read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.pkl", "x.safetensors"]
    # What a conversion left that was ended between its two files is gone on with.
    first = convert(original, tmp_path / "pair")
    content = first.description.read_bytes()
    first.description.unlink()
    assert convert(original, tmp_path / "pair").description.read_bytes() == content


def test_a_pair_that_cannot_be_written_leaves_nothing(tmp_path):
    original = tiny_network(tmp_path / "x.pkl")[0]
    with pytest.raises(UserError, match="cannot be written"):
        convert(original, tmp_path / "nowhere" / "pair")
    (tmp_path / "pair.json").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        convert(original, tmp_path / "pair")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pair.json", "x.pkl"]


def test_a_pair_is_not_converted_again(pair):
    with pytest.raises(UserError, match="converted already"):
        convert(pair.description, pair.description.with_name("other"))


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_half_a_pair_is_refused(suffix, pair):
    pair.description.with_suffix(suffix).unlink()
    for path in (pair.description, pair.weights):
        refused(path, f"one of a pair, of which pair{suffix} is not there")


def test_weights_that_were_changed_are_refused(pair):
    content = bytearray(pair.weights.read_bytes())
    content[-1] ^= 1
    pair.weights.write_bytes(content)
    read_settings(pair.weights)
    refused(pair.weights, "comes with weights that its description was not written with")


CHANGES = [
    ({"format": "another"}, "see 'format'"),
    ({"version": 3}, "see 'version'"),
    ({"family": "stylegan9"}, "see 'family'"),
    ({"surplus": 1}, "says more or less"),
    ({"mapping__surplus": 1}, "says more or less"),
    ({"mapping__z_dim": "4"}, "mapping.z_dim"),
    ({"mapping__z_dim": 4.5}, "mapping.z_dim"),
    ({"mapping__z_dim": True}, "mapping.z_dim"),
    ({"mapping__z_dim": None}, "mapping.z_dim"),
    ({"mapping__z_dim": -4}, "the length of z"),
    ({"mapping__z_dim": 10**400}, "."),
    ({"mapping__w_dim": 6}, "another length"),
    ({"mapping__classes": 10**9}, "number of classes"),
    ({"mapping__classes": 100}, "rows of the class table"),
    ({"mapping__embedding": "other"}, "embedding"),
    ({"mapping__learning_rate_factor": float("nan")}, "says more or less"),
    ({"mapping__learning_rate_factor": float("inf")}, "learning rate factor"),
    ({"mapping__learning_rate_factor": 0.0}, "learning rate factor"),
    ({"mapping__hidden_layers": 3}, "lacks the weights mapping.fc2.weight"),
    ({"mapping__hidden_layers": 1}, "has weights 'mapping.fc1"),
    ({"mapping": []}, "see 'mapping'"),
    ({"synthesis__layers": []}, "number of layers"),
    ({"synthesis__layers__0__name": "../../x"}, "which is no layer's name"),
    ({"synthesis__layers__0__name": "a\n" * 1000}, "which is no layer's name"),
    ({"synthesis__layers__0__name": "input"}, "two parts of the same name"),
    ({"synthesis__layers__1__name": "L0_36_3"}, "two parts of the same name"),
    ({"synthesis__layers__0__in_size": 5000}, "the size of layer"),
    ({"synthesis__layers__0__up_taps": 10**6}, "filter length"),
    ({"synthesis__layers__0__padding": [1]}, "padding"),
    ({"synthesis__layers__0__padding": [173, 172], "synthesis__layers__0__out_size": 200}, "cannot bridge"),
    ({"synthesis__layers__0__up_taps": 11, "synthesis__layers__0__padding": [9, 7]}, "cannot bridge"),
    ({"synthesis__layers__0__clamp": "none"}, "clamp"),
    ({"synthesis__input__bandwidth": 8.0}, "beyond what its rate"),
    ({"synthesis__output_scale": 0}, "output scale"),
    ({"weights_sha256": "0" * 64}, "was not written with"),
]


@pytest.mark.parametrize(("changes", "match"), CHANGES, ids=[next(iter(change)) for change, _ in CHANGES])
def test_a_description_that_lies_is_refused(changes, match, pair):
    describe(pair, **changes)
    refused(pair.description, match)


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{", "{}", '"text"', "\x00", "[" * 100_000, '{"a":' * 100_000, " " * 2_000_000, "\ud800"]
)
def test_text_that_is_no_description_is_refused(text, pair):
    pair.description.write_bytes(text.encode("utf-8", "surrogatepass"))
    refused(pair.description, r"description of a")


def test_a_description_of_another_encoding_is_refused(pair):
    pair.description.write_bytes(pair.description.read_text().encode("utf-16"))
    refused(pair.description, "is not the description")


def header(content):
    length = struct.unpack_from("<Q", content)[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def with_header(changed, data):
    text = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
    return struct.pack("<Q", len(text)) + text + data


BIAS = "mapping.fc0.bias"


def entries(change):
    def altered(content):
        found, data = header(content)
        return with_header(change(found), data)

    return altered


LIES = {
    "missing": entries(lambda found: {name: entry for name, entry in found.items() if name != BIAS}),
    "extra": entries(lambda found: found | {"extra": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}),
    "renamed": entries(lambda found: {("other\n" if name == BIAS else name): entry for name, entry in found.items()}),
    "another shape": entries(lambda found: found | {BIAS: found[BIAS] | {"shape": [1, 5]}}),
    "shape too large": entries(lambda found: found | {BIAS: found[BIAS] | {"shape": [2**40]}}),
    "overflowing shape": entries(lambda found: found | {BIAS: found[BIAS] | {"shape": [2**62, 2**62]}}),
    "another type": entries(lambda found: found | {BIAS: found[BIAS] | {"dtype": "I32"}}),
    "unknown type": entries(lambda found: found | {BIAS: found[BIAS] | {"dtype": "object"}}),
    "offsets out of range": entries(lambda found: found | {BIAS: found[BIAS] | {"data_offsets": [2**40, 2**40 + 20]}}),
    "offsets the wrong way round": entries(lambda found: found | {BIAS: found[BIAS] | {"data_offsets": [20, 0]}}),
    "overlap": entries(lambda found: found | {BIAS: found[BIAS] | {"data_offsets": [0, 20]}}),
    "no offsets": entries(lambda found: found | {BIAS: {"dtype": "F32", "shape": [5]}}),
    "a list": entries(lambda found: [found]),
    "deep": entries(lambda found: b'{"a":' * 50_000),
    "no text": entries(lambda found: b"\xff\xfe{"),
    "huge header claim": lambda content: struct.pack("<Q", 2**63 - 1) + content[8:],
    "long header claim": lambda content: struct.pack("<Q", 2**30) + content[8:],
    "cut short": lambda content: content[:-3],
    "longer": lambda content: content + b"more",
    "empty": lambda content: b"",
    "a pickle": lambda content: b"\x80\x04cos\nsystem\nX\x0e\x00\x00\x00touch sentinel\x85R.",
}


@pytest.mark.parametrize("lie", LIES)
def test_weights_that_lie_are_refused(lie, pair):
    rewrite(pair, LIES[lie](pair.weights.read_bytes()))
    refused(pair.description, "weights|safetensors")
    with pytest.raises(DataError):
        read_settings(pair.weights)


def test_weights_of_another_precision_are_refused(pair):
    state = load_file(pair.weights)
    save_file({name: value.astype(np.float64) for name, value in state.items()}, pair.weights)
    rewrite(pair, pair.weights.read_bytes())
    refused(pair.description, "not float32")
