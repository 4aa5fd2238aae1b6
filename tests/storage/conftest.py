"""The storage of a sweep that another version left half-way, for modules that bring it as `RECORDING`."""

import pytest


@pytest.fixture(scope="module")
def recording(request):
    return request.module.RECORDING


@pytest.fixture
def left(recording, tmp_path):
    """The storage as it was left."""
    return recording.storage("sweep", tmp_path)


@pytest.fixture(scope="module")
def gone_on(recording, tmp_path_factory):
    """The storage after the same sweep, once more, and what was seen of that."""
    storage = recording.storage("sweep", tmp_path_factory.mktemp("gone-on"))
    return storage, recording.go_on(storage)
