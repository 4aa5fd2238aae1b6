"""The table of faults: each test says what it saw, and a page is written of it where FAULTS_PAGE names one.

Without it only the quick tests are run.
"""

import os
import platform
from pathlib import Path

import pytest

from tests.engine.conftest import in_process, ray_session, view  # noqa: F401

_PAGE = "FAULTS_PAGE"
_SEEN = pytest.StashKey[dict[str, tuple[str, str]]]()
_HEAD = """# Faults, and what was seen after them

Written by `make test-faults`, a row a test: real processes on one machine ({machine}), and after each fault the same
table of results as that of a quiet run (bit for bit; to 1e-5 where a run's latents pass through a replica), no training
made twice that was finished, and whatever failed told.

| fault | what was told | what was seen |
|---|---|---|
"""


def pytest_configure(config):
    config.addinivalue_line("markers", "long_fault: takes long, and is run by make test-faults alone")
    config.stash[_SEEN] = {}


def pytest_collection_modifyitems(config, items):
    if _PAGE not in os.environ:
        long = [item for item in items if item.get_closest_marker("long_fault")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.fixture
def seen(request):
    """Writes a row of the table, once the test has seen what it says."""

    def write(fault, told, what):
        request.config.stash[_SEEN][fault] = (told, what)

    return write


def pytest_sessionfinish(session, exitstatus):
    page = os.environ.get(_PAGE)
    if page and exitstatus == 0:
        machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
        rows = [f"| {fault} | {told} | {what} |\n" for fault, (told, what) in session.config.stash[_SEEN].items()]
        Path(page).write_text(_HEAD.format(machine=machine) + "".join(rows))
