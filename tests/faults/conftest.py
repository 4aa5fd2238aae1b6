"""The table of faults: each test says what it saw, and `--page FILE` writes a page of it."""

import os
import platform
from pathlib import Path

import pytest

_SEEN = pytest.StashKey[dict[str, tuple[str, str]]]()
_HEAD = """# Faults, and what was seen after them

Written by `make test-faults`, a row a test: real processes on one machine ({machine}), and after each fault the same
table of results as that of a quiet run (bit for bit; to 1e-5 where a run's latents pass through a replica), no training
made twice that was finished, and whatever failed told.

| fault | what was told | what was seen |
|---|---|---|
"""


def pytest_configure(config):
    config.stash[_SEEN] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("fault")


@pytest.fixture
def seen(request):
    """Writes a row of the table, once the test has seen what it says."""

    def write(fault, told, what):
        request.config.stash[_SEEN][fault] = (told, what)

    return write


def pytest_sessionfinish(session, exitstatus):
    page = session.config.getoption("--page")
    if page and exitstatus == 0:
        machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
        rows = [f"| {fault} | {told} | {what} |\n" for fault, (told, what) in session.config.stash[_SEEN].items()]
        Path(page).write_text(_HEAD.format(machine=machine) + "".join(rows))
