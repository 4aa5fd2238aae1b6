"""A Ray cluster of many nodes on one small machine: raylets, GCS and workers are real, their resources only counted.

Beside its raylet a node runs two agents, in Python, of 75 and 45 MiB: one reports metrics, which nobody reads here, the
other prepares environments of workers. In their place is a shell script that waits for the raylet's end. It says of the
first that it has no port, and of the second that it has the head's, which serves them all. So a node takes 10 MiB and
not 130, and starts in a second. Linux, and Ray 2.60: where Ray builds the commands of agents is none of its public
places.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray._private import services
from ray.cluster_utils import Cluster

_AGENT = """\
#!/bin/sh
for given in "$@"; do
  case $given in --node-id=*) node=${given#*=} ;; --session-dir=*) session=${given#*=} ;; esac
done
for port in PORTS; do
  NUMBER > "$session/$$" && mv "$session/$$" "$session/${port}_$node"
done
exec tail --pid=$PPID -s 10 -f /dev/null
"""
# The files in which a raylet looks for the ports of its agents, and how to tell them; -1: none.
_AGENTS = {
    "dashboard_agent": ("metrics_agent_port metrics_export_port dashboard_agent_listen_port", "printf %s -1"),
    "runtime_env_agent": ("runtime_env_agent_port", 'cat "$session/runtime_env_agent_port_HEAD"'),
}
_ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_worker_prestart": "false",
    "RAY_prestart_worker_first_driver": "false",
    "RAY_idle_worker_killing_time_threshold_ms": "60000",
    # Where many nodes share few cores, silence is no sign of death.
    "RAY_health_check_initial_delay_ms": "600000",
    "RAY_health_check_period_ms": "60000",
    "RAY_health_check_timeout_ms": "600000",
    "RAY_raylet_death_check_interval_milliseconds": "60000",
    "RAY_worker_register_timeout_seconds": "600",
}


class Worker(NamedTuple):
    """A worker process."""

    node: int
    """number of its node; 0 is the head"""
    process: int
    title: str
    """what it does, as Ray titles it"""
    own_bytes: int
    """its proportional set size: a page that n processes map counts 1/n"""


class LightCluster(NamedTuple):
    """Nodes, of which this process drives the first."""

    raylets: tuple[int, ...]
    """their processes"""

    def workers(self) -> list[Worker]:
        """The workers of all nodes that there are now."""
        found = []
        for number, raylet in enumerate(self.raylets):
            # Threads and processes end while one reads.
            for task in Path(f"/proc/{raylet}/task").iterdir():
                with contextlib.suppress(OSError):
                    for process in map(int, (task / "children").read_text().split()):
                        title = Path(f"/proc/{process}/cmdline").read_bytes().rstrip(b"\0 ").decode()
                        if title.startswith("ray::"):
                            found.append(Worker(number, process, title, proportional_bytes(process)))
        return found


@contextlib.contextmanager
def light_cluster(nodes: int, head: Mapping[str, Any], **each: Any) -> Iterator[LightCluster]:
    """A cluster of so many nodes, `each` as `Cluster.add_node` takes it and the first also by what `head` says, and a
    connection to it.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)))
        # With a temporary folder of its own, no other process finds this cluster as the one that was started here.
        stack.enter_context(_environment(_ENVIRONMENT | {"RAY_TMPDIR": str(folder)}))
        with _replaced(folder, "dashboard_agent"):
            cluster = Cluster(initialize_head=True, head_node_args={**each, **head, "include_dashboard": False})
        stack.callback(cluster.shutdown)
        with _replaced(folder, *_AGENTS, head=cluster.head_node.node_id):
            added = [cluster.add_node(**each) for _ in range(nodes - 1)]
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        stack.callback(ray.shutdown)
        yield LightCluster(tuple(map(_raylet, [cluster.head_node, *added])))


def proportional_bytes(process: int | str) -> int:
    """The proportional set size of a process."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _replaced(folder: Path, *agents: str, head: str = "") -> Iterator[None]:
    """Raylets that are started meanwhile have scripts for some agents, which lie in a folder; `head` is its id."""
    real = services._build_python_executable_command_memory_profileable
    for agent in agents:
        ports, number = _AGENTS[agent]
        script = folder / agent
        script.write_text(_AGENT.replace("PORTS", ports).replace("NUMBER", number.replace("HEAD", head)))
        script.chmod(0o755)

    def command(component: str, *arguments: Any, **options: Any) -> list[str]:
        return [str(folder / component)] if component in agents else real(component, *arguments, **options)

    services._build_python_executable_command_memory_profileable = command
    try:
        yield
    finally:
        services._build_python_executable_command_memory_profileable = real


def _raylet(node: Any) -> int:
    (raylet,) = node.all_processes["raylet"]
    return int(raylet.process.pid)
