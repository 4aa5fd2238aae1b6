"""Names from the file system that are no text: classes are escaped, what a record would have to hold is refused."""

import io
import json
import os
from pathlib import Path

import pytest

from glad_ray.cli import main
from glad_ray.cli.output import Lasting
from glad_ray.errors import DataError, UserError, printable
from glad_ray.progress.faults import Fault
from glad_ray.results import Failure
from glad_ray.spec import dataset_facts
from glad_ray.storage import Storage
from tests.data.trees import encoded, noise

SIDE = 8
CLASSES = (b"M\xf6we", b"line\nbreak", b"<b>", "שלום".encode(), b"x" * 250)
SHOWN = ["<b>", "M\\xf6we", "line\\nbreak", "x" * 250, "שלום"]
SWEEP = """
from glad_ray import Evaluation, Network, RandomReal, Run, Sweep

NETWORK = Network(width=4)

def sweep():
    runs = (Run(algorithm=RandomReal(), dataset={dataset!r}, backbone=NETWORK), Run(algorithm=RandomReal(),
        backbone=NETWORK))
    return Sweep(name="names", runs=runs, evaluations=Evaluation(networks=(NETWORK,), repeats=1, epochs=1))
"""


def write(root, classes=CLASSES):
    for split in ("train", "test"):
        for number, name in enumerate(classes):
            folder = Path(os.fsdecode(os.path.join(os.fsencode(root), split.encode(), name)))
            folder.mkdir(parents=True)
            (folder / os.fsdecode(b"\xe4.png")).write_bytes(encoded(noise((SIDE, SIDE), number)))


def test_classes_of_any_name_are_distilled_reported_and_exported(tmp_path, capsys):
    write(tmp_path / "own")
    name = f"folder:{tmp_path / 'own'}"
    assert sorted(dataset_facts(name).class_names) == sorted(SHOWN)
    (tmp_path / "names.py").write_text(SWEEP.format(dataset=name), encoding="utf-8")
    kept = tmp_path / "kept"
    assert main(("sweep", str(tmp_path / "names.py"), "--storage", str(kept), "--in-process", "--device", "cpu")) == 0
    page = (kept / "report" / "index.html").read_text(encoding="utf-8")
    assert "M\\xf6we" in page
    assert "<li>&lt;b&gt;</li>" in page
    sets = [path for path in kept.rglob("synthetic_set.safetensors") if b"xf6we" in path.read_bytes()]
    for form in ("images", "huggingface"):
        assert main(("export", str(sets[0]), "--as", form, "--to", str(tmp_path / form))) == 0
    classes = json.loads((tmp_path / "images" / "set.json").read_text(encoding="utf-8"))["classes"]
    assert sorted(each["name"] for each in classes) == sorted(SHOWN)
    assert all(each["folder"].isascii() and (tmp_path / "images" / each["folder"]).is_dir() for each in classes)


def test_a_broken_image_is_told_by_its_escaped_name(tmp_path):
    write(tmp_path / "own", CLASSES[:2])
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/own/train/M\xf6we"))
    (folder / os.fsdecode(b"\xe4.png")).write_bytes(b"none")
    with pytest.raises(DataError, match=r"train/M\\xf6we/\\xe4\.png is no image") as caught:
        dataset_facts(f"folder:{tmp_path / 'own'}")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("prefix", ["folder:", "hf:"])
def test_a_dataset_whose_path_is_no_text_is_refused(prefix, tmp_path, capsys):
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xf6"))
    write(root, CLASSES[:2])
    arguments = (
        "distill",
        "--algorithm",
        "random",
        "--dataset",
        f"{prefix}{root}",
        "--storage",
        str(tmp_path / "kept"),
    )
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "\\xf6 has bytes in its path that are not UTF-8" in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "kept").exists()


def test_a_storage_whose_path_is_no_text_is_refused(tmp_path):
    where = os.fsdecode(os.fsencode(tmp_path) + b"/\xf6")
    for create in (True, False):
        with pytest.raises(UserError, match=r"\\xf6 cannot be used for results, for its name is not UTF-8"):
            Storage.open(where, create=create)
    assert not os.path.exists(where)


def test_an_unknown_home_is_told():
    with pytest.raises(UserError, match="this machine has no such user"):
        dataset_facts("folder:~nobody_at_all/x")


def test_a_fault_with_bytes_that_are_no_text_can_be_recorded():
    try:
        raise FileNotFoundError(2, "No such file", "M\udcf6we")
    except OSError as error:
        fault = Fault.of(error)
    failure = Failure(run_id="a" * 12, stage="distill", error=fault.error, traceback=fault.traceback)
    assert Failure.model_validate_json(failure.model_dump_json()) == failure
    assert "xf6we" in failure.error or "udcf6we" in failure.error


def test_any_text_can_be_written_to_a_terminal_of_ascii():
    buffer = io.BytesIO()
    stream = Lasting(io.TextIOWrapper(buffer, encoding="ascii"))
    stream.write("M\udcf6we 🦓 שלום\n")
    stream.flush()
    assert buffer.getvalue() == b"M\\udcf6we \\U0001f993 \\u05e9\\u05dc\\u05d5\\u05dd\n"


def test_what_cannot_be_printed_is_escaped():
    assert printable("M\udcf6we\n\x00\u2028é🦓") == "M\\xf6we\\n\\x00\\u2028é🦓"
