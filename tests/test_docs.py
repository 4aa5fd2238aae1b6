"""The Python in the documents runs, and the modules that they name are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


NAMES = ("algorithms", "public-functions", "generators", "datasets", "searching", "sweeps", "tutorial")


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{name}.md" for name in NAMES)])
def test_blocks_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / page).read_text()
    names: dict[str, object] = {}
    for block in re.finditer(r"```python\n(.*?)```", text, re.DOTALL):
        line = text[: block.start()].count("\n") + 1
        exec(compile("\n" * line + block[1], page, "exec"), names)


def test_modules_that_pages_name_are_there():
    """`on_ray/executor.py` stands for glad_ray/engine/on_ray/executor.py."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    named = {(page.name, name) for page in pages for name in re.findall(r"`([\w-]+/[\w/-]+\.py)`", page.read_text())}
    assert len(named) > 10
    folders = ("glad_ray", "tests", "benchmarks", "sweeps")
    there = [f"/{path.relative_to(ROOT)}" for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert [each for each in named if not any(path.endswith(f"/{each[1]}") for path in there)] == []
