"""What Ray raises when it starts or joins, as one sentence: what was tried, Ray's own words, what to do."""

import errno
import os
import sys

import pytest
from ray.exceptions import AuthenticationError

from glad_ray.engine.cluster.addresses import Address
from glad_ray.engine.cluster.start_errors import check_python_path, start_error
from glad_ray.errors import UserError

LOCAL, THERE = Address("local", "ray start"), Address("head:6379", "--address")
VERSIONS = "Version mismatch: The cluster was started with:\n    Ray: 2.44.1\n    Python: 3.11.7\nThis process with:\n"


def os_error(number):
    return OSError(number, os.strerror(number), "/tmp/ray/session")


@pytest.mark.parametrize(
    ("error", "kept", "remedy"),
    [
        (RuntimeError(VERSIONS), "Ray: 2.44.1", "same on all machines"),
        (ModuleNotFoundError("No module named 'no'"), "'no'", "variable of Ray"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/x/ray"), "/x/ray", "RAY_TMPDIR"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/ray"), "Permission denied", "RAY_TMPDIR"),
        (UnicodeEncodeError("ascii", "é", 0, 1, "ordinal not in range(128)"), "ordinal not in range", "ASCII"),
        (OSError("AF_UNIX path length cannot exceed 107 bytes: /x"), "107 bytes", "shorter path"),
        (os_error(errno.ENOSPC), "No space left", "Make room"),
        (os_error(errno.EMFILE), "Too many open files", "ulimit -n"),
        (os_error(errno.EADDRINUSE), "Address already in use", "port"),
        (ValueError("invalid literal for int() with base 10: 'abc'"), "'abc'", "variable of Ray"),
        (ValueError("Attempting to cap object store memory usage at 10 bytes"), "10 bytes", "more memory"),
        (TimeoutError("Timed out waiting for file gcs_server_port"), "gcs_server_port", "logs"),
        (Exception("The current node timed out during startup."), "timed out during startup", "logs"),
        (Exception(), "Exception", "logs"),
        (RuntimeError("one\n" + "two " * 200), "one", "logs"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_ray_cannot_start(error, kept, remedy):
    told = start_error(error, LOCAL)
    assert isinstance(told, UserError)
    assert str(told).startswith("Ray could not be started on this machine")
    assert kept in str(told)
    assert remedy in str(told)
    assert "\n" not in str(told)


@pytest.mark.parametrize(
    ("error", "kept", "remedy"),
    [
        (RuntimeError(VERSIONS), "Ray: 2.44.1", "same on all machines"),
        (ConnectionError("Failed to connect to Ray cluster at head:6379"), "Failed to connect", "one of its machines"),
        (TimeoutError("no answer"), "no answer", "one of its machines"),
        (AuthenticationError("Token authentication is enabled"), "Token authentication", "ray get-auth-token"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_cluster_cannot_be_joined(error, kept, remedy):
    told = str(start_error(error, THERE))
    assert told.startswith("The Ray cluster at head:6379 could not be joined")
    assert kept in told
    assert remedy in told


def test_the_reason_below_is_told_too(monkeypatch):
    monkeypatch.setenv("RAY_memory_usage_threshold", "7")
    error = ConnectionError("Failed to connect to Ray cluster at head:6379")
    error.__cause__ = RuntimeError("No node info found matching attributes: ''")
    told = str(start_error(error, THERE))
    assert "Failed to connect to Ray cluster" in told
    assert "No node info found" in told
    assert "RAY_memory_usage_threshold" in told, "variables that are set are named"


@pytest.mark.parametrize("folder", ["it's", "back\\slash"])
def test_a_path_of_python_that_ray_misreads_is_refused(folder, monkeypatch):
    monkeypatch.setattr(sys, "executable", f"/home/me/{folder}/.venv/bin/python")
    with pytest.raises(UserError, match="another folder"):
        check_python_path()


@pytest.mark.parametrize("folder", ["My Project", "it's my project", 'a "b"', "$HOME", "né", "a & (b); c"])
def test_other_paths_of_python_are_not(folder, monkeypatch):
    monkeypatch.setattr(sys, "executable", f"/home/me/{folder}/.venv/bin/python")
    check_python_path()
