"""The commands of trained generators' files: inspect, convert."""

from pathlib import Path
from typing import Annotated

import typer

from glad_ray.cli.common import console, home_expanded

app = typer.Typer(help="Files of trained generators: what they hold, and a safe form of them.")
GeneratorPath = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="An official StyleGAN-XL or StyleGAN3 .pkl, or a converted .json.", callback=home_expanded
    ),
]


@app.command()
def inspect(file: GeneratorPath) -> None:
    """Print what a generator's file holds: resolution, classes, layers and their spaces; no code of it is run."""
    from glad_ray.stylegan.files import LICENCE_NOTE, read_settings
    from glad_ray.stylegan.show import settings_parts

    for part in settings_parts(file.name, read_settings(file)):
        console().print(part)
    console().print(LICENCE_NOTE)


@app.command()
def convert(
    file: GeneratorPath,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="NAME.json",
            help="What to write; beside the file if not given.",
            callback=home_expanded,
        ),
    ] = None,
) -> None:
    """Write a generator's weights as safetensors and its settings as JSON; no code of the file is run."""
    from glad_ray.stylegan.files import LICENCE_NOTE
    from glad_ray.stylegan.files import convert as convert_file

    written = convert_file(file, to or file.with_suffix(".json"))
    console().print(f"Written: {written.description} and {written.weights}; sha256 {written.sha256}")
    console().print(LICENCE_NOTE)
