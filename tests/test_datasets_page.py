"""docs/datasets.md says what the package knows of its datasets."""

import re
from pathlib import Path

import pytest

from glad_ray.data import find_dataset
from glad_ray.data.prepare import CACHE_VARIABLE
from glad_ray.data.readers.files import DEFAULT_ROOTS, ENVIRONMENT_VARIABLE
from glad_ray.data.resize import PADDED_UP_TO
from glad_ray.errors import UserError
from glad_ray.spec import DATASETS
from glad_ray.spec.datasets import folder, hugging_face
from glad_ray.spec.datasets.pictures import DEFAULT_RESOLUTION, FORMATS

PAGE = (Path(__file__).parents[1] / "docs" / "datasets.md").read_text()
TEXT = " ".join(PAGE.split())


def line_of(facts, root):
    """Its line in the table of the page."""
    try:
        find_dataset(facts.name, root)
        folders = "in the package"
    except UserError as error:
        places = re.search(r"\(looked in (.*?)\): ", str(error))[1].split(", ")
        folders = ", ".join(f"`{Path(place).relative_to(root)}`" for place in places)
    colours = {1: "grey", 3: "colour"}[facts.channels]
    image = f"many sizes, {colours}" if facts.many_sizes else f"{facts.resolution} px, {colours}"
    about = "" if facts.train_images_exact else "about "
    counts = f"{about}{facts.train_images:,} | {facts.test_images:,}"
    return f"| `{facts.name}` | {facts.title} | {facts.classes} | {image} | {counts} | {folders} |"


def test_the_table_is_what_the_package_knows(tmp_path):
    by_name = PAGE.partition("## By name")[2].partition("\n## ")[0]
    table = [line for line in by_name.splitlines() if line.startswith("| `")]
    assert table == [line_of(facts, tmp_path) for facts in DATASETS.values()]


@pytest.mark.parametrize("how", sorted({facts.obtain.partition(" and set ")[0] for facts in DATASETS.values()}))
def test_it_says_how_to_get_each(how):
    names = re.findall(r"[\w.-]+\.(?:tar\.gz|tar|tgz|zip)\b|datasets\.\w+\(|dataset-fashion-mnist", how)
    assert names
    assert [name for name in names if name not in TEXT] == []


def test_it_names_what_may_be_set_and_what_is_taken():
    assert all(f"`${name}`" in PAGE for name in (ENVIRONMENT_VARIABLE, CACHE_VARIABLE))
    assert all(f"`{prefix}PATH`" in PAGE for prefix in (folder.PREFIX, hugging_face.PREFIX))
    assert all(f"`{'' if place.is_absolute() else './'}{place}`" in PAGE for place in DEFAULT_ROOTS)
    assert f"Up to {PADDED_UP_TO} pixels" in TEXT
    assert f"{DEFAULT_RESOLUTION} pixels where" in TEXT
    assert ", ".join(FORMATS) in TEXT
