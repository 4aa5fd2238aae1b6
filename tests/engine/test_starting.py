"""Ray where users are: authentication as Ray has it by default, a path of Python that a shell would split, `uv run`.

Every driver is a process of its own with its own HOME, and nothing switches authentication off. One cluster, started by
`ray start`, serves all tests.
"""

import contextlib
import json
import os
import subprocess
import tempfile
import venv
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray

from tests.faults.processes import until
from tests.telling import told_by

pytestmark = [pytest.mark.cluster, pytest.mark.full]
ROOT = Path(__file__).parents[2]
TOKEN = "0123456789abcdef" * 4
# Where gRPC can be imported, Ray starts its client server too, by a line for the shell with a path that is not quoted.
START = """
import sys
sys.modules["grpc"] = None
from ray.scripts.scripts import main
sys.argv = ["ray", "start", "--head", "--block", "--port=0", "--num-cpus=1", "--object-store-memory=100000000",
            "--include-dashboard=false", "--disable-usage-stats"]
main()
"""
# A process with a runtime environment is started by a line for the shell; one that calls back shows a token or none.
DRIVER = """
import json, os, subprocess, sys
import ray
from glad_ray.engine.cluster.connection import connected
from glad_ray.engine.cluster.first_process import check_first_process
from glad_ray.errors import UserError
from tests.recorded import Recorded
from tests.telling import tell

FOUND = dict(os.environ)

class Callee:
    def put(self, value):
        return ray.put(value + 1), sys.executable

def work(address, variables):
    os.environ.update(variables)
    try:
        with connected(address) as joined:
            check_first_process(Recorded(), 1.0, float(os.environ.get("TEST_AT_MOST", 120)))
            callee = ray.remote(Callee).options(num_cpus=0, runtime_env={"env_vars": {"A": "b"}}).remote()
            value, python = ray.get(callee.put.remote(1))
            head = ray.get_runtime_context().gcs_address
            told = {"value": ray.get(value), "python": python, "joined": joined}
            return told if joined else told | {"others": others(head)}
    except UserError as error:
        return {"error": str(error)}
    finally:
        os.environ.clear()
        os.environ.update(FOUND)

def others(head):
    # What somebody without a token is told.
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RAY_AUTH")} | {"HOME": "/nowhere"}
    asked = f"from glad_ray.engine.cluster.authentication import authenticated\\nwith authenticated('{head}'): pass"
    return subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, env=kept).stderr

for each in json.loads(sys.argv[1]):
    tell(work(*each))
"""


def driven(places, *cases, python=None, start=(), cwd=None):
    """What one driver told of each case, an address and variables."""
    words = [*start, str(python or places.python), "-c", DRIVER, json.dumps(cases)]
    return told_by(words, cwd=cwd, env=places.environment("right"))


@pytest.fixture(scope="module")
def places():
    """A Python whose path a shell would take for several words, and homes with the right token, another, and none."""
    # Ray's sockets lie in the folder, and their paths may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="gr", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        own = folder / "My $HOME né's" / ".venv"
        venv.create(own, symlinks=True)
        (site,) = own.glob("lib/python*/site-packages")
        (site / "shared.pth").write_text(f"{ROOT}\n{Path(ray.__file__).parents[1]}\n")
        for home, token in {"right": TOKEN, "wrong": TOKEN[::-1], "none": None}.items():
            (folder / home).mkdir()
            if token:
                (folder / home / ".ray").mkdir()
                (folder / home / ".ray" / "auth_token").write_text(token)

        def environment(home):
            kept = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
            # The cluster's folder is another than the drivers', so that no test finds it by itself.
            return kept | {
                "HOME": str(folder / home),
                "RAY_TMPDIR": str(folder / "t"),
                "PYTHONPATH": str(ROOT),
            }

        yield SimpleNamespace(folder=folder, python=own / "bin" / "python", environment=environment)


