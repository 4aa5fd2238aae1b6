"""`ray up`, `ray submit` and `ray down` on three hosts.

The tests are steps in their order: one cluster, on which a sweep is run, loses a host, and is left by its client.
"""

import itertools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from glad_ray.results import read_entry, read_results
from glad_ray.storage import Storage
from tests.cluster.commands import Command, run
from tests.cluster.hosts import COMMANDS, ROOT, SHARED, Hosts
from tests.cluster.sweep import sweep
from tests.engine import tiny
from tests.faults.processes import until

pytestmark = pytest.mark.timeout(1500)
THROUGH_REPLICA = 1e-5
RUNS = {run.run_id: run for run in sweep().runs}
FILE = "tests/cluster/sweep.py"
CLUSTER = "~/cluster.yaml"
LEFT_BY_DOWN = "log_monitor.py"
RAYS_OWN = ("ray::", "/ray/core/", "/ray/dashboard/", "/ray/autoscaler/", "/ray/_private/", "ray start")


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """A client's place, a head and two workers, of which nothing is left afterwards."""
    missing = [command for command in COMMANDS if not shutil.which(command)]
    assert not missing, f"{', '.join(missing)} not found: make test-cluster installs what is needed."
    assert os.geteuid() == 0, "Hosts are made of namespaces, for which one has to be root: sudo make test-cluster."
    with Hosts(tmp_path_factory.mktemp("hosts"), ("head", "worker1", "worker2")) as made:
        yield made
    assert made.left() == []


@pytest.fixture(scope="module")
def quiet(tmp_path_factory, told):
    """The storage of the same sweep, run by itself."""
    storage = tmp_path_factory.mktemp("quiet")
    began = time.monotonic()
    words = ["-m", "glad_ray", "sweep", FILE, "--in-process", "--storage", storage]
    ended = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    told("The sweep by itself, in one process, for its table:")
    output = ended.stdout.replace(str(storage), "local").splitlines()
    told.ran(f"glad-ray sweep {FILE} --in-process --storage local", time.monotonic() - began, output)
    return Storage.open(storage)


@pytest.fixture(scope="module")
def cluster(hosts, told):
    """Three machines that `ray up` made one of."""
    (hosts.home("client") / "cluster.yaml").write_text(yaml.safe_dump(launcher_file(hosts), width=200))
    told(
        "Three hosts (namespaces for network, mounts, processes and names, each with its own sshd, home, /tmp and "
        f"/dev/shm), and a place for the client, joined by a bridge; {SHARED} is one folder on all of them. {CLUSTER} "
        "is cluster/local.yaml with the addresses, login and key that are to be set there, 1 CPU a worker, a small "
        "object store, and in place of the installation a line in ~/.bashrc: the hosts have the packages, as an image "
        "has."
    )
    run(hosts, told, "ray get-auth-token --generate > /dev/null")
    began = time.monotonic()
    run(hosts, told, f"RAY_UP_enable_autoscaler_v2=0 ray up -y {CLUSTER}")
    wait_for_machines(hosts, told)
    told(f"From the first command to three machines: {time.monotonic() - began:.0f} s.")


def launcher_file(hosts):
    """cluster/local.yaml with what it says is to be changed, for hosts that have the packages already."""
    config = yaml.safe_load((ROOT / "cluster/local.yaml").read_text())
    head, *workers = hosts.addresses.values()
    config["provider"] |= {"head_ip": head, "worker_ips": workers}
    config["auth"] |= {"ssh_user": "root", "ssh_private_key": "~/.ssh/id_ed25519"}
    ours = f"{Path(sys.executable).parent}:$PATH PYTHONPATH=~/glad-ray OMP_NUM_THREADS=1"
    *_, variables = config["setup_commands"]
    config["setup_commands"] = [variables.replace("~/glad-ray/.venv/bin:$PATH", ours)]
    assert ours in config["setup_commands"][0]
    for commands, options in (("head_start_ray_commands", ""), ("worker_start_ray_commands", " --num-cpus=1")):
        start = f"ray start --object-store-memory=200000000{options}"
        config[commands] = [each.replace("ray start", start) for each in config[commands]]
    return config


