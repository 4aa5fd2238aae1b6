"""Jobs on two nodes, with results in an object store.

The nodes are two raylets on this machine, in a network of their own. They have the credentials of the store in their
environment, and the job has not.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch

from glad_ray.plan import read_plan
from glad_ray.results import read_losses, read_results
from glad_ray.storage import Storage
from glad_ray.synthetic_set import SyntheticSet
from tests.cluster.apart import apart
from tests.cluster.swift import swift
from tests.engine.tiny import OF_THE_MACHINE
from tests.faults.processes import parent

PROJECT = Path(__file__).with_name("job")
SUBMIT = "ray job submit --address http://127.0.0.1:8265 --working-dir . --submission-id {name} {options}-- {sweep}"
SWEEP = "glad-ray sweep sweep.py --storage {storage}"
THROUGH_REPLICA = 1e-5
NODES = ("one", "two")
# Times and places in its sources begin what it says.
_OF_RAY = re.compile(r"^\[?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+")
_START = "ray start {which} --num-cpus=1 --object-store-memory=100000000 --temp-dir=/tmp/{name} --disable-usage-stats"


class Cluster:
    """Two nodes, an object store beside them, and a user's terminal."""

    def __init__(self, place, store, told):
        self.place, self.store, self.told = place, store, told
        self.printed = ""

    def popen(self, typed, **environment):
        """A command line as it is typed in the folder of the project."""
        words = self.place.command("bash", "-c", f"exec {typed}", folder="/tmp/project", **environment)
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def type(self, typed, **environment):
        """The same to its end; gives its exit code and what it printed, which is told but for what Ray says itself."""
        code, lines, seconds = self._ran(typed, environment)
        self.told.ran(typed, seconds, [line for line in lines if not _OF_RAY.search(line)])
        return code, "".join(lines)

    def ask(self, typed, **environment):
        """What a command prints that must succeed, untold."""
        code, lines, _ = self._ran(typed, environment)
        assert code == 0, lines
        return "".join(lines)

    def _ran(self, typed, environment):
        print(f"\n$ {typed}", flush=True)
        began, lines = time.monotonic(), []
        with self.popen(typed, **environment) as process:
            for line in process.stdout:
                lines.append(line)
                print(f"  {line}", end="", flush=True)
        self.printed += "".join(lines)
        return process.returncode, lines, time.monotonic() - began

    def submit(self, name, storage, *options):
        """The command line of a job."""
        sweep = SWEEP.format(storage=storage)
        return SUBMIT.format(name=name, options="".join(f"{each} " for each in options), sweep=sweep)

    def status(self, storage):
        """What `glad-ray status` says from outside the cluster, which needs the credentials; None: nothing yet."""
        code, lines, _ = self._ran(f"glad-ray status {storage} --json", self.store.environment)
        return None if code else json.loads("".join(lines))

    def job(self, name):
        """What the job server tells of a job."""
        return next(job for job in self.jobs() if job["submission_id"] == name)

    def jobs(self):
        """What it tells of all."""
        code = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8265/api/jobs/').read().decode())"
        done = subprocess.run(self.place.command("python", "-c", code), capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def listed(self, what, *filters):
        """What Ray lists, of the living and the dead."""
        filters = "".join(f"--filter {shlex.quote(each)} " for each in filters)
        where = "--address http://127.0.0.1:8265"
        printed = self.ask(f"ray list {what} {filters}--detail --limit 1000 --format json {where}")
        return json.loads(printed[printed.index("[") :])

    def copied(self, storage, folder):
        """A copy of a storage as a folder of this machine."""
        code = (
            "import sys\nfrom pathlib import Path\nfrom glad_ray.storage import Storage\n"
            "store = Storage.open(sys.argv[1], create=False)\n"
            "for path in store.tree(''): store.download(path, Path(sys.argv[2]) / path)"
        )
        words = ["nsenter", f"--target={self.place.process}", "--net", sys.executable, "-c", code, storage, str(folder)]
        subprocess.run(words, env=os.environ | self.store.environment, check=True)
        return Storage.open(folder, create=False)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, told):
    base = tmp_path_factory.mktemp("jobs")
    with apart(base / "tmp") as place, swift(base / "swift", inside=place.entering("--net")) as store:
        store.make_bucket("sweeps")
        shutil.copytree(PROJECT, base / "tmp" / "project", ignore=shutil.ignore_patterns("__pycache__"))
        cluster = Cluster(place, store, told)
        told(
            "Two raylets of one CPU each on one machine, in a network of their own. In the environment of `ray start`: "
            f"{', '.join(f'`{name}`' for name in store.environment)}, and `RAY_JOB_STOP_WAIT_TIME_S=120`. The object "
            "store is Swift with its interface of S3."
        )
        # Two on one machine would otherwise give their workers the same ports.
        which = ("--head --min-worker-port=20000 --max-worker-port=24999", "--address=127.0.0.1:6379")
        for name, each in zip(NODES, which, strict=True):
            # Three seconds, Ray's own measure, may be too few for a machine that is busy.
            patience = {"RAY_JOB_STOP_WAIT_TIME_S": "120"}
            code, printed = cluster.type(_START.format(name=name, which=each), **store.environment, **patience)
            assert code == 0, printed
        yield cluster


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """The same sweep file on this machine alone."""
    folder = tmp_path_factory.mktemp("quiet")
    words = [sys.executable, "-m", "glad_ray", "sweep", "sweep.py", "--in-process", "--storage", str(folder)]
    subprocess.run(words, cwd=PROJECT, env=os.environ | {"PYTHONPATH": str(PROJECT.parents[2])}, check=True)
    return Storage.open(folder, create=False)


