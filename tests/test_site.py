"""The documents as a site: built without a warning, whole, and without a request to anybody."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.full
def test_the_site_builds_without_a_warning(tmp_path):
    words = ["-q", "-W", "--keep-going", "-b", "html", "-d", tmp_path / "trees", DOCS, tmp_path / "site"]
    built = subprocess.run([sys.executable, "-m", "sphinx", *words], capture_output=True, text=True)
    assert (built.returncode, built.stderr) == (0, "")
    pages = {path.relative_to(tmp_path / "site") for path in (tmp_path / "site").rglob("*.html")}
    sources = [path for path in DOCS.rglob("*") if path.suffix in (".md", ".ipynb")]
    assert {path.relative_to(DOCS).with_suffix(".html") for path in sources} <= pages
    for page in pages:
        text = (tmp_path / "site" / page).read_text()
        assert not re.findall(r"<(?:script|img|link)[^>]*(?:src|href)=\"https?://", text), page
    reference = re.sub(r"<[^>]+>", "", (tmp_path / "site" / "reference" / "sweeps.html").read_text())
    assert "class glad_ray.Evaluation" in reference
    assert re.search(r"networks trained per architecture, each from a fresh initialisation\s+default: 5", reference)
    assert "BeforeValidator" not in reference
