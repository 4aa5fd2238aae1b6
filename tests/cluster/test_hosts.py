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
with Hosts(Path(sys.argv[1]), ("one", "two")) as hosts:
    print(*sorted(hosts.namespaces), flush=True)
    time.sleep(600)
"""


def test_hosts_know_what_there_is_of_them(tmp_path):
    with Hosts(tmp_path / "hosts", ("one", "two")) as hosts:
        assert len(hosts.namespaces) == 3
        assert {line.split()[0] for line in hosts.left()} == {"process"}
        reached = hosts.command("ssh -o StrictHostKeyChecking=no root@two hostname")
        assert subprocess.run(reached, capture_output=True, text=True, check=True).stdout == "two\n"
    assert hosts.left() == []


def test_a_host_that_is_switched_on_again_has_its_files(tmp_path):
    with Hosts(tmp_path / "hosts", ("one", "two")) as hosts:
        (hosts.home("two") / "kept").write_text("as it was\n")
        hosts.power_off("two")
        reached = hosts.command("ssh -o StrictHostKeyChecking=no -o ConnectTimeout=3 root@10.77.0.3 cat kept")
        assert subprocess.run(reached, capture_output=True, check=False).returncode == 255
        hosts.power_on("two")
        assert subprocess.run(reached, capture_output=True, text=True, check=True).stdout == "as it was\n"


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
