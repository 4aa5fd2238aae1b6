"""What a driver does when the head of its cluster is gone."""

import socket
import subprocess
import sys
import threading
import time

import pytest

from glad_ray.engine.cluster.head_watch import watching_head
from glad_ray.errors import GladRayError, UserError


@pytest.fixture
def head():
    """Something that listens, until it is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def address(head):
    return f"127.0.0.1:{head.getsockname()[1]}"


def test_a_head_that_is_gone_ends_what_goes_on_in_one_sentence(head):
    threading.Timer(0.5, head.close).start()
    with pytest.raises(GladRayError, match="has not answered for"), watching_head(address(head), silent_seconds=0.5):
        time.sleep(30)
    assert head.fileno() == -1, "not while it answered"


def test_what_goes_wrong_without_a_head_is_told_as_that(head):
    def fail():
        with watching_head(address(head)):
            head.close()
            raise RuntimeError("some call of Ray")

    with pytest.raises(GladRayError, match="has not answered"):
        fail()


@pytest.mark.parametrize("error", [RuntimeError, UserError, KeyboardInterrupt])
def test_with_a_head_errors_are_what_they_are(head, error):
    with pytest.raises(error), watching_head(address(head)):
        raise error("x")


def test_errors_are_what_they_are_where_leaving_ends_the_head(head):
    def fail():
        with watching_head(address(head), end=head.close):
            raise RuntimeError("x")

    with pytest.raises(RuntimeError):
        fail()
    assert head.fileno() == -1


_HANGS = """
import signal, time
from glad_ray.engine.cluster.head_watch import watching_head
signal.signal(signal.SIGINT, signal.SIG_IGN)
with watching_head("127.0.0.1:1", silent_seconds=0.2):
    time.sleep(100)
"""


def test_where_no_signal_reaches_the_main_thread_the_process_ends():
    ended = subprocess.run([sys.executable, "-c", _HANGS], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.startswith("glad-ray: The head of the Ray cluster (127.0.0.1:1) has not answered for")
    assert ended.stderr.count("\n") == 1