def wait_for_machines(hosts, told):
    """Until head and workers are there."""
    typed = f"ray exec {CLUSTER} 'ray status'"
    while True:
        status = Command(hosts, typed)
        assert status.wait() == 0, status.output
        if any(line.split() == ["3", "local.cluster.node"] for line in status.output):
            break
        time.sleep(5)
    told.ran(typed, status.took, itertools.takewhile(lambda line: "Recent failures" not in line, status.output))


@pytest.mark.usefixtures("cluster")
def test_same_table(hosts, quiet, told):
    told("The sweep on the cluster:")
    submitted = run(hosts, told, submit("first"))
    assert submitted.said("3 machines with 2 CPUs")
    storage = storage_of(hosts, "first")
    assert_same_table(storage, quiet)
    worked = {entry.host for entry in work(storage)}
    assert worked == {"worker1", "worker2"}
    told(f"Worked: {' and '.join(sorted(worked))}. The table is that of the quiet run:\n\n{tables(storage, quiet)}")


@pytest.mark.usefixtures("cluster")
def test_host_powered_off(hosts, quiet, told):
    told("The same in a new storage, where a worker loses its power (no process of it is told, no connection closed):")
    storage, command = storage_of(hosts, "second"), Command(hosts, submit("second"))
    lost = []
    until(lambda: lost.extend(under_way(storage, hosts)) or lost or not command.running)
    assert command.running, command.output
    (run_id, host), at, seen = lost[0], command.seconds, []
    hosts.power_off(host)
    kept = checkpoints(storage)[run_id]
    while command.running:
        now = checkpoints(storage).get(run_id)
        if now is not None and now.host != host and now.step not in seen:
            seen.append(now.step)
        time.sleep(0.05)
    assert command.wait() == 0, command.output
    told.ran(command.typed, command.took, command.output)
    every = RUNS[run_id].checkpoint_every
    assert seen[0] == kept.step + every, "no step before the last checkpoint was made again, and none left out"
    again = command.said(f"again      {RUNS[run_id].label}")
    assert again is not None
    assert again - at < 180, "the driver learned of it by the connection, not by Ray's default of five minutes"
    assert_same_table(storage, quiet)
    told(
        f"After {at:.0f} s {host} was switched off while it distilled {RUNS[run_id].label}, whose last checkpoint was "
        f"of step {kept.step}. {again - at:.0f} s later the driver gave the run to the other worker, which went on "
        f"from it (its next checkpoint was of step {seen[0]}): fewer than {every} steps were made again. The table is "
        f"that of the quiet run:\n\n{tables(storage, quiet)}"
    )
    began = time.monotonic()
    hosts.power_on(host)
    told(f"{host} is switched on again, and nothing else is done:")
    wait_for_machines(hosts, told)
    told(f"It was a worker again after {time.monotonic() - began:.0f} s.")


@pytest.mark.usefixtures("cluster")
def test_client_goes_away(hosts, quiet, told):
    told("And once more, where the client is switched off in the middle (`ray submit` and its ssh are killed):")
    storage, command = storage_of(hosts, "third"), Command(hosts, submit("third"))
    until(lambda: under_way(storage, hosts) or not command.running)
    assert command.running, command.output
    command.kill()
    told.ran(command.typed, command.took, [*command.output, "Killed"])
    status = f"glad-ray status {SHARED}/third"
    assert any("distilling" in line for line in run(hosts, told, status).output)
    until(lambda: storage.exists(Storage.REPORT))
    finished = run(hosts, told, status)
    assert any(f"{len(RUNS)}/{len(RUNS)} runs" in line for line in finished.output)
    assert_same_table(storage, quiet)
    told("The table is that of the quiet run.")
    told("A terminal of its own on the head, which nobody looks at, does it too:")
    run(hosts, told, submit("fourth", "--only algorithm.name=random", options="--tmux "))
    until(lambda: storage_of(hosts, "fourth").exists(Storage.REPORT))
    run(hosts, told, f"glad-ray status {SHARED}/fourth")