@pytest.fixture(scope="module")
def first(cluster, tmp_path_factory, told):
    """What was printed by a job that nothing disturbed, and a copy of what it kept."""
    told("A job in the folder of the sweep file; a module that lies beside it goes along:")
    # A variable that the sweep gives its workers, too: Ray takes none twice.
    given = """--runtime-env-json '{"env_vars": {"PYTHONPATH": "'$PYTHONPATH'"}}'"""
    code, printed = cluster.type(cluster.submit("first", "s3://sweeps/first", given))
    assert code == 0, printed
    return printed, cluster.copied("s3://sweeps/first", tmp_path_factory.mktemp("first"))


def test_a_job_makes_what_the_same_file_makes_here(cluster, first, quiet, told):
    printed, kept = first
    assert "4 of 4 runs finished" in printed
    assert cluster.job("first")["status"] == "SUCCEEDED"
    assert cluster.job("first")["driver_exit_code"] == 0
    assert_same(kept, quiet)
    told(
        "Its `driver_exit_code` is 0. The table is that of the same file on one machine: bit for bit, and to "
        f"{THROUGH_REPLICA:g} where a replica served a run."
    )


def test_both_nodes_compute_with_a_replica_and_a_store_each(cluster, first, told):
    nodes = {node["node_id"] for node in cluster.listed("nodes", "state=ALIVE")}
    assert len(nodes) == 2
    trials = cluster.listed("actors", "class_name=DistillationTrial")
    of_first = min(trial["job_id"] for trial in trials)
    trials = [trial for trial in trials if trial["job_id"] == of_first]
    assert {trial["node_id"] for trial in trials} == nodes
    labels = {run.label for run in read_plan(first[1]).runs}
    assert {trial["repr_name"] for trial in trials} <= labels, "a trial has the name of its run"
    assert all(_cpus(trial) == 1 for trial in trials), "and its share"
    actors = [actor for actor in cluster.listed("actors", f"job_id={of_first}") if actor["name"]]
    kinds = Counter((actor["name"].split()[3], actor["node_id"]) for actor in actors)
    assert kinds == {(kind, node): 1 for kind in ("generator", "experts") for node in nodes}
    assert {actor["state"] for actor in actors} == {"DEAD"}, "they end with the sweep"
    each = " and ".join(str(count) for count in Counter(trial["node_id"] for trial in trials).values())
    told(f"The nodes had {each} processes of trials, each one replica of the generator and one store of experts.")


def _cpus(trial):
    """What a trial holds, of the first bundle of its placement group."""
    (held,) = [held for name, held in trial["required_resources"].items() if name.startswith("CPU_group_0_")]
    return held


def test_a_finished_sweep_is_not_done_again(cluster, first, tmp_path, told):
    told("The same again:")
    code, printed = cluster.type(cluster.submit("again", "s3://sweeps/first"))
    assert code == 0, printed
    assert "distilled" not in printed
    assert "4 of 4 runs finished" in printed
    again = cluster.copied("s3://sweeps/first", tmp_path / "again")
    assert {row["finished_at"] for row in rows(again)} == {row["finished_at"] for row in rows(first[1])}


