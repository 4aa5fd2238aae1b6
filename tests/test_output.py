"""Where a command's output goes: closed, full, in ASCII, or to a reader who leaves; with real processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from glad_ray.cli import main
from glad_ray.cli.output import Lasting

ROOT = Path(__file__).parent.parent
HELP = f"{sys.executable} -m glad_ray --help"
PLAN = f"{sys.executable} -m glad_ray plan {ROOT / 'sweeps/quickstart.py'} --explain"


def shell(line, folder, **variables):
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder)} | variables
    words = ["bash", "-o", "pipefail", "-c", line]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, check=False)


@pytest.mark.parametrize(
    "line",
    [f"{HELP} >&- <&- 2>&-", f"{HELP} | true", f"{PLAN} | head -1", f"PYTHONIOENCODING=ascii {PLAN}"],
    ids=["closed", "nobody reads", "head", "ascii"],
)
def test_output_that_nobody_reads_or_that_is_ascii(tmp_path, line):
    ended = shell(line, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_output_that_finds_no_room_is_told(tmp_path):
    ended = shell(f"{HELP} >/dev/full", tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"glad-ray: What this command printed is not whole (No space left on device)")
    assert ended.stderr.count(b"\n") == 1


def test_a_closed_output_does_not_become_that_of_a_file(tmp_path):
    """Whatever is opened next has the number of what was closed, and gets what is printed."""
    code = (
        "import os; from glad_ray.cli import main; main(['status', 'nowhere']); "
        "print(os.open('file', os.O_CREAT | os.O_WRONLY) > 2, file=open('seen', 'w'))"
    )
    shell(f'{sys.executable} -c "{code}" >&- 2>&- <&-', tmp_path)
    assert (tmp_path / "seen").read_text() == "True\n"


def test_a_reader_who_is_slow_is_waited_for(tmp_path):
    """A pipe that does not block raises where it is full, as it does when another program has made it so."""
    code = (
        "import os, subprocess, sys; read, write = os.pipe(); os.set_blocking(write, False); "
        "told = subprocess.Popen(sys.argv[1:], stdout=write); os.close(write); "
        "print(len(open(read, 'rb').read())); sys.exit(told.wait())"
    )
    many = "from glad_ray.cli.output import Lasting; import sys; out = Lasting(sys.stdout); "
    many += "[out.write('x' * 999 + chr(10)) for _ in range(1000)]; out.flush()"
    words = [sys.executable, "-c", code, sys.executable, "-c", many]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "1000000\n"


def test_characters_that_an_encoding_lacks_are_escapes(tmp_path):
    with (tmp_path / "said").open("w", encoding="ascii") as file:
        Lasting(file).write("5 ± 1 \udcff\n")
    assert (tmp_path / "said").read_text() == "5 \\xb1 1 \\udcff\n"


def test_a_stream_that_other_code_closed_is_written_to_no_more(tmp_path):
    file = (tmp_path / "said").open("w")
    out = Lasting(file)
    out.write("before")
    file.close()
    out.write("after")
    out.flush()
    assert (tmp_path / "said").read_text() == "before"


def test_an_exit_of_other_code_is_no_exit_code_of_ours(capsys, monkeypatch):
    def report(storage):
        sys.exit(3)

    monkeypatch.setattr("glad_ray.report.write_report", report)
    assert main(["report", "."]) == 1
    assert "ended this command by an exit with code 3" in capsys.readouterr().err