@pytest.mark.usefixtures("cluster")
def test_down(hosts, told):
    run(hosts, told, f"ray down -y {CLUSTER}")
    began = time.monotonic()
    until(lambda: all(LEFT_BY_DOWN in title for title in of_ray(hosts)))
    told(
        f"{time.monotonic() - began:.0f} s later nothing of Ray is left on the head, and nothing that computes on the "
        f"workers: on each its {LEFT_BY_DOWN} stays until Ray is started there again, or stopped:"
    )
    for name in ("worker1", "worker2"):
        run(hosts, told, f"ssh -o StrictHostKeyChecking=no root@{name} 'bash -ic \"ray stop\"'")
    assert of_ray(hosts) == []


def submit(storage, words="", options=""):
    return f"ray submit {options}{CLUSTER} {FILE} -- --storage {SHARED}/{storage} {words}".rstrip()


def storage_of(hosts, name):
    """A storage as it is seen outside."""
    return Storage.open(hosts.shared / name)


def work(storage):
    """What the ledgers say of distillations and evaluations."""
    for run_id in RUNS:
        for path in storage.list(storage.ledger_folder(run_id)):
            name = Path(path).stem
            if not name.startswith("finished"):
                yield read_entry(storage, run_id, name)


def checkpoints(storage):
    """The entry of the last checkpoint of every run that has one."""
    found = {run_id: read_entry(storage, run_id, "checkpoint") for run_id in RUNS}
    return {run_id: entry for run_id, entry in found.items() if entry is not None}


def under_way(storage, hosts):
    """Runs that have a checkpoint and a third of their steps or more to come, and the hosts that distil them."""
    return [
        (run_id, entry.host)
        for run_id, entry in checkpoints(storage).items()
        if 3 * entry.step < 2 * RUNS[run_id].steps
        and any("ray::DistillationTrial" in title for title in hosts.hosts[entry.host].titles().values())
    ]


def of_ray(hosts):
    """Processes of Ray on all hosts."""
    titles = [title for host in hosts.hosts.values() for title in host.titles().values()]
    return [title for title in titles if any(mark in title for mark in RAYS_OWN)]


def assert_same_table(storage, quiet):
    """Bit for bit, and to 1e-5 where a run's latents pass through a replica."""
    for run_id, each in RUNS.items():
        tolerance = 0.0 if each.generator is None else THROUGH_REPLICA
        ours, theirs = (rows(where, run_id) for where in (storage, quiet))
        accuracies = [[row.pop("accuracy") for row in table] for table in (ours, theirs)]
        assert ours == theirs
        assert accuracies[0] == pytest.approx(accuracies[1], abs=tolerance)
        tiny.assert_same_run(storage, quiet, run_id, tolerance)


def rows(storage, run_id):
    table = read_results(storage).drop_columns(tiny.OF_THE_MACHINE).to_pylist()
    return [row for row in table if row["run_id"] == run_id]


def tables(*storages):
    """Mean accuracies of the networks of all runs, as the cluster's and the quiet sweep's tables have them."""
    lines = ["| run | network | on the cluster | by itself |", "|---|---|---|---|"]
    for run_id, each in RUNS.items():
        for network in sweep().evaluations[0].networks:
            found = [[row for row in rows(where, run_id) if row["network"] == network.key] for where in storages]
            means = [f"{sum(row['accuracy'] for row in part) / len(part):.6f}" for part in found]
            lines.append(f"| {' | '.join([each.label, network.key, *means])} |")
    return "\n".join(lines)
