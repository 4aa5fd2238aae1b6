"""A short storm, by its command."""

import subprocess
import sys

import pytest


@pytest.mark.full
def test_a_short_storm(tmp_path, seen):
    words = ["--seed", "3", "--minutes", "0.7", "--runs", "3", "--quiet", str(tmp_path)]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *words], capture_output=True, text=True, check=False, timeout=500
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    faults = [line for line in ended.stdout.splitlines() if "SIG" in line[:30] or "storage" in line[:30]]
    assert faults
    seen("several of these at random, on three machines", "each as alone", "the same table")
