"""Files made to do harm: each is refused in one sentence, before anything of it has run, and at no great cost."""

import os
import pickle
import struct
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from glad_ray.errors import DataError
from glad_ray.stylegan.files import convert, read_generator, read_settings
from tests.stylegan.official_pickle import (
    Made,
    Named,
    Raw,
    generator,
    networks,
    pickled,
    random_state,
    tiny_network,
    tiny_settings,
    write_pickle,
)

MAPPING, SYNTHESIS = tiny_settings()
STATE = random_state(MAPPING, SYNTHESIS)


def sound(**others):
    return networks(generator(MAPPING, SYNTHESIS, STATE), **others)


@pytest.fixture(autouse=True)
def nothing_happens(tmp_path, monkeypatch):
    """No shell, no import, no file but those that the test wrote."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    calls = []
    for module, name in ((os, "system"), (subprocess, "Popen"), (os, "execv"), (os, "fork")):
        monkeypatch.setattr(module, name, lambda *arguments, **options: calls.append(arguments))
    yield
    assert not calls
    assert not list((tmp_path / "cwd").iterdir())


def imported():
    return {name for name in sys.modules if not name.startswith("encodings.")}


def refused(path, match="."):
    """By every function that reads, in one sentence of a sensible length."""
    for read in (read_settings, read_generator, lambda path: convert(path, path.with_name("converted"))):
        loaded = imported()
        with pytest.raises(DataError, match=match) as caught:
            read(path)
        assert imported() == loaded
        message = str(caught.value)
        assert message.isprintable()
        assert len(message) < 300
        assert message.endswith(".")
    assert not list(path.parent.glob("converted*"))


DANGEROUS = [
    ("os", "system"),
    ("posix", "system"),
    ("nt", "system"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "compile"),
    ("builtins", "open"),
    ("builtins", "__import__"),
    ("builtins", "getattr.__self__.eval"),
    ("__builtin__", "eval"),
    ("__builtin__", "apply"),
    ("commands", "getoutput"),
    ("subprocess", "Popen"),
    ("socket", "socket"),
    ("shutil", "rmtree"),
    ("importlib", "import_module"),
    ("runpy", "run_path"),
    ("pickle", "loads"),
    ("cPickle", "loads"),
    ("marshal", "loads"),
    ("ctypes", "CDLL"),
    ("operator", "attrgetter"),
    ("functools", "reduce"),
    ("types", "CodeType"),
    ("copyreg", "add_extension"),
    ("sys", "modules"),
    ("torch", "load"),
    ("torch", "os.system"),
    ("torch.hub", "load"),
    ("torch.serialization", "load"),
    ("numpy", "load"),
    ("numpy", "f2py.os.system"),
    ("numpy.testing", "rundocs"),
    ("dill", "loads"),
    ("dill._dill", "_eval_repr"),
    ("dill._dill", "_create_filehandle"),
]


@pytest.mark.parametrize(("module", "name"), DANGEROUS, ids=[".".join(name) for name in DANGEROUS])
def test_a_dangerous_name_is_refused_wherever_it_stands(module, name, tmp_path):
    call = Made(Named(module, name), ("touch sentinel",))
    for protocol in (2, 4):
        refused(write_pickle(tmp_path / f"{protocol}.pkl", sound(D=call), protocol), " names ")


WAYS = {
    "named": lambda named: named,
    "reduce": lambda named: Made(named, ("touch sentinel",)),
    "newobj": lambda named: Made(named, ("touch sentinel",), operation=pickle.NEWOBJ),
    "newobj_ex": lambda named: Made(
        Raw(pickled(named)[2:-1]), Raw(b"(X\x01\x00\x00\x00xt}"), operation=pickle.NEWOBJ_EX
    ),
    "state": lambda named: Made(Named("timm", "Model"), (), {"__setstate__": named}),
    "inner state": lambda named: Made(Named("timm", "Model"), (), Made(named, ("touch sentinel",))),
    "key": lambda named: {Made(named, ("touch sentinel",)): 1},
    "key by name": lambda named: {Made(Named("builtins", "getattr"), (Named("builtins", "type"), "eval")): named},
    "set": lambda named: Raw(b"\x8f(" + pickled(Made(named, ("x",)))[2:-1] + b"\x90"),
    "discarded": lambda named: Raw(b"N" + pickled(Made(named, ("x",)))[2:-1] + b"0"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_dangerous_name_is_refused_whatever_is_done_with_it(way, tmp_path):
    refused(write_pickle(tmp_path / "x.pkl", sound(D=WAYS[way](Named("os", "system")))), r"names os\.system")


OPERATIONS = {
    "INST": b"(X\x05\x00\x00\x00touchios\nsystem\n",
    "OBJ": b"(No",
    "PERSID": b"Pwhatever\n",
    "BINPERSID": b"NQ",
    "EXT1": b"\x82\x01",
    "EXT2": b"\x83\x01\x00",
    "EXT4": b"\x84\x01\x00\x00\x00",
    "NEXT_BUFFER": b"\x97",
    "READONLY_BUFFER": b"N\x98",
    "DUP": b"N20",
    "STRING": b"S'text'\n",
    "BINSTRING": b"T\x02\x00\x00\x00ab",
    "UNICODE": b"Vtext\n",
    "INT": b"I12\n",
    "LONG": b"L12L\n",
    "FLOAT": b"F1.5\n",
    "GET": b"g0\n",
    "LIST": b"(l",
    "DICT": b"(d",
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_that_networks_do_not_need_are_refused_by_name(operation, tmp_path):
    refused(write_pickle(tmp_path / "x.pkl", sound(D=Raw(OPERATIONS[operation]))), rf"pickle operation {operation}\b")


def code_of(text):
    code = compile(text, "x", "exec")
    parts = (code.co_code, code.co_consts, code.co_names, (), "x", "x", "x", 1, b"", b"", (), ())
    return Made(Named("dill._dill", "_create_code"), (0, 0, 0, 0, 5, 0, *parts))


def test_code_objects_run_nothing_and_are_refused_where_the_generator_should_be(tmp_path):
    function = Made(Named("dill._dill", "_create_function"), (code_of("open('sentinel', 'w')"), {}, "f"))
    read_settings(write_pickle(tmp_path / "passed.pkl", sound(D=Made(function))))
    for value, match in [
        (code_of("1"), "an object of dill._dill._create_code for G_ema"),
        (function, "an object of dill._dill._create_function for G_ema"),
        (Made(function), "something that the file itself made for G_ema"),
        (Made(Named("builtins", "getattr"), (function, "__globals__")), "builtins.getattr for G_ema"),
        (Named("builtins", "getattr"), "the name builtins.getattr for G_ema"),
    ]:
        refused(write_pickle(tmp_path / "x.pkl", networks(value)), match)


def test_the_source_text_of_a_module_is_not_even_looked_at(tmp_path):
    root = sound()
    root["G_ema"].arguments[0]["module_src"] = "open('sentinel', 'w')"
    read_generator(write_pickle(tmp_path / "x.pkl", root))
    root["G_ema"].arguments[0]["module_src"] = [None] * 10
    read_generator(write_pickle(tmp_path / "y.pkl", root))


@pytest.mark.parametrize(
    "operations",
    [
        b"N}(X\x01\x00\x00\x00ab",
        b"}N\x85s",
        b"](Nu",
        b"}(Nu",
        b"N(Ne",
        b"cos2\nx\nN\x85b",
        b"N\x85R",
        b"X\x01\x00\x00\x00xN\x85R",
        b"ctimm\nx\nNR",
        b"ctimm\nx\n}N\x81",
        b"h\xff",
        b"j\xff\xff\xff\x7f",
        b"1",
        b"t",
        b"N\x93",
        b"NN\x93",
        b"\x8c\x00\x8c\x00\x93",
        b"\x8c\x01x" + b"X" + struct.pack("<I", 5000) + b"y" * 5000 + b"\x93",
        b"cti\\x6dm\nx\n",
        b"c" + b"a" * 5000 + b"\nx\n",
        b"\x8a\xff" + b"\x7f" * 255,
        b"\x8b" + struct.pack("<i", 10_000) + b"\x7f" * 10_000,
        b"\x8b" + struct.pack("<i", -1),
        b"\xff",
        b"X\x02\x00\x00\x00\xff\xff",
        b"\x80\x06N",
    ],
)
def test_programs_that_make_no_sense_are_refused(operations, tmp_path):
    refused(write_pickle(tmp_path / "x.pkl", {"D": Raw(operations)}))
    (tmp_path / "y.pkl").write_bytes(b"\x80\x04" + operations + b".")
    refused(tmp_path / "y.pkl")


LENGTHS = {
    "BINBYTES": b"B" + struct.pack("<I", 2**32 - 1),
    "BINBYTES8": b"\x8e" + struct.pack("<Q", 2**62),
    "BYTEARRAY8": b"\x96" + struct.pack("<Q", 2**62),
    "BINUNICODE": b"X" + struct.pack("<I", 2**32 - 1),
    "BINUNICODE8": b"\x8d" + struct.pack("<Q", 2**63 - 1),
    "LONG4": b"\x8b" + struct.pack("<i", 2**31 - 1),
    "overflow": b"\x8e" + struct.pack("<Q", 2**64 - 1),
}


@pytest.mark.parametrize("operation", LENGTHS)
def test_lengths_beyond_the_file_are_refused(operation, tmp_path):
    (tmp_path / "x.pkl").write_bytes(b"\x80\x04}" + LENGTHS[operation] + b"some bytes.")
    refused(tmp_path / "x.pkl", "damaged or cut short")


def rebuilt(storage, offset, shape, strides):
    return Made(Named("torch._utils", "_rebuild_tensor_v2"), (storage, offset, shape, strides, False, {}))


def storage(raw):
    return Made(Named("torch.storage", "_load_from_bytes"), (raw,))


def legacy(count=20, kind="FloatStorage", numbers=20, written=None, magic=0x1950A86A20F9469CFC6C, little_endian=True):
    identity = ("storage", Named("torch", kind), "0", "cuda:0", count, None)
    parts = [magic, 1001, {"little_endian": little_endian}, Made(Raw(pickled(identity, 2)[2:-1] + b"Q"), (), None, b"")]
    head = b"".join(pickled(part, 2) for part in parts[:3]) + pickled(Raw(pickled(identity, 2)[2:-1] + b"Q"), 2)
    return head + pickled(["0"], 2) + struct.pack("<q", count if written is None else written) + bytes(4 * numbers)


FC0 = tuple(STATE["mapping.fc0.bias"].shape)
CLAIMS = {
    "more than the storage": rebuilt(storage(legacy(4, numbers=4)), 0, FC0, (1,)),
    "beyond its end": rebuilt(storage(legacy()), 18, FC0, (1,)),
    "far offset": rebuilt(storage(legacy()), 2**59, FC0, (1,)),
    "negative offset": rebuilt(storage(legacy()), -1, FC0, (1,)),
    "long strides": rebuilt(storage(legacy()), 0, FC0, (2**58,)),
    "negative stride": rebuilt(storage(legacy()), 19, FC0, (-1,)),
    "stride of nothing": rebuilt(storage(legacy(1, numbers=1)), 0, FC0, (0,)),
    "huge shape": rebuilt(storage(legacy()), 0, (2**50, 2**50), (0, 0)),
    "shape of the wrong kind": rebuilt(storage(legacy()), 0, [5], (1,)),
    "shape of texts": rebuilt(storage(legacy()), 0, ("5",), (1,)),
    "boolean offset": rebuilt(storage(legacy()), True, FC0, (1,)),
    "more strides than sizes": rebuilt(storage(legacy()), 0, FC0, (1, 1)),
    "count beyond the bytes": rebuilt(storage(legacy(2**40)), 0, FC0, (1,)),
    "count that is written otherwise": rebuilt(storage(legacy(20, written=21)), 0, FC0, (1,)),
    "negative count": rebuilt(storage(legacy(-1)), 0, FC0, (1,)),
    "another magic number": rebuilt(storage(legacy(magic=1)), 0, FC0, (1,)),
    "a big-endian machine": rebuilt(storage(legacy(little_endian=False)), 0, FC0, (1,)),
    "a storage of integers": rebuilt(storage(legacy(kind="LongStorage")), 0, FC0, (1,)),
    "a storage of objects": rebuilt(storage(legacy(kind="Size")), 0, FC0, (1,)),
    "nothing": rebuilt(storage(b""), 0, FC0, (1,)),
    "no bytes": rebuilt(storage(None), 0, FC0, (1,)),
    "no storage": rebuilt(None, 0, FC0, (1,)),
    "too few arguments": Made(Named("torch._utils", "_rebuild_tensor_v2"), (storage(legacy()),)),
    "a parameter of nothing": Made(Named("torch._utils", "_rebuild_parameter"), ()),
    "a pickle in a storage": rebuilt(storage(pickled(Made(Named("os", "system"), ("touch sentinel",)))), 0, FC0, (1,)),
    "code in a storage": rebuilt(storage(pickled(Made(Named("timm", "x"), ()))), 0, FC0, (1,)),
    "text that is not Latin": rebuilt(storage(Made(Named("_codecs", "encode"), ("\u1234", "latin1"))), 0, FC0, (1,)),
    "a codec": rebuilt(storage(Made(Named("_codecs", "encode"), (b"", "zip"))), 0, FC0, (1,)),
    "a meta tensor": Made(Named("torch._utils", "_rebuild_meta_tensor_no_storage"), (None, FC0, (1,), False)),
    "a sparse tensor": Made(Named("torch._utils", "_rebuild_sparse_tensor"), (None, ())),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_tensors_that_claim_what_is_not_there_are_refused(claim, tmp_path):
    root = networks(generator(MAPPING, SYNTHESIS, {**STATE, "mapping.fc0.bias": CLAIMS[claim]}))
    refused(write_pickle(tmp_path / "x.pkl", root), "fc0")


def test_a_sound_claim_by_hand_is_read(tmp_path):
    root = networks(
        generator(MAPPING, SYNTHESIS, {**STATE, "mapping.fc0.bias": rebuilt(storage(legacy()), 3, FC0, (2,))})
    )
    assert not read_generator(write_pickle(tmp_path / "x.pkl", root)).state["mapping.fc0.bias"].any()


def test_a_storage_counted_again_and_again_is_refused(tmp_path):
    """Small as a file, large in memory: every layer refers to the same bytes."""
    mapping = replace(tiny_settings(w_dim=100)[0], hidden_layers=40)
    synthesis = tiny_settings(w_dim=100)[1]
    state = random_state(mapping, synthesis)
    shared = torch.nn.Parameter(state["mapping.fc1.weight"])
    state |= {f"mapping.fc{i}.weight": shared for i in range(1, mapping.hidden_layers)}
    path = write_pickle(tmp_path / "x.pkl", networks(generator(mapping, synthesis, state)))
    refused(path, "more numbers than its bytes can hold")


def test_files_cut_short_anywhere_are_refused(tmp_path):
    content = tiny_network(tmp_path / "whole.pkl")[0].read_bytes()
    path = tmp_path / "x.pkl"
    for length in {0, 1, 2, 3, 10, len(content) - 1, *range(17, len(content), len(content) // 60)}:
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"cut short|empty"):
            read_settings(path)


def written_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"")


@pytest.mark.parametrize(
    ("write", "match"),
    [
        (written_zip, "zip archive"),
        (lambda path: torch.save({"a": torch.zeros(1)}, path), "zip archive"),
        (lambda path: torch.save([1], path, _use_new_zipfile_serialization=False), "a value of type int"),
        (lambda path: save_file({"a": np.zeros(1, np.float32)}, path), "safetensors"),
        (lambda path: path.write_text("\n<!DOCTYPE html><html></html>"), "web page"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid"), "Git LFS"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"\x1f\x8b\x08" + bytes(40)), "gzip"),
        (lambda path: path.write_bytes(pickle.dumps({"G_ema": 1}, 0)), "protocol 2 or newer"),
        (lambda path: path.write_text("cos\nsystem\n(S'touch sentinel'\ntR."), "protocol 2 or newer"),
        (lambda path: path.write_bytes(bytes(100)), "no pickle"),
    ],
)
def test_other_kinds_of_files_are_refused_by_what_they_are(write, match, tmp_path):
    write(tmp_path / "x.pkl")
    refused(tmp_path / "x.pkl", match)


def test_a_name_of_a_file_is_no_way_to_write_a_long_message(tmp_path):
    path = tmp_path / ("a\n" * 100 + ".pkl")
    path.write_bytes(b"")
    refused(path)


READER = """
import resource, sys
from pathlib import Path
from glad_ray.errors import DataError
from glad_ray.stylegan.files import read_generator
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sorted(Path(sys.argv[1]).glob("*.pkl")):
    try:
        read_generator(path)
    except DataError:
        print(path.stem)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""

