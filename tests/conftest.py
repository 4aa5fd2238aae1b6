"""What many tests share: the bundled images, storage, one Ray session, and which tests are run by which command.

Every test has one kind: unit, ray, cluster or fault (the markers in pyproject.toml). A worker of pytest-xdist runs
all tests that use the shared Ray session or the shared sweep; other tests are given out file by file.
"""

import os
import shutil
import signal
import sys
import tempfile

import pytest
import torch

from glad_ray.data import load_dataset
from glad_ray.data.prepare import CACHE_VARIABLE
from glad_ray.module_path import VARIABLE as MODULE_FOLDERS
from glad_ray.storage import Storage
from tests.recorded import Recorded

pytest.register_assert_rewrite(
    "tests.engine.tiny", "tests.faults.tables", "tests.storage.suite", "tests.storage.recording"
)

# The tests' tensors are small: one thread is faster, above all beside other work.
torch.set_num_threads(1)

_COMMANDS = ("test_gpu_rehearsal.py", "test_on_gpu_benchmark.py")
"""files whose tests run a command for a minute, though without Ray"""
KINDS = ("unit", "ray", "cluster", "fault")
_CACHE = "GLAD_RAY_CACHE_OF_TESTS"
"""the folder in which datasets are prepared, for all processes of one call of pytest"""


def pytest_addoption(parser):
    parser.addoption("--page", metavar="FILE", help="write what the tests of faults, or of hosts, saw to this page")
    parser.addoption("--mixes", type=int, default=3, help="how many random mixes of resources test_fractions.py tries")


def pytest_configure(config):
    # A shell without job control has what it starts with & ignore it, and so would every process of a test.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if _CACHE not in os.environ:
        folder = tempfile.mkdtemp(prefix="glad-ray-tests-")
        os.environ[_CACHE] = folder
        config.add_cleanup(lambda: (os.environ.pop(_CACHE), shutil.rmtree(folder, ignore_errors=True)))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    for item in items:
        if not any(item.get_closest_marker(kind) for kind in KINDS):
            item.add_marker("ray" if _shares(item) == "ray_session" else "unit")
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    # The longest group is begun first; short files fill up what is left at the end.
    items.sort(key=_turn)


def _shares(item):
    """The fixture that only one worker should set up, if the test uses one."""
    fixtures = getattr(item, "fixturenames", ())
    return next((name for name in ("ray_session", "in_process") if name in fixtures), None)


def _group(item):
    """What one worker does: a file, or the tests of many that use the shared session or sweep. Searches, which take as
    long as all others together with `full`, have a session of their own.
    """
    return "shared" if _shares(item) and item.path.name != "test_search.py" else item.location[0]


def _turn(item):
    """0 for what shares a fixture, 1 for what starts processes of its own, 2 for the rest."""
    if _shares(item):
        return 0
    return 2 if item.get_closest_marker("unit") and item.path.name not in _COMMANDS else 1


@pytest.fixture(scope="session", autouse=True)
def cache():
    """Datasets are prepared in a folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, os.environ[_CACHE])
        yield


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Processes of tests have one thread each too, or those that wait for a core keep it busy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="session")
def sample(cache):
    """The bundled images at 32 pixels, 10 a class held out."""
    return load_dataset("fashion-mnist-sample", resolution=32, held_out=10)


@pytest.fixture(scope="session", autouse=True)
def no_cluster():
    """Whatever Ray cluster runs on this machine is left alone; those of tests do not give way to other tests, as Ray's
    workers give way to all else on a machine.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", "local")
        patch.setenv("RAY_worker_niceness", "0")
        yield


@pytest.fixture
def storage(tmp_path):
    return Storage.open(tmp_path / "storage")


@pytest.fixture
def view():
    return Recorded()


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.fixture(scope="session")
def in_process(tmp_path_factory):
    """The storage and the view of a sweep in this process, with runs that fail among the others."""
    from glad_ray.engine.in_process import run_in_process
    from tests.engine import tiny

    storage, view = Storage.open(tmp_path_factory.mktemp("in-process")), Recorded()
    run_in_process(tiny.plan(*tiny.RUNS), storage, device="cpu", view=view)
    return storage, view


@pytest.fixture(scope="session")
def ray_session():
    """The Ray that tests share: two CPUs, processes that stay."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_idle_worker_killing_time_threshold_ms", "600000")
        ray.init(
            address="local",
            num_cpus=2,
            num_gpus=0,
            object_store_memory=150 * 2**20,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
        yield
        ray.shutdown()


@pytest.fixture(autouse=True)
def module_folders(monkeypatch):
    """The folders of sweep files that a test reads are forgotten after it."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv(MODULE_FOLDERS, "")
    monkeypatch.delenv(MODULE_FOLDERS)