def test_a_stopped_job_keeps_its_state_and_a_lost_client_ends_nothing(cluster, quiet, tmp_path, told):
    where = "s3://sweeps/second"
    told("In a new place, without waiting for it; seen from outside the cluster, and stopped:")
    assert cluster.type(cluster.submit("second", where, "--no-wait"))[0] == 0
    wait_for(cluster, where, lambda status: any(run["step"] for run in status["runs"]))
    assert "Driven by process" in cluster.type(f"glad-ray status {where}", **cluster.store.environment)[1]
    assert cluster.type("ray job stop --address http://127.0.0.1:8265 second")[0] == 0
    assert cluster.job("second")["status"] == "STOPPED"
    _, printed = cluster.type("ray job logs --address http://127.0.0.1:8265 second")
    assert "Interrupted: what is finished is kept; the same command goes on from there." in printed
    kept = cluster.copied(where, tmp_path / "stopped")
    steps = {path.split("/")[1]: Storage.step_of(path) for path in kept.tree(Storage.RUNS) if "/checkpoints/" in path}
    assert steps

    told("The same command goes on from there. Its terminal is closed (SIGKILL of `ray job submit`) as it begins:")
    submitted = cluster.submit("third", where)
    client = cluster.popen(submitted)
    wait_for(cluster, where, lambda status: status["driver"])
    (typed,) = [pid for pid in cluster.place.processes() if parent(pid) == client.pid]
    os.kill(typed, signal.SIGKILL)
    client.communicate()
    told.ran(submitted, 0, ["Killed"])
    wait_for(cluster, where, lambda status: all(run["state"] == "finished" for run in status["runs"]))
    until_ended(cluster, "third")
    assert cluster.job("third")["driver_exit_code"] == 0
    cluster.type(f"glad-ray status {where}", **cluster.store.environment)
    assert_same(cluster.copied(where, tmp_path / "second"), quiet)
    told(f"Of {len(steps)} runs there was a checkpoint; the table is that of the same file on one machine.")


def test_the_secret_is_written_nowhere(cluster, first, told):
    folders = [cluster.store.folder / "disk", *(cluster.place.folder / name for name in NODES)]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 100
    secret = cluster.store.secret.encode()
    assert [path for path in files if secret in path.read_bytes()] == []
    assert len(cluster.jobs()) > 1
    assert cluster.store.secret not in json.dumps(cluster.jobs())
    assert cluster.store.secret not in cluster.printed
    told(f"The secret key is in none of {len(files)} files of the store and of Ray's sessions, and in nothing it told.")


def wait_for(cluster, storage, happens):
    """Look at a sweep from outside until something must have happened; pytest-timeout ends the wait if it does not."""
    while not ((status := cluster.status(storage)) and happens(status)):
        time.sleep(3)


def until_ended(cluster, name):
    """Until a job has."""
    while cluster.job(name)["status"] in ("PENDING", "RUNNING"):
        time.sleep(0.5)


def rows(storage):
    return read_results(storage).to_pylist()


def assert_same(ours, quiet):
    """The same table, latents, images and losses: bit for bit, and to 1e-5 where a replica served a run."""
    tables = [read_results(each).drop_columns(OF_THE_MACHINE).to_pylist() for each in (ours, quiet)]
    runs = {run.run_id: run for run in read_plan(quiet).runs}
    tolerances = {run_id: 0.0 if run.generator is None else THROUGH_REPLICA for run_id, run in runs.items()}
    for row, same in zip(*tables, strict=True):
        assert row.pop("accuracy") == pytest.approx(same.pop("accuracy"), abs=tolerances[row["run_id"]])
        assert row == same
    for run_id, tolerance in tolerances.items():
        sets = [_set_of(each, run_id) for each in (ours, quiet)]
        losses = [torch.tensor(read_losses(each, run_id).losses) for each in (ours, quiet)]
        close = {"rtol": tolerance, "atol": tolerance}
        torch.testing.assert_close(sets[0].latents, sets[1].latents, **close)
        torch.testing.assert_close(sets[0].images, sets[1].images, **close)
        torch.testing.assert_close(*losses, **close)


def _set_of(storage, run_id):
    path = storage.synthetic_set_path(run_id)
    return SyntheticSet.from_bytes(storage.read_bytes(path), path)
