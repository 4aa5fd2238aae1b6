"""Hosts leave nothing behind, even where nobody takes them down."""

import signal
import subprocess
import sys

from tests.cluster.hosts import ROOT, Hosts, namespace
from tests.faults.processes import processes, until

MADE = """
import sys, time
from pathlib import Path
from tests.cluster.hosts import Hosts
hosts = Hosts(Path(sys.argv[1]), ("one", "two"))
print(*sorted(hosts.namespaces), flush=True)
time.sleep(600)
"""


def test_hosts_know_what_there_is_of_them(tmp_path):
    hosts = Hosts(tmp_path / "hosts", ("one", "two"))
    try:
        assert len(hosts.namespaces) == 3
        assert {line.split()[0] for line in hosts.left()} == {"process"}
        reached = hosts.command("ssh -o StrictHostKeyChecking=no root@two hostname")
        assert subprocess.run(reached, capture_output=True, text=True, check=True).stdout == "two\n"
    finally:
        hosts.close()
    assert hosts.left() == []


def test_nothing_is_left_where_their_maker_is_killed(tmp_path):
    words = [sys.executable, "-c", MADE, str(tmp_path / "hosts")]
    maker = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    namespaces = set(maker.stdout.readline().split())
    assert len(namespaces) == 3
    assert in_any(namespaces)
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    until(lambda: not in_any(namespaces))
    assert "wire" not in subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout


def in_any(namespaces):
    """Processes in some namespaces."""
    return [pid for pid, _ in processes("cmdline") if namespace(pid) in namespaces]
