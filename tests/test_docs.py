"""The Python in the documents runs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


PAGES = ["docs/algorithms.md", "docs/public-functions.md", "docs/generators.md", "docs/datasets.md", "docs/search.md"]


@pytest.mark.parametrize("page", PAGES)
def test_blocks_run_in_order(page):
    text = (ROOT / page).read_text()
    names: dict[str, object] = {}
    for block in re.finditer(r"```python\n(.*?)```", text, re.DOTALL):
        line = text[: block.start()].count("\n") + 1
        exec(compile("\n" * line + block[1], page, "exec"), names)
