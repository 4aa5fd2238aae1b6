"""A short storm, by its command."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path):
    """A checkout below the system's temporary folder, where a storm makes its own."""
    made = tmp_path / "checkout"
    for name in ("glad_ray", "tests", "benchmarks"):
        shutil.copytree(ROOT / name, made / name, ignore=shutil.ignore_patterns("__pycache__"))
    return made


@pytest.mark.full
def test_a_short_storm(checkout, tmp_path, seen):
    words = ["--seed", "3", "--minutes", "0.7", "--runs", "3", "--quiet", str(tmp_path / "quiet")]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *words],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    faults = [line for line in ended.stdout.splitlines() if "SIG" in line[:30] or "storage" in line[:30]]
    assert faults
    seen("several of these at random, on three machines", "each as alone", "the same table")
