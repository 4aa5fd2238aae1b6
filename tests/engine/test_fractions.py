"""Fractions of logical machines: whatever is asked for, nothing deadlocks, and nothing is given twice.

The settings are named cases, and mixes drawn at random: `--mixes 40` tries so many of them.
"""

import functools
import json
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.simulated import Entry
from glad_ray.spec.generators import GIB
from tests.engine.fractions import BOUND_SECONDS, NETWORKS, NODES, Setting
from tests.telling import told_by

pytestmark = [pytest.mark.cluster, pytest.mark.full]


def few_cpus(trial, evaluation):
    """Shares of a GPU, and so few CPUs that they bound nothing."""
    return {"trial": {"cpus": 0.01, "gpus": trial}, "evaluation": {"cpus": 0.01, "gpus": evaluation}}


NAMED = {
    "quarters": Setting(1, 9, 0, 2, few_cpus(0.25, 0.25), 4),
    "thirds": Setting(1, 7, 0, 2, few_cpus(0.33, 0.33), 3),
    "all of the memory": Setting(1, 2, 0, 1, {"trial": {"memory_gib": 2}, "evaluation": {"memory_gib": 2}}),
    "packed as measured": Setting(1, 8, 0, 2, few_cpus("auto", 0.2), 5, packed=5),
    "a half and quarters": Setting(1, 5, 0, 4, few_cpus(0.5, 0.25), 1, 0.2),
    "large and small": Setting(1, 24, 0, 2, few_cpus(0.7, 0.2) | {"by_name": {"convnet": {"gpus": 0.9}}}, 1, 0.6),
}
# Every kind of work fits on the first machine, so that none is more than any machine has.
GPUS = (0, 0.05, 0.1, 0.25, 0.3, 1 / 3, 0.5, 0.7, 0.9, 1)
CPUS = (0.01, 0.5, 1, 1.5, 2)
MEMORY_GIB = (0, 0, 0.3, 1, 2)


def mixed(seed, of):
    """Setting number `seed` of `of` that are drawn at random."""
    rng = random.Random(seed)

    def share():
        return {"gpus": rng.choice(GPUS), "cpus": rng.choice(CPUS), "memory_gib": rng.choice(MEMORY_GIB)}

    resources = {unit: share() for unit in ("trial", "evaluation", "expert")}
    names = rng.sample(["random", "mtt", "convnet", "alexnet", "vgg11"], rng.choice([0, 0, 1, 2, 5]))
    resources |= {"by_name": {name: share() for name in names}, "max_trials": rng.choice([None, 1, 2, 3])}
    return Setting(
        nodes=(1, 2, 4)[seed * 3 // of],
        runs=rng.randint(1, 4),
        experts=rng.choice([0, 0, 1, 3]),
        networks=rng.randint(1, len(NETWORKS)),
        resources=resources | {"experts_together": rng.choice([1, 2])},
    )


def pytest_generate_tests(metafunc):
    """Every setting by its name and itself; those that run on one cluster have the same group."""
    if "case" in metafunc.fixturenames:
        named = [pytest.param((name, "named"), id=name) for name in NAMED]
        count = metafunc.config.getoption("--mixes")
        mixes = [pytest.param((f"mix {n}", count), id=f"mix {n}") for n in range(count)]
        metafunc.parametrize("case", named + mixes)


def settings(group):
    """The settings that one process carries out on its cluster: the named ones, or so many mixes."""
    if isinstance(group, int):
        return {f"mix {seed}": mixed(seed, group) for seed in range(group)}
    return NAMED


@functools.cache
def outcomes(group):
    """What came of every setting: what was wrong, what ran when, how often each run was finished."""
    command = [sys.executable, "-m", "tests.engine.fractions"]
    patience = BOUND_SECONDS * (len(settings(group)) + 1)
    given = json.dumps(list(settings(group).values()))
    root = Path(__file__).parents[2]
    found = told_by(command, must_end_well=False, input=given, timeout=patience, cwd=root)
    return {
        name: (wrong, [Entry(*each)._replace(gpus=tuple(each[4])) for each in entries], finished)
        for name, (wrong, entries, finished, _) in zip(settings(group), found, strict=False)
    }


@pytest.fixture
def outcome(case):
    """A setting and what came of it."""
    name, group = case
    assert name in outcomes(group), "the settings before it did not end"
    setting, (wrong, *rest) = settings(group)[name], outcomes(group)[name]
    assert wrong is None, f"{setting}: {wrong}"
    return setting, *rest


def test_every_unit_of_work_is_done_once(outcome):
    setting, log, finished = outcome
    runs = [run.run_id for run in setting.sweep.runs]
    units = Counter(each.kind for each in log)
    groups = -(-setting.experts // setting.resources.get("experts_together", 1)) if setting.runs > 1 else 0
    wanted = {"trial": setting.runs, "evaluation": setting.runs * setting.networks, "expert": groups}
    assert (units, set(Counter(each.unit for each in log).values())) == (+Counter(wanted), {1}), setting
    assert finished == dict.fromkeys(runs, 1), setting
    assert all(each.end is not None for each in log), setting


def test_no_share_is_given_twice(outcome):
    setting, log, _ = outcome
    resources = setting.sweep.resources
    shares = {each: resources.share_of(each.kind, each.name).bundle for each in log}
    if setting.packed is not None:
        measured = [each for each in log if resources.share_of(each.kind, each.name).measured]
        shares |= {each: shares[each]._replace(gpus=1 / setting.packed) for each in measured}
    for now in (each.begin for each in log):
        at_once = [each for each in log if each.begin <= now < each.end]
        for place in {each.node for each in at_once}:
            here, node = [each for each in at_once if each.node == place], NODES[place]
            assert sum(shares[each].cpus for each in here) <= node["num_cpus"] + 1e-6, setting
            assert sum(shares[each].memory_gib for each in here) * GIB <= node["memory"] + 1e-6, setting
            for gpu in map(str, range(node["num_gpus"])):
                assert sum(shares[each].gpus for each in here if gpu in each.gpus) <= 1 + 1e-6, setting
            assert all(bool(each.gpus) == bool(shares[each].gpus) for each in here), setting


def test_no_more_trials_than_asked_for(outcome):
    setting, log, _ = outcome
    assert most_at_once(log, "trial") <= (setting.resources.get("max_trials") or setting.runs), setting


@pytest.mark.parametrize("name", ["quarters", "thirds", "packed as measured"])
def test_as_many_trials_run_at_once_as_fit(name):
    assert most_at_once(outcomes("named")[name][1], "trial") == NAMED[name].trials_together


def test_evaluations_run_beside_a_trial():
    _, log, _ = outcomes("named")["a half and quarters"]
    assert most_at_once(log, "evaluation") > 1


def test_small_evaluations_run_beside_trials_while_large_ones_wait():
    _, log, _ = outcomes("named")["large and small"]
    ended = max(each.end for each in log if each.kind == "trial")
    assert sum(each.begin < ended for each in log if each.name == "alexnet") > 12


@pytest.mark.parametrize("kind", ["trial", "evaluation"])
def test_processes_go_on_to_the_next_unit_of_work(kind):
    _, log, _ = outcomes("named")["quarters"]
    processes = [each.process for each in log if each.kind == kind]
    assert len(set(processes)) < len(processes)


def most_at_once(log, kind):
    """The most units of a kind that ran at one time."""
    same = [each for each in log if each.kind == kind]
    return max(sum(each.begin <= one.begin < each.end for each in same) for one in same)
