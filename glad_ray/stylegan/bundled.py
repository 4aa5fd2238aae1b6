"""The generators that come with the package, by name."""

from pathlib import Path

BUNDLED = {"fashion-mnist-prior": "fashion_mnist_prior/generator.json"}
"""files in this folder"""


def generator_path(name: str | Path) -> Path:
    """The file of a generator that comes with the package, by its name; of any other name, the path that it is."""
    file = BUNDLED.get(str(name))
    return Path(name) if file is None else Path(__file__).parent / file
