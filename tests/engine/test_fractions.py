"""Fractions of a GPU, on a cluster where it is counted only: nothing deadlocks, nothing is overcommitted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SETTINGS = {
    "quarters": (9, {"trial_gpus": 0.25, "evaluation_gpus": 0.25}),
    "thirds": (7, {"trial_gpus": 0.33, "evaluation_gpus": 0.33}),
    "half and quarters": (5, {"trial_gpus": 0.5, "evaluation_gpus": 0.25}),
    "whole and tenths": (3, {"trial_gpus": 1, "evaluation_gpus": 0.1}),
    "uneven": (5, {"trial_gpus": 0.3, "evaluation_gpus": 0.9, "shares": {"alexnet": {"gpus": 0.05}}}),
    "one at a time": (3, {"trial_gpus": 0.1, "evaluation_gpus": 0.1, "max_trials": 1}),
}
MOST = {"quarters": 4, "thirds": 3, "whole and tenths": 1, "one at a time": 1}


@pytest.fixture(scope="module")
def logs():
    """What ran when, by setting: kind, name, process, begin, end."""
    few_cpus = {"trial_cpus": 0.01, "evaluation_cpus": 0.01}
    settings = json.dumps([[runs, MOST.get(key, 1), few_cpus | each] for key, (runs, each) in SETTINGS.items()])
    command = [sys.executable, "-m", "tests.engine.fractions", "1", "4", settings]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]).stdout
    found = [json.loads(line) for line in said.splitlines() if line.startswith("[[")]
    return dict(zip(SETTINGS, found, strict=True))


def gpus(setting, kind, name):
    resources = SETTINGS[setting][1]
    return resources.get("shares", {}).get(name, {}).get("gpus", resources[f"{kind}_gpus"])


def at_once(log, weight):
    """The most that the weights of what runs at one time add up to."""
    moments = [begin for _, _, _, begin, _ in log]
    return max(sum(weight(kind, name) for kind, name, _, begin, end in log if begin <= now < end) for now in moments)


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_unit_of_work_is_done_once_and_no_share_is_given_twice(setting, logs):
    log, runs = logs[setting], SETTINGS[setting][0]
    assert sorted(kind for kind, *_ in log) == ["evaluation"] * 2 * runs + ["trial"] * runs
    assert at_once(log, lambda kind, name: gpus(setting, kind, name)) <= 1 + 1e-9


@pytest.mark.parametrize("setting", MOST)
def test_as_many_trials_run_at_once_as_fit(setting, logs):
    assert at_once(logs[setting], lambda kind, name: kind == "trial") == MOST[setting]


def test_processes_go_on_to_the_next_unit_of_work(logs):
    log = logs["quarters"]
    assert len({process for *_, process, _, _ in log}) < len(log) / 2
