"""The page of what was run on hosts: what was typed, what came of it, and how long it took.

Without `--page FILE` no test of this folder is run; the page is written where all have passed.
"""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import pytest
import ray

from tests.cluster.page import Section

_SECTIONS = pytest.StashKey[dict[str, Section]]()
_HEAD = """# A cluster, started and used for real

Written by `make test-cluster` on {date}: {cores} cores ({machine}, Linux {kernel}), Python {python}, Ray {ray}. Every
command is as it was typed; of what it printed, lines of Ray's own are left out. Seconds are those of this machine.
"""


def pytest_configure(config):
    config.stash[_SECTIONS] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    here = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    for item in here:
        item.add_marker("cluster")
    if not config.getoption("--page"):
        config.hook.pytest_deselected(items=here)
        items[:] = [item for item in items if item not in here]


@pytest.fixture(scope="module")
def told(request):
    """The section of the page that a module writes; its title is the first line of the module's docstring."""
    title = request.module.__doc__.partition("\n")[0].rstrip(".")
    return request.config.stash[_SECTIONS].setdefault(title, Section(title))


def pytest_sessionfinish(session, exitstatus):
    page = session.config.getoption("--page")
    if page and exitstatus == 0:
        head = _HEAD.format(
            date=f"{datetime.now(UTC):%Y-%m-%d}",
            cores=os.cpu_count(),
            machine=platform.machine(),
            kernel=platform.release(),
            python=platform.python_version(),
            ray=ray.__version__,
        )
        Path(page).write_text("\n".join([head, *map(str, session.config.stash[_SECTIONS].values())]))
