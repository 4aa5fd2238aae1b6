"""Machines that come because work waits for them, and go when none does.

Ray's own autoscaler, whose machines are processes here (its provider for tests); the launcher file, read by Ray and by
the sweep alike, says what they have.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID

from glad_ray.results import read_results
from glad_ray.storage import Storage
from tests.cluster.apart import apart
from tests.engine.tiny import OF_THE_MACHINE
from tests.faults.processes import until

SWEEP = Path(__file__).with_name("sweep.py")
WORKER = {"resources": {"CPU": 1, "cheap": 1}, "node_config": {}, "min_workers": 0, "max_workers": 2}
LAUNCHER = {
    "cluster_name": "fake",
    "max_workers": 2,
    "idle_timeout_minutes": 0.1,
    "upscaling_speed": 1.0,
    # The provider starts raylets itself, all at one address; there is nobody to be reached by SSH.
    "provider": {
        "type": "fake_multinode",
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
        "use_node_id_as_ip": True,
    },
    "auth": {},
    "docker": {},
    "initialization_commands": [],
    "setup_commands": [],
    "head_setup_commands": [],
    "worker_setup_commands": [],
    "head_start_ray_commands": [],
    "worker_start_ray_commands": [],
    "file_mounts": {},
    "cluster_synced_files": [],
    "file_mounts_sync_continuously": False,
    "rsync_exclude": [],
    "rsync_filter": [],
    "head_node_type": "ray.head.default",
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "cheap": WORKER,
    },
}
START = "ray start --head --num-cpus=0 --include-dashboard=false --autoscaling-config=/tmp/cluster.yaml"
OF_RAY = {
    "RAY_FAKE_CLUSTER": "1",
    "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
    "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    "RAY_enable_autoscaler_v2": "0",
    "RAY_AUTH_MODE": "disabled",
}
NODES = "import json, ray; ray.init('auto', log_to_driver=False); print(json.dumps([n['Alive'] for n in ray.nodes()]))"
OF_CHEAP = ("--set", "resources.trial.nodes=cheap", "--set", "resources.evaluation.nodes=cheap")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A head without CPUs, and an autoscaler."""
    with apart(tmp_path_factory.mktemp("autoscaled") / "tmp") as place:
        (place.folder / "cluster.yaml").write_text(yaml.safe_dump(LAUNCHER))
        (place.folder / "sweep.py").write_text(SWEEP.read_text())
        subprocess.run(place.command(*START.split(), **OF_RAY), check=True)
        yield place


def machines(place):
    """Alive ones, and all that ever were."""
    words = place.command("python", "-c", NODES, **OF_RAY)
    alive = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    return sum(alive), len(alive)


def sweep(place, *more):
    """`glad-ray sweep` on the head, and its end."""
    words = ("glad-ray", "sweep", "sweep.py", "--storage", "/tmp/storage", *more)
    return subprocess.run(
        place.command(*words, **OF_RAY, GLAD_RAY_CLUSTER="/tmp/cluster.yaml"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_what_no_machine_will_ever_have_is_told(place, told):
    began = time.monotonic()
    ended = sweep(place, "--set", "resources.trial.gpus=1")
    assert ended.returncode == 2
    assert "or of the types ray.head.default, cheap," in ended.stdout
    assert machines(place) == (1, 1), "nothing was asked for"
    told("`resources.trial.gpus=1`, which no type of machine has:")
    told.ran(
        "glad-ray sweep sweep.py --set resources.trial.gpus=1", time.monotonic() - began, ended.stdout.splitlines()
    )


def test_machines_come_and_go(place, told, tmp_path):
    assert machines(place)[0] == 1
    began = time.monotonic()
    ended = sweep(place, *OF_CHEAP)
    assert ended.returncode == 0, ended.stdout
    assert "1 machine with 0 CPUs" in ended.stdout
    told("A head without CPUs, and machines with the resource `cheap` that the autoscaler may start, two at most:")
    typed = " ".join(("glad-ray sweep sweep.py --storage /tmp/storage", *OF_CHEAP))
    told.ran(typed, time.monotonic() - began, ended.stdout.splitlines())

    words = [sys.executable, "-m", "glad_ray", "sweep", str(SWEEP), "--in-process", "--storage", str(tmp_path)]
    subprocess.run(words, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)
    here, there = (
        read_results(Storage.open(folder)).drop_columns(list(OF_THE_MACHINE)).to_pylist()
        for folder in (tmp_path, place.folder / "storage")
    )
    assert [row["run_id"] for row in here] == [row["run_id"] for row in there]
    assert [row["accuracy"] for row in here] == pytest.approx([row["accuracy"] for row in there], abs=1e-5)

    began = time.monotonic()
    until(lambda: machines(place)[0] == 1)
    seconds = time.monotonic() - began
    came = machines(place)[1] - 1
    assert came == 2
    told(f"{came} machines came; both were gone again {seconds:.0f} seconds after the last work, without a command.")
