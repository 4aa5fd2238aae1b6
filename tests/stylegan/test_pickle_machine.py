"""The pickle machine agrees with Python's own on plain data, and leaves large bytes where they are."""

import math
import pickle

import pytest

from glad_ray.stylegan.pickle_machine import Inert, Name, OtherKey, unpickle
from glad_ray.stylegan.pickle_names import network_name
from glad_ray.stylegan.refusal import RefusalError
from tests.stylegan.official_pickle import Made, Named, Raw, pickled

PLAIN = [
    None,
    True,
    [False, 0, -1, 255, 65535, 2**31, -(2**31), 2**40, -(2**100), 0.5, -math.inf],
    ["", "text", "\u1234\U0001f600" * 100, b"", b"bytes" * 100, "x" * 100_000],
    ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [[], [[]]]),
    {"a": {"b": [1, {"c": ()}]}, "x" * 300: 2},
    [list(range(3000)), {str(n): n for n in range(3000)}],
]


def read(content, **options):
    return unpickle(memoryview(content), network_name, **options)


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("value", PLAIN, ids=range(len(PLAIN)))
def test_plain_data_is_what_python_reads(value, protocol):
    content = pickle.dumps(value, protocol)
    assert read(content) == (value, len(content))


def test_shared_and_recursive_data_stay_so():
    ring = [{}]
    ring[0]["ring"] = ring
    ring.append(ring[0])
    found, _ = read(pickle.dumps(ring))
    assert found[0]["ring"] is found
    assert found[1] is found[0]


def test_several_pickles_in_a_row_are_read_one_by_one():
    content = pickle.dumps([1]) + pickle.dumps("two")
    first, end = read(content)
    assert (first, read(content, start=end)[0]) == ([1], "two")


def test_large_bytes_are_views_of_the_file():
    content = bytearray(pickle.dumps({"small": b"s", "large": b"l" * 5000}))
    found, _ = read(content)
    assert found["small"] == b"s"
    content[content.index(b"lll")] = ord("L")
    assert bytes(found["large"][:2]) == b"Ll"


def test_objects_are_records_of_what_would_make_them():
    value = Made(Named("timm", "Model"), (1, Named("torch", "Size")), {"a": 2})
    found, _ = read(pickled(value))
    assert isinstance(found, Inert)
    assert (found.name, found.arguments[0], found.state) == ("timm.Model", 1, {"a": 2})
    assert isinstance(found.arguments[1], Name)
    assert found.arguments[1].text == "torch.Size"


def test_dictionaries_of_other_classes_are_dictionaries():
    for module, name in (("collections", "OrderedDict"), ("dnnlib.util", "EasyDict")):
        for operation in (pickle.REDUCE, pickle.NEWOBJ):
            found, _ = read(
                pickled(Raw(pickled(Made(Named(module, name), (), None, operation))[2:-1] + b"\x8c\x01aNs"))
            )
            assert found == {"a": None}


def test_keys_other_than_short_texts_are_kept_apart():
    found, _ = read(pickle.dumps({1: "one", (1, 2): "pair", "a": "text", "k" * 5000: "long"}))
    assert found["a"] == "text"
    others = {key.key: value for key, value in found.items() if isinstance(key, OtherKey)}
    assert others == {1: "one", (1, 2): "pair", "k" * 5000: "long"}


def test_names_of_old_versions_are_those_of_new_ones():
    for old, new in [
        (("__builtin__", "set"), "builtins.set"),
        (("copy_reg", "_reconstructor"), "copyreg._reconstructor"),
        (("numpy._core.multiarray", "scalar"), "numpy.core.multiarray.scalar"),
        (("numpy._core.numeric", "_frombuffer"), "numpy.core.numeric._frombuffer"),
    ]:
        assert network_name(*old) == new


def test_the_number_of_operations_is_limited():
    content = pickled(list(range(100)))
    assert read(content, limit=1000)[0] == list(range(100))
    with pytest.raises(RefusalError, match="takes more than 50 pickle operations"):
        read(content, limit=50)


def test_persistent_ids_are_known_only_where_they_are_asked_for():
    content = pickled(Raw(b"NQ"))
    found, _ = read(content, persistent=True)
    assert (found.name, found.arguments) == ("persistent id", (None,))
    with pytest.raises(RefusalError, match="BINPERSID"):
        read(content)


PYTHON2 = b"\x80\x02}(U\x04textU\x03\xe4\xff\x00U\x04longT\xb8\x0b\x00\x00" + b"l" * 3000 + b"u."


def test_strings_of_python_2_are_latin_1_text_however_long():
    assert read(PYTHON2, python2=True) == ({"text": "\xe4\xff\x00", "long": "l" * 3000}, len(PYTHON2))


def test_strings_of_python_2_are_refused_unless_expected():
    with pytest.raises(RefusalError, match="SHORT_BINSTRING"):
        read(PYTHON2)


@pytest.mark.parametrize("end", [8, 20, 100, len(PYTHON2) - 1])
def test_a_cut_string_of_python_2_is_damage(end):
    with pytest.raises(RefusalError, match="is damaged or cut short"):
        read(PYTHON2[:end], python2=True)
