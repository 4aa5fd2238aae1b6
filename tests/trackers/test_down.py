"""Servers of trackers that refuse or never answer, and what a sweep without trackers imports: real processes."""

import importlib.util
import socket
import subprocess
import sys

import pytest

from tests.trackers.tiny_sweep import driven, rows_of, untracked

pytestmark = [pytest.mark.fault, pytest.mark.full]
WITHOUT = """
import sys
from tests.trackers.tiny_sweep import SWEEP
from glad_ray import api
api.run(SWEEP, sys.argv[1], in_process=True, device="cpu")
print("imported:", *sorted({"tensorboard", "mlflow", "wandb", "trackio"} & sys.modules.keys()))
"""


@pytest.fixture
def refusing():
    """A port at which nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return closed.getsockname()[1]


@pytest.fixture
def silent():
    """A port at which connections are accepted by the system, and nobody ever reads."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(100)
        yield listening.getsockname()[1]


def test_servers_that_refuse_or_do_not_answer(tmp_path, refusing, silent):
    places = [f"mlflow:http://127.0.0.1:{port}" for port in (refusing, silent) if importlib.util.find_spec("mlflow")]
    places += ["wandb"] if importlib.util.find_spec("wandb") else []
    if not places:
        pytest.skip("neither mlflow nor wandb is installed")
    env = {"WANDB_BASE_URL": f"http://127.0.0.1:{refusing}", "WANDB_API_KEY": "0" * 40, "WANDB_DIR": str(tmp_path)}
    ended = driven(tmp_path / "kept", 0, places, env, tmp_path)
    assert ended.returncode == 0
    assert "3 of 3 runs finished" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr
    for place in places:
        title = place.replace(":", " at ", 1)
        assert ended.stderr.count(f"{title} did not take everything of 3 runs (") == 1
        assert ended.stdout.count(f"untracked  {title}: ") <= 1
    assert rows_of(tmp_path / "kept").equals(rows_of(untracked(tmp_path)))


def test_a_sweep_without_trackers_imports_none(tmp_path):
    ended = subprocess.run([sys.executable, "-c", WITHOUT, str(tmp_path / "kept")], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1].strip() == "imported:"
