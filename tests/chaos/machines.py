"""Three machines of a Ray cluster, each a raylet with all that belongs to it, that lose all their processes at once."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.faults.processes import processes

_MARK = "CHAOS_MACHINE"
_RAY = Path(sys.executable).with_name("ray")
_PORT = 6390
_STARTS = 12
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONPATH": str(Path(__file__).parents[2]),
}


class Machine:
    """A machine, up or not; its processes are found by what they have in their environment."""

    def __init__(self, name: str, cpus: int, ip: str, head: bool = False) -> None:
        self.name, self.cpus, self.ip, self.head = name, cpus, ip, head

    def start(self) -> None:
        """Its raylet joins the cluster, with a GCS of its own where it is the head."""
        where = ["--head", f"--port={_PORT}", "--include-dashboard=false"] if self.head else [f"--address={address()}"]
        words = [
            _RAY, "start", *where, f"--node-ip-address={self.ip}", f"--num-cpus={self.cpus}",
            f"--object-store-memory={100 * 2**20}", "--disable-usage-stats",
        ]  # fmt: skip
        environment = os.environ | ENVIRONMENT | {_MARK: self.name}
        # Ray gives up where a machine has much else to do.
        for _ in range(_STARTS):
            started = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
            if started.returncode == 0:
                return
            self.kill()
        raise RuntimeError(f"{self.name} does not start: {started.stdout[-2000:]} {started.stderr[-2000:]}")

    @property
    def pids(self) -> set[int]:
        """Of its processes."""
        mark = f"{_MARK}={self.name}"
        return {pid for pid, text in processes("environ") if mark in text.split("\0")}

    def kill(self) -> int:
        """SIGKILL to all at once, those just being started too; returns how many there were."""
        killed: set[int] = set()
        while pids := self.pids:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
            time.sleep(0.05)
        return len(killed)


def address() -> str:
    """Of the cluster."""
    return f"127.0.0.1:{_PORT}"


class Cluster:
    """The head with the GCS, and two more machines."""

    def __init__(self) -> None:
        self.head = Machine("the head", 1, "127.0.0.1", head=True)
        self.others = (Machine("the second machine", 1, "127.0.0.2"), Machine("the third machine", 1, "127.0.0.3"))

    @property
    def machines(self) -> tuple[Machine, ...]:
        """All of them."""
        return self.head, *self.others

    def start(self) -> None:
        """All, the head first; what still runs of them ends, for it belonged to another head."""
        for machine in self.machines:
            machine.kill()
        for machine in self.machines:
            machine.start()

    def where(self, pid: int) -> str:
        """The machine of a process."""
        return next((machine.name for machine in self.machines if pid in machine.pids), "no machine")
