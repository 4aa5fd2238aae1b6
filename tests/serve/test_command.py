"""`glad-ray serve` as a user types it: what it refuses, in one sentence, and how it ends."""

import json
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from glad_ray.cli import main
from glad_ray.plan import make_plan, write_plan
from glad_ray.serve.server import listen
from glad_ray.storage import Storage
from tests.report import sample


@pytest.fixture
def planned(storage):
    write_plan(make_plan(sample.small_sweep()), storage)
    return storage


def refused(capsys, *words):
    assert main(["serve", *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def test_what_is_no_storage_of_a_sweep(planned, storage, tmp_path, capsys):
    assert "There is no folder" in refused(capsys, str(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    assert "There is no sweep or search in" in refused(capsys, str(planned), str(tmp_path / "empty"))
    assert "nowhere://x cannot be opened" in refused(capsys, "nowhere://x")
    plan = json.loads(planned.read_bytes(Storage.PLAN))
    plan["sweep"]["runs"][0]["of_a_later_version"] = 1
    planned.write_bytes(Storage.PLAN, json.dumps(plan).encode())
    assert "read it with the version that wrote it" in refused(capsys, str(planned))


def test_an_address_that_cannot_be_listened_at(planned, capsys):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        said = refused(capsys, str(planned), "--port", str(port))
        assert said.startswith(f"glad-ray: Port {port} of 127.0.0.1 cannot be listened at (Address already in use)")
    assert "is no address of this machine" in refused(capsys, str(planned), "--host", "nowhere.invalid")
    assert "at least 16 characters" in refused(capsys, str(planned), "--port", "0", "--token", "short")
    assert "--port" in refused(capsys, str(planned), "--port", "70000")


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_what_it_needs(missing, planned, capsys, monkeypatch):
    of_it = [name for name in sys.modules if name.partition(".")[0] == missing]
    for name in (*of_it, *(f"glad_ray.serve.{each}" for each in ("server", "app", "access"))):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    said = refused(capsys, str(planned))
    assert said == "glad-ray: The page needs starlette and uvicorn: pip install 'glad-ray[serve]'.\n"


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.full)],
)
def test_it_answers_until_it_is_interrupted(number, code, planned):
    """It loads neither PyTorch nor Ray, which would keep it from beginning at once."""
    words = f"['serve', {planned.uri!r}, '--port', '0']"
    program = (
        f"import sys; from glad_ray.cli import main; code = main({words}); "
        "print(sorted({'torch', 'ray'} & set(sys.modules))); sys.exit(code)"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", program], **pipes) as process:
        try:
            address = re.search(r"Open (http://127\.0\.0\.1:\d+/) in a browser", process.stdout.readline())[1]
            with urllib.request.urlopen(f"{address}1/") as answer:
                assert b"<h1>small</h1>" in answer.read()
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == code
    assert out == "[]\n"
    assert err.startswith("glad-ray: Interrupted")
    assert err.count("\n") == 1