@contextlib.contextmanager
def started(places, folder, **variables):
    """The address of a cluster that `ray start` started by that Python."""
    environment = places.environment("right") | {"RAY_TMPDIR": str(places.folder / folder)} | variables
    told = places.folder / folder / "ray" / "ray_current_cluster"
    process = subprocess.Popen(
        [str(places.python), "-c", START], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until(lambda: process.poll() is not None or (told.exists() and told.read_text()))
    assert process.poll() is None
    yield told.read_text()
    process.terminate()
    process.wait()


@pytest.fixture(scope="module")
def head(places):
    """A cluster that asks for the token, as `ray start` has it where there is one."""
    with started(places, "c") as address:
        yield address


def test_a_cluster_with_a_token_is_joined(places, head):
    path = str(places.folder / "right" / ".ray" / "auth_token")
    wrong = {"HOME": str(places.folder / "wrong")}
    cases = [{}, wrong | {"RAY_AUTH_TOKEN": TOKEN}, wrong | {"RAY_AUTH_TOKEN_PATH": path}, {"RAY_AUTH_MODE": "token"}]
    for told in driven(places, *([head, variables] for variables in cases)):
        assert told.get("joined") == head, told
        assert (told["value"], told["python"]) == (2, str(places.python))


def test_a_token_that_does_not_fit_is_told(places, head):
    none, wrong = ({"HOME": str(places.folder / home)} for home in ("none", "wrong"))
    cases = [
        (none, "asks for a token, and none"),
        (none | {"RAY_AUTH_TOKEN_PATH": "/nowhere/token"}, "/nowhere/token"),
        (none | {"RAY_AUTH_MODE": "token"}, "asks for a token, and none"),
        (wrong, "another token than the one in ~/.ray/auth_token"),
        ({"RAY_AUTH_TOKEN": "abc"}, "another token than the one in $RAY_AUTH_TOKEN"),
        ({"RAY_AUTH_MODE": "disabled"}, "RAY_AUTH_MODE is disabled"),
        ({"RAY_AUTH_MODE": "perhaps"}, "use token or disabled"),
    ]
    for told, (_, sentence) in zip(driven(places, *([head, each] for each, _ in cases)), cases, strict=True):
        assert sentence in told["error"]
        assert "token" in told["error"]


def test_a_local_cluster_asks_for_a_token_and_leaves_none(places):
    home = places.folder / "none"
    told, disabled = driven(
        places, ["local", {"HOME": str(home)}], ["local", {"HOME": str(home), "RAY_AUTH_MODE": "disabled"}]
    )
    for each in (told, disabled):
        assert (each["value"], each["python"], each["joined"]) == (2, str(places.python), None)
    assert "asks for a token" in told["others"]
    assert disabled["others"] == "", "who asks for it has it"
    assert not (home / ".ray").exists()


def test_a_cluster_without_authentication_is_joined_by_one_who_has_a_token(places):
    with started(places, "o", RAY_AUTH_MODE="disabled") as head:
        told, asked = driven(places, [head, {}], [head, {"RAY_AUTH_MODE": "token"}])
    assert (told.get("joined"), told.get("value")) == (head, 2), told
    assert "asks for no token" in asked["error"]


def test_uv_run_changes_nothing(places, head):
    """From a folder below a project's root, which Ray refuses where it notices uv."""
    below = places.folder / "project" / "below"
    below.mkdir(parents=True)
    (below.parent / "pyproject.toml").write_text("[project]\nname = 'mine'\nversion = '0'\n")
    (below / "run").write_text('"$@"\nexit $?\n')
    start = ["bash", "-c", 'exec -a uv bash run "$@"', "bash"]
    told, asked = driven(places, [head, {}], [head, {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "1"}], start=start, cwd=below)
    assert (told.get("value"), told.get("python")) == (2, str(places.python)), told
    assert "pyproject.toml" in asked["error"], "who asks for it has it"


def test_a_process_that_never_comes_is_told(places, head):
    job = json.dumps({"runtime_env": {"py_executable": "sleep 1000 #"}})
    (told,) = driven(places, [head, {"TEST_AT_MOST": "2", "RAY_JOB_CONFIG_JSON_ENV_VAR": job}])
    assert "has not started" in told["error"]
    assert str(places.folder / "c" / "ray") in told["error"], "the folder of logs"


def test_what_ray_raises_at_its_start_is_told(places):
    cases = [
        ({"RAY_TMPDIR": "/dev/null"}, "RAY_TMPDIR"),
        ({"RAY_TMPDIR": "/proc/nowhere"}, "RAY_TMPDIR"),
        ({"RAY_TMPDIR": str(places.folder / ("x" * 90))}, "107 bytes"),
        ({"RAY_gcs_server_port_wait_time_s": "abc"}, "'abc'"),
        ({"RAY_JOB_CONFIG_JSON_ENV_VAR": "{"}, "JSON"),
    ]
    for told, (_, sentence) in zip(driven(places, *(["local", each] for each, _ in cases)), cases, strict=True):
        assert "could not be started on this machine" in told["error"]
        assert sentence in told["error"]
