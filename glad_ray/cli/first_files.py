"""`glad-ray init`: a first sweep and a first search for a dataset, to be changed."""

import importlib.resources
import re
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from glad_ray.api.running import console
from glad_ray.cli.common import home_expanded
from glad_ray.errors import UserError
from glad_ray.spec import DATASETS, DatasetFacts, dataset_facts

_FILES = {"sweep.py": "sweep.py.txt", "search.py": "search.py.txt", ".gitignore": "gitignore.txt"}
_GENERATOR_RESOLUTIONS = (32, 64, 128, 256)
_HELD_OUT = 50


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where the files go; here if not given.", callback=home_expanded)
    ] = Path(),
    dataset: Annotated[
        str, typer.Option(help=f"One of {', '.join(DATASETS)}; or a user's own, folder:PATH or hf:PATH.")
    ] = "fashion-mnist-sample",
) -> None:
    """Write a first sweep, a first search and a .gitignore, commented, for a dataset; nothing that is there is written
    over.
    """
    facts = dataset_facts(dataset)
    if there := [name for name in _FILES if (folder / name).exists()]:
        raise UserError(f"{folder / there[0]} is there already: name another folder, or move it away.")
    made = {name: _filled(template, name, facts, dataset) for name, template in _FILES.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder} cannot be written to ({error.strerror}): name another folder.") from error
    console().print(f"Written: {', '.join(str(folder / name) for name in _FILES)}. Begin with:")
    console().print(f"  glad-ray plan {folder / 'sweep.py'}")


def _filled(template: str, name: str, facts: DatasetFacts, dataset: str) -> str:
    text = (importlib.resources.files("glad_ray.cli") / "templates" / template).read_text("utf-8")
    resolution = next((each for each in _GENERATOR_RESOLUTIONS if each >= facts.resolution), _GENERATOR_RESOLUTIONS[-1])
    return Template(text).substitute(
        # In a docstring, and as text of Python: a folder may have any name.
        title=facts.title.encode("unicode_escape").decode("ascii").replace('"', "'"),
        file=name,
        dataset=repr(dataset),
        name=re.sub(r"[^a-z0-9]+", "-", dataset.rpartition("/")[2].lower()).strip("-") or "mine",
        generator_resolution=resolution,
        channels=facts.channels,
        held_out=min(_HELD_OUT, facts.train_images // facts.classes // 4),
    )
