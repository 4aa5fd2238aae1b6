"""The commands of generators: train one, inspect a file, convert a file."""

import math
from pathlib import Path
from typing import Annotated

import typer

from glad_ray.api.running import console, say
from glad_ray.cli.common import (
    Address,
    DeviceInProcess,
    InProcess,
    device_in_process,
    home_expanded,
)
from glad_ray.cli.documents import AsJson, print_document
from glad_ray.errors import BudgetError, UserError
from glad_ray.progress.driver import driving
from glad_ray.spec import DATASETS, Bundle, dataset_facts
from glad_ray.storage import Storage

app = typer.Typer(help="Generators: train one on a dataset, see what a file holds, convert an official file.")
GeneratorPath = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="A StyleGAN-XL or StyleGAN3 .pkl, a .json, or a bundled one by name.",
        callback=home_expanded,
    ),
]


@app.command()
def train(
    dataset: Annotated[str, typer.Option(help=f"One of {', '.join(DATASETS)}; or folder:PATH or hf:PATH.")],
    resolution: Annotated[
        int | None,
        typer.Option(help="Side of the images in pixels; the dataset's own, or 32 for one of 28."),
    ] = None,
    storage: Annotated[
        str, typer.Option("--storage", metavar="DIR_OR_URI", help="Where it is kept.")
    ] = "runs/generator",
    hours: Annotated[
        float | None, typer.Option(min=0, help="Hours that this command may take; the same command goes on.")
    ] = None,
    assignments: Annotated[
        list[str],
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a field: adversarial_steps, shape.channel_max and others."
        ),
    ] = [],  # noqa: B006
    cpus: Annotated[float | None, typer.Option(help="On Ray: CPUs that it takes; 1 if not given.")] = None,
    gpus: Annotated[float | None, typer.Option(help="On Ray: GPUs that it takes, up to 1; none if not given.")] = None,
    address: Address = None,
    in_process: InProcess = False,
    device: DeviceInProcess = "auto",
) -> None:
    """Train a class-conditional generator on a dataset, and score it; the same command again goes on where it ended.

    The result is a file that --generator takes, with a card of its data, recipe, scores and cost, and a page of
    samples.
    """
    from glad_ray.progress.generator_reporter import GeneratorReporter, scores_table
    from glad_ray.progress.view import view_of
    from glad_ray.report.generator import write_generator_page
    from glad_ray.spec.generator_training import GeneratorTraining
    from glad_ray.spec.written.overrides import override_training

    training = override_training(
        GeneratorTraining(dataset=dataset, resolution=resolution or _usual_side(dataset)), assignments
    )
    where = device_in_process(in_process, device)
    if in_process and (cpus is not None or gpus is not None):
        raise UserError("--cpus and --gpus are shares on Ray: leave out --in-process, or name a --device instead.")
    if gpus is not None and not 0 <= gpus <= 1:
        raise UserError(f"--gpus is {gpus:g}: a generator is trained on one GPU or a part of it, from 0 to 1.")
    if cpus is not None and not 0 < cpus < math.inf:
        raise UserError(f"--cpus is {cpus:g}: a generator is trained with more than 0 CPUs, such as 1 or 0.5.")
    kept = Storage.open(storage)
    with driving(kept, say), view_of(GeneratorReporter(training), transient=True) as view:
        if where is not None:
            from glad_ray.engine.train_generator import train_generator_in_process

            card = train_generator_in_process(training, kept, device=where, hours=hours, view=view)
        else:
            from glad_ray.engine.on_ray.train_generator import train_generator_on_ray

            share = Bundle(1.0 if cpus is None else cpus, gpus or 0.0, 0.0)
            card = train_generator_on_ray(training, kept, share=share, address=address, hours=hours, view=view)
    if card is None:
        raise BudgetError(
            f"The {hours:g} hours that this command may take are spent: the same command goes on from its checkpoint."
        )
    page = write_generator_page(kept, card)
    console().print(scores_table(card.scores, card.classifier_accuracies))
    console().print(f"The generator is {kept}/{kept.generator_file_path(training.stored_id)}, sha256 {card.sha256}")
    console().print(f"Its card and samples: {kept}/{page}")


def _usual_side(dataset: str) -> int:
    """The resolution that a dataset is trained at if none is named: 28-pixel images are padded to 32, which halve more
    often, as those of other generators and networks are.
    """
    side = dataset_facts(dataset).resolution
    return 32 if side == 28 else side


@app.command()
def inspect(file: GeneratorPath, as_json: AsJson = False) -> None:
    """Print what a generator's file holds: resolution, classes, layers and their spaces; no code of it is run."""
    from glad_ray.progress.generator_reporter import scores_table
    from glad_ray.results.generator_card import read_card_beside
    from glad_ray.stylegan.bundled import generator_path
    from glad_ray.stylegan.files import read_settings
    from glad_ray.stylegan.show import settings_fields, settings_parts

    path = generator_path(file)
    settings = read_settings(path)
    card = read_card_beside(path, settings.sha256)
    if as_json:
        scores = None if card is None else [each.model_dump(mode="json") for each in card.scores]
        print_document("generator", {"file": str(path)} | settings_fields(settings) | {"scores": scores})
        return
    for part in settings_parts(file.name, settings):
        console().print(part)
    if settings.licence:
        console().print(settings.licence)
    if card is not None:
        console().print(scores_table(card.scores, card.classifier_accuracies))


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