DEEP = 60_000
MODEL = b"ctimm\nModel\n"


def multiples_of(prime, count):
    """Integers that Python hashes to the same number."""
    return b"".join(b"\x8a\x10" + (prime * n).to_bytes(16, "little") + b"N" for n in range(1, count))


def long_text(index):
    return b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20) + b"q" + bytes([index])


BOMBS = {
    "lists in lists": b"]" * DEEP + b"a" * (DEEP - 1),
    "tuples in tuples": b"N" + b"\x85" * DEEP,
    "tuples shared": b"N" + b"\x94h\x00\x86" * DEEP,
    "objects in objects": MODEL + b"q\x010N" + b"\x85q\x020h\x01h\x02R" * DEEP,
    "states in states": MODEL + b"q\x01)R" + b"q\x020h\x01)Rh\x02b" * DEEP,
    "dictionaries in dictionaries": b"}" * DEEP + b"X\x01\x00\x00\x00xq\x000" + b"q\x010h\x00h\x01s" * (DEEP - 1),
    "dictionaries as keys": b"N" + b"q\x000}h\x00Ns\x85" * DEEP,
    "marks": b"(" * DEEP + b"t" * DEEP,
    "doubling tuples": b"N" + b"q\x000h\x00h\x00\x86" * 10_000,
    "doubling tuples as keys": b"N" + b"q\x000h\x00h\x00\x86" * 5_000 + b"q\x000}h\x00Ns",
    "doubling lists": b"]q\x00" + b"0]q\x01h\x00ah\x00ah\x01q\x000" * 10_000,
    "colliding keys": b"}(" + multiples_of(2**61 - 1, 60_000) + b"u",
    "long equal keys": b"}q\x00" + long_text(1) + b"0" + long_text(2) + b"0" + b"h\x01Nsh\x02Ns" * 50_000,
    "one list in many sets": b"](" + b"N" * 10_000 + b"eq\x000cbuiltins\nset\nq\x010N" + b"0h\x01h\x00\x85R" * 50_000,
    "one text encoded often": b"c_codecs\nencode\nq\x00"
    + long_text(1)
    + b"("
    + b"h\x00h\x01\x85R" * 10_000
    + b"t\x86\x86",
}


def test_small_files_take_little_memory_and_time_and_no_depth(tmp_path, monkeypatch):
    monkeypatch.undo()
    (tmp_path / "bombs").mkdir()
    for name, operations in BOMBS.items():
        write_pickle(tmp_path / "bombs" / f"{name}.pkl", networks(Raw(operations)))
    command = [sys.executable, "-c", READER, str(tmp_path / "bombs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    *names, megabytes = done.stdout.splitlines()
    assert set(names) == set(BOMBS)
    assert int(megabytes) < 300
