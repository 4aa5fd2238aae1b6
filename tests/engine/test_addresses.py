"""Addresses of clusters: what is none is refused in one sentence, before anything is written."""

import socket
import subprocess
import sys

import pytest

from glad_ray.cli import main
from glad_ray.engine.cluster.addresses import check_address, check_answer, check_machine, find_address
from glad_ray.errors import UserError

REFUSED = {
    "": "is empty",
    " ": "is empty",
    "127.0.0.1": "HOST:PORT",
    "somewhere:": "HOST:PORT",
    ":6379": "HOST:PORT",
    "::1:6379": "HOST:PORT",
    "[]:6379": "HOST:PORT",
    "some where:6379": "HOST:PORT",
    "somewhere:port": "HOST:PORT",
    "somewhere:6379/": "HOST:PORT",
    "user@somewhere:6379": "HOST:PORT",
    "somewhere:0": "from 1 to 65535",
    "somewhere:99999": "from 1 to 65535",
    "somewhere:-1": "HOST:PORT",
    "somewhere:٦٣٧٩": "from 1 to 65535",
    "Local": "HOST:PORT",
    "ray://somewhere:10001": "on the cluster",
    "http://127.0.0.1:8265": "dashboard",
    "https://127.0.0.1:8265": "dashboard",
    "redis://127.0.0.1:6379": "HOST:PORT",
}


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(UserError, match=REFUSED[address]):
        check_address(address)


@pytest.mark.parametrize("address", ["auto", "local", "127.0.0.1:6379", "[::1]:6379", "head.example.org:65535"])
def test_addresses(address):
    check_address(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "http://127.0.0.1:8265"])
@pytest.mark.parametrize("command", ["sweep", "search", "experts"])
def test_commands_refuse_it_before_they_write(command, address, tmp_path, capsys):
    words = {
        "sweep": ["sweeps/quickstart.py", "--small"],
        "search": ["sweeps/search_layers.py"],
        "experts": ["--dataset", "fashion-mnist-sample"],
    }[command]
    assert main([command, *words, "--storage", str(tmp_path / "kept"), "--address", address]) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert f"--address '{address}'" in sentence
    assert not (tmp_path / "kept").exists()


def test_the_variable_is_named_where_it_is_wrong(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    for address in (None, "auto"):
        with pytest.raises(UserError, match="RAY_ADDRESS 'http"):
            find_address(address)


def test_the_option_goes_before_the_variable(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    assert find_address("local").local
    assert find_address("127.0.0.1:1").given == "127.0.0.1:1"
    assert find_address(None) == ("127.0.0.1:6379", "RAY_ADDRESS")


def test_nothing_is_started_here(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_ADDRESS")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert find_address(None).local
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:6379")
    assert find_address(None) == ("127.0.0.1:6379", "ray start")


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        check_answer(f"127.0.0.1:{port}")
    with pytest.raises(UserError, match=f"no Ray cluster at 127.0.0.1:{port}: start one"):
        check_answer(f"127.0.0.1:{port}")
    with pytest.raises(UserError, match="no Ray cluster at"):
        check_answer("nowhere.invalid:6379")


def test_a_machine_that_is_none_of_the_clusters(monkeypatch):
    """Ray tells by the processes that run here."""
    sleeping = ["raylet", "-c", "import time; time.sleep(60)", "--node_id=1f2e"]
    with subprocess.Popen(sleeping, executable=sys.executable) as process:
        check_machine("head:6379")
        process.kill()
    monkeypatch.setattr("psutil.process_iter", lambda *_: iter(()))
    with pytest.raises(UserError, match="ray start --address=head:6379"):
        check_machine("head:6379")
