"""What a sweep file may do wrong is one sentence with its line, and never an exit code of its own."""

import json
import os
import subprocess
import sys

import pytest

from glad_ray.cli import main
from glad_ray.errors import UserError
from glad_ray.spec.written.sweep_file import load_search, load_sweep

HEAD = "from glad_ray import *\n"
GOOD = HEAD + "def sweep():\n    return Sweep(name='a', runs=[Run(algorithm=RandomReal())])\n"


@pytest.fixture
def write(tmp_path):
    def written(text, name="mine.py"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import sys\nsys.exit(3)\n", "mine.py:2 ends Python with exit code 3"),
        ("import sys\nsys.exit()\n", "mine.py:2 ends Python with exit code None"),
        ("raise SystemExit('no data')\n", "ends Python with exit code 'no data'"),
        ("exit(0)\n", "ends Python with exit code 0"),
        (HEAD + "def sweep():\n    raise SystemExit(3)\n", "mine.py:3 ends Python"),
        ("import typer\nraise typer.Exit(3)\n", "mine.py:2 does not run: Exit"),
        ("raise BaseException('all of it')\n", "mine.py:1 does not run: BaseException: all of it"),
        ("from glad_ray.errors import BudgetError\nraise BudgetError('mine.py')\n", "mine.py"),
        ("from glad_ray.errors import RunError\nraise RunError('x')\n", "mine.py:2: x"),
        (HEAD + "def sweep():\n    return 1 / 0\n", "mine.py:3 does not run: ZeroDivisionError: division by zero, in"),
        ("raise ValueError('two\\nlines')\n", "ValueError: two, in `raise"),
        ("raise ValueError\n", "mine.py:1 does not run: ValueError, in"),
        ("class E(Exception):\n    def __str__(self):\n        1 / 0\nraise E()\n", "mine.py:4 does not run: E, in"),
        ("def sweep(:\n", "mine.py:1 does not run: SyntaxError: invalid syntax"),
        (b"\xff\xfe\x00", "mine.py"),
        (b"x = '\xe9'\n", "mine.py"),
        ("x\0", "does not run"),
        ("", "has no function sweep()"),
        (HEAD + "def sweep(): return [Run(algorithm=RandomReal())]\n", "returned list: it must return glad_ray.Sweep"),
        (HEAD + "def sweep(): pass\n", "returned NoneType"),
        (HEAD + "def sweep(): yield 1\n", "it must not contain yield"),
        (HEAD + "async def sweep(): pass\n", "define it with def, without async"),
        (HEAD + "def sweep(seed, *, ipc): pass\n", "takes arguments (seed, ipc)"),
        (HEAD + "sweep = 3\n", "sweep in"),
        (HEAD + "class sweep:\n    def __init__(self, x): pass\n", "takes arguments (x)"),
        ("import glad_ray\nglad_ray.main()\n", "mine.py:2 starts a sweep as soon as the file is imported"),
        ("import glad_ray\ndef sweep():\n    glad_ray.main()\nsweep()\n", "mine.py:4 starts a sweep as soon"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_and_exit_code_2(write, capsys, text, sentence):
    assert main(["plan", str(write(text))]) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("\n") == 1


def test_the_line_of_a_module_beside_it_is_told(write, tmp_path):
    write("def broken():\n    return {}['missing']\n", "beside_one.py")
    path = write("import beside_one\nbeside_one.broken()\n")
    with pytest.raises(UserError) as refused:
        load_sweep(path)
    told = str(refused.value)
    assert f"{path}:2 does not run: KeyError: 'missing' at {tmp_path / 'beside_one.py'}:2, in `return" in told


def test_a_syntax_error_of_a_module_beside_it_is_told_with_its_place(write, tmp_path):
    write("x = (\n", "beside_two.py")
    with pytest.raises(UserError, match=r"mine\.py:1 does not run: SyntaxError: .* at .*beside_two\.py:1"):
        load_sweep(write("import beside_two\n"))


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("sweep()", "sweep(seed=0, *rest, **more)"),
        GOOD + "if __name__ == '__main__':\n    main()\n",
        b"# coding: latin-1\n" + GOOD.replace("'a'", "'a', description='\xe9'").encode("latin-1"),
    ],
    ids=["byte order mark", "lines of Windows", "defaults", "guard", "coding"],
)
def test_what_python_reads_is_read(write, text):
    assert load_sweep(write(text)).name == "a"


def test_a_file_that_was_changed_is_read_anew(write):
    """Python keeps compiled code by seconds and size, which a quick change leaves as they are."""
    path = write(GOOD)
    assert load_sweep(path).name == "a"
    before = path.stat()
    write(GOOD.replace("'a'", "'b'"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert load_sweep(path).name == "b"


def test_an_interrupt_stays_one(write, capsys):
    assert main(["plan", str(write("raise KeyboardInterrupt\n"))]) == 130
    assert "Interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("", "is a folder"), ("nowhere.py", "There is no search file"), ("mine.txt", "is not a Python file")],
)
def test_what_is_no_python_file(write, tmp_path, name, sentence):
    write("", "mine.txt")
    with pytest.raises(UserError, match=sentence):
        load_search(tmp_path / name)


def test_the_plan_of_a_storage_is_the_sweep_as_it_was_run(write, tmp_path):
    sweep = load_sweep(write(GOOD)).replace(name="kept")
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"sweep": sweep.model_dump(mode="json"), "runs": []}))
    assert load_sweep(path) == sweep


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sweep": 1}', '{"sweep": {"name": "x", "no": 1}}', "\x00"])
def test_json_that_is_no_plan_is_one_sentence(tmp_path, content):
    path = tmp_path / "plan.json"
    path.write_text(content)
    with pytest.raises(UserError, match="keeps no sweep that this version can read") as caught:
        load_sweep(path)
    assert "\n" not in str(caught.value)


def test_a_script_that_starts_without_a_guard_is_refused(write):
    path = write(GOOD + "main()\n")
    ended = subprocess.run([sys.executable, str(path), "--in-process"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "put the call of glad_ray.main() under" in ended.stderr
