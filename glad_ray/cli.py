"""The command `glad-ray`: a thin edge that turns words into records and errors into one sentence with exit code 2."""

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from glad_ray.errors import GladRayError, UserError
from glad_ray.plan import Plan, make_plan, write_plan
from glad_ray.plan.show import differences_table, plan_tables
from glad_ray.results import finished, read_failures
from glad_ray.spec import (
    DATASETS,
    Evaluation,
    Experts,
    ExpertSet,
    Network,
    RandomStyleGAN,
    Run,
    Sweep,
    dataset_facts,
)
from glad_ray.spec.network import NETWORK_NAMES
from glad_ray.spec.overrides import only, override_sweep
from glad_ray.spec.small import small as shrink
from glad_ray.spec.sweep_file import load_sweep
from glad_ray.storage import Storage
from glad_ray.version import __version__

if TYPE_CHECKING:
    from glad_ray.synthetic_set import SyntheticSet

app = typer.Typer(
    help="Dataset distillation as one command: a grid of experiments in, a table a reviewer would trust out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

SweepFile = Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep file: Python that has a function sweep().")]
Assignments = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a field of every run that has it, or evaluation.<field>, resources.<field>. May be repeated.",
    ),
]
Conditions = Annotated[
    list[str],
    typer.Option(
        "--only",
        metavar="KEY=VALUE",
        help="Take only the runs that have it. Repeated: one of the values of a key, and so for every key.",
    ),
]
Small = Annotated[
    bool,
    typer.Option(
        "--small", help="The same grid on bundled images, with narrow networks and few steps: to see that it runs."
    ),
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:<n>, or auto: a GPU if PyTorch sees one.")]
StorageOption = Annotated[
    str | None, typer.Option("--storage", metavar="DIR_OR_URI", help="A folder, or s3://... or gs://...")
]


@app.command()
def plan(
    sweep_file: SweepFile,
    assignments: Assignments = [],  # noqa: B006
    conditions: Conditions = [],  # noqa: B006
    small: Small = False,
    storage: StorageOption = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also print where the paper and its code disagree, and what is done here.")
    ] = False,
) -> None:
    """Print what a sweep would run, in order, what it needs first and what it would cost; start nothing."""
    made = _plan(sweep_file, conditions, assignments, small)
    where = _storage_name(made.sweep, storage)
    there = storage is not None or Path(where).is_dir()
    done = finished_runs(made, Storage.open(where, create=False)) if there else set()
    for part in plan_tables(made, done):
        console().print(part)
    for sentence in _missing_data(made):
        console().print(sentence)
    if explain:
        console().print(differences_table(made))


@app.command()
def sweep(
    sweep_file: SweepFile,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage", metavar="DIR_OR_URI", help="Where everything is kept; runs/<sweep name> if not given."
        ),
    ] = None,
    assignments: Assignments = [],  # noqa: B006
    conditions: Conditions = [],  # noqa: B006
    small: Small = False,
    address: Annotated[
        str | None, typer.Option(help="A Ray cluster to run on: auto, or HOST:PORT; a new local one if not given.")
    ] = None,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Run everything in this process, one after another, without Ray.")
    ] = False,
    device: Annotated[str, typer.Option(help="With --in-process: cpu, cuda, cuda:<n> or auto.")] = "auto",
) -> None:
    """Run a sweep and report it; the same command again continues where it stopped, and repeats nothing finished."""
    made = _plan(sweep_file, conditions, assignments, small)
    execute(made, Storage.open(_storage_name(made.sweep, storage)), address, _device(device) if in_process else None)


@app.command()
def distill(
    algorithm: Annotated[str, typer.Option(help="dc, dm or mtt; or a baseline: random, herding or kmeans.")] = "dm",
    dataset: Annotated[str, typer.Option(help=f"One of {', '.join(DATASETS)}.")] = "fashion-mnist-sample",
    space: Annotated[str, typer.Option(help="pixel, w+ or f<n>.")] = "pixel",
    generator: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A trained StyleGAN: .pkl, or .json of generator convert; random if none."),
    ] = None,
    ipc: Annotated[int, typer.Option(help="Synthetic images per class.")] = 1,
    seed: Annotated[int, typer.Option(help="The run's seed.")] = 0,
    storage: Annotated[str, typer.Option("--storage", metavar="DIR_OR_URI", help="Where it is kept.")] = "runs/distill",
    assignments: Assignments = [],  # noqa: B006
    device: Device = "auto",
) -> None:
    """Distil one run in this process, without Ray, and write its synthetic set; the same command again continues it."""
    prior = generator or (RandomStyleGAN(image_channels=dataset_facts(dataset).channels) if space != "pixel" else None)
    fields: dict[str, Any] = {"algorithm": algorithm, "dataset": dataset, "space": space, "images_per_class": ipc}
    run = Run(**fields, seed=seed, generator=prior)
    one = override_sweep(Sweep(name="distill", runs=(run,)), assignments)
    if one.runs[0].ipc is None:
        raise UserError("The whole dataset has no set to make: name it in a sweep, where networks are trained on it.")

    from glad_ray.engine import distill_in_process, make_view

    kept = Storage.open(storage)
    with make_view(make_plan(one)) as view:
        distill_in_process(one.runs[0], kept, device=_device(device), view=view, resources=one.resources)
    console().print(f"The synthetic set is {kept}/{kept.synthetic_set_path(one.runs[0].run_id)}")


@app.command()
def evaluate(
    synthetic_set: Annotated[
        Path, typer.Argument(metavar="SET", help="A synthetic_set.safetensors; or images_best.pt of the older code.")
    ],
    networks: Annotated[
        list[str],
        typer.Option("--network", help=f"{', '.join(NETWORK_NAMES)} or module:callable. May be repeated."),
    ] = list(NETWORK_NAMES),  # noqa: B006
    repeats: Annotated[int, typer.Option(help="Networks trained per architecture.")] = 5,
    epochs: Annotated[int, typer.Option(help="Epochs of each.")] = 1000,
    dataset: Annotated[str | None, typer.Option(help="With a .pt: the dataset that it stands for.")] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With a .pt: its labels; labels_best.pt beside it.")
    ] = None,
    assignments: Assignments = [],  # noqa: B006
    device: Device = "auto",
) -> None:
    """Score a synthetic set: train networks on it from scratch and test them on the real test images."""
    from glad_ray.evaluate import score

    evaluation = Evaluation(networks=tuple(Network(name=n) for n in networks), repeats=repeats, epochs=epochs)
    evaluation = override_sweep(
        Sweep(name="evaluate", runs=(Run(algorithm="random"),), evaluations=evaluation),
        assignments,
    ).evaluations[0]
    table = Table("network", "accuracy (%)", "repeats", "seconds", title=str(synthetic_set))
    for network, trainings in score(_read_set(synthetic_set, dataset, labels), evaluation, device=_device(device)):
        scores = [100 * training.accuracy for training in trainings]
        seconds = sum(training.seconds for training in trainings)
        spread = f"{statistics.fmean(scores):.1f} ± {statistics.pstdev(scores):.1f}"
        table.add_row(network.title, spread, str(len(trainings)), f"{seconds:.0f}")
    console().print(table)


@app.command()
def export(
    synthetic_set: Annotated[
        Path, typer.Argument(metavar="SET", help="A synthetic_set.safetensors; or images_best.pt of the older code.")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="A new folder.")],
    form: Annotated[
        Literal["tensors", "images", "huggingface"],
        typer.Option("--as", help="Tensors in .pt files; 8-bit PNG in class folders; a Hugging Face dataset."),
    ] = "images",
    dataset: Annotated[str | None, typer.Option(help="With a .pt: the dataset that it stands for.")] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With a .pt: its labels; labels_best.pt beside it.")
    ] = None,
) -> None:
    """Write a synthetic set in a form that other code reads."""
    from glad_ray.exchange import write_huggingface, write_image_folder, write_image_tensors

    write = {"tensors": write_image_tensors, "images": write_image_folder, "huggingface": write_huggingface}[form]
    write(_read_set(synthetic_set, dataset, labels), to)
    console().print(f"The set is in {to}")


@app.command()
def experts(
    dataset: Annotated[str, typer.Option(help=f"One of {', '.join(DATASETS)}.")],
    storage: Annotated[str, typer.Option("--storage", metavar="DIR_OR_URI", help="Where the trajectories are kept.")],
    network: Annotated[str, typer.Option(help=f"One of {', '.join(NETWORK_NAMES)}.")] = "convnet",
    count: Annotated[int, typer.Option("--experts", help="Number of trajectories.")] = 100,
    epochs: Annotated[int, typer.Option(help="Epochs of each.")] = 15,
    resolution: Annotated[int | None, typer.Option(help="Side of the images in pixels; the dataset's own.")] = None,
    held_out: Annotated[int, typer.Option(help="Training images per class kept out.")] = 0,
    replay_buffers: Annotated[
        list[Path],
        typer.Option("--from", metavar="FILE", help="Take them from a replay_buffer_*.pt instead. May be repeated."),
    ] = [],  # noqa: B006
    assignments: Assignments = [],  # noqa: B006
    device: Device = "auto",
) -> None:
    """Train expert trajectories for MTT in this process; those that are there already are not trained again."""
    facts = dataset_facts(dataset)
    expert_set = ExpertSet(
        dataset=dataset,
        resolution=resolution or facts.resolution,
        held_out=held_out,
        network=Network(name=network),
        experts=Experts(count=count, epochs=epochs),
    )
    from glad_ray.engine import make_view, train_experts_in_process
    from glad_ray.spec.overrides import override, parse_assignment

    for key, value in map(parse_assignment, assignments):
        (expert_set,) = override((expert_set,), key, value)
    kept = Storage.open(storage)
    if replay_buffers:
        from glad_ray.exchange import import_replay_buffers

        with Progress(console=console(), transient=True) as progress:
            task = progress.add_task("experts", total=expert_set.experts.count)
            import_replay_buffers(
                replay_buffers, expert_set, kept, lambda there: progress.update(task, completed=there)
            )
    with make_view(Plan(Sweep(name="experts", runs=()), (), (expert_set,))) as view:
        train_experts_in_process(expert_set, kept, device=_device(device), view=view)
    console().print(f"{expert_set.label}: {kept}/experts/{expert_set.content_id}")


@app.command()
def report(
    storage: Annotated[str, typer.Argument(metavar="DIR", help="The storage of a sweep: a folder or URI.")],
) -> None:
    """Write tables and pictures from a sweep's results alone."""
    from glad_ray.report import write_report

    kept = Storage.open(storage, create=False)
    console().print(f"The report is {kept}/{write_report(kept)}")


generator_app = typer.Typer(help="Files of trained generators: what they hold, and a safe form of them.")
app.add_typer(generator_app, name="generator", no_args_is_help=True)
GeneratorPath = Annotated[
    Path, typer.Argument(metavar="FILE", help="An official StyleGAN-XL or StyleGAN3 .pkl, or a converted .json.")
]


@generator_app.command()
def inspect(file: GeneratorPath) -> None:
    """Print what a generator's file holds: resolution, classes, layers and their spaces; no code of it is run."""
    from glad_ray.stylegan.files import LICENCE_NOTE, read_settings
    from glad_ray.stylegan.show import settings_parts

    for part in settings_parts(file.name, read_settings(file)):
        console().print(part)
    console().print(LICENCE_NOTE)


@generator_app.command()
def convert(
    file: GeneratorPath,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="NAME.json", help="What to write; beside the file if not given.")
    ] = None,
) -> None:
    """Write a generator's weights as safetensors and its settings as JSON; no code of the file is run."""
    from glad_ray.stylegan.files import LICENCE_NOTE
    from glad_ray.stylegan.files import convert as convert_file

    written = convert_file(file, to or file.with_suffix(".json"))
    console().print(f"Written: {written.description} and {written.weights}; sha256 {written.sha256}")
    console().print(LICENCE_NOTE)


def execute(made: Plan, storage: Storage, address: str | None, device: str | None) -> None:
    """Run a plan through Ray, or in this process on `device`, then report it; raises `GladRayError` if a run failed."""
    from glad_ray.engine import make_view, run_in_process, run_on_ray
    from glad_ray.report import write_report

    write_plan(made, storage)
    for note in {run.generator.licence for run in made.runs if run.generator is not None and run.generator.licence}:
        console().print(note)
    with make_view(made) as view:
        if device is None:
            run_on_ray(made, storage, address=address, view=view)
        else:
            run_in_process(made, storage, device=device, view=view)
    console().print(f"The report is {storage}/{write_report(storage)}")
    failed = {run.run_id for run in made.runs} & {failure.run_id for failure in read_failures(storage)}
    if failed:
        raise GladRayError(f"{len(failed)} of {len(made.runs)} runs failed; the report says why.")


def finished_runs(made: Plan, storage: Storage) -> set[str]:
    """Ids of the runs that have their results."""
    ids = [evaluation.content_id for evaluation in made.sweep.evaluations]
    return {run.run_id for run in made.runs if all(finished(storage, run.run_id, each) for each in ids)}


def console() -> Console:
    """Where output goes; wide enough for whole tables when it is not a terminal."""
    return Console(width=None if sys.stdout.isatty() else 160, soft_wrap=not sys.stdout.isatty())


def _plan(sweep_file: Path, conditions: list[str], assignments: list[str], small: bool) -> Plan:
    chosen = only(load_sweep(sweep_file), conditions)
    return make_plan(override_sweep(shrink(chosen) if small else chosen, assignments))


def _read_set(path: Path, dataset: str | None, labels: Path | None) -> "SyntheticSet":
    """A set of ours, or of the older code's tensors."""
    if path.suffix != ".pt":
        from glad_ray.evaluate import read_set

        return read_set(path)
    if dataset is None:
        raise UserError(
            f"{path} does not say which dataset it stands for: add --dataset, one of {', '.join(DATASETS)}."
        )
    from glad_ray.exchange import read_image_tensors

    return read_image_tensors(path, labels or path.with_name("labels_best.pt"), facts=dataset_facts(dataset))


def _missing_data(made: Plan) -> list[str]:
    """A sentence for the datasets of a plan that are not there, and are got in the same way."""
    from glad_ray.data import find_dataset

    titles: dict[str, list[str]] = {}
    for name in dict.fromkeys(run.dataset for run in made.runs):
        try:
            find_dataset(name)
        except UserError as error:
            title = dataset_facts(name).title
            titles.setdefault(str(error).removeprefix(f"{title} was not found "), []).append(title)
    return [f"Missing: {', '.join(each)} {how}" for how, each in titles.items()]


def _storage_name(sweep: Sweep, storage: str | None) -> str:
    return storage if storage is not None else f"runs/{sweep.name}"


def _device(name: str) -> str:
    from glad_ray.machine import keep_freed_memory, open_device

    keep_freed_memory()
    return str(open_device(name))


def _version(shown: bool) -> None:
    if shown:
        typer.echo(f"glad-ray {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options of the command itself."""


_INTERRUPTED = "Interrupted: what is finished is kept; the same command goes on from there."
# Typer brings its own copy of click or uses the one that is installed, by version; the base class is the same word.
_UsageError: Any = typer.BadParameter.__base__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0; 2 after bad input; 1 after a failed run; 130 if interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = app(args=[word for word in words if word != "--"], prog_name="glad-ray", standalone_mode=False)
        code = result if isinstance(result, int) else 0
        # Typer itself catches the interrupt and only returns its code.
        return _complain(_INTERRUPTED, code) if code == 130 else code
    except UserError as error:
        return _complain(str(error), 2)
    except _UsageError as error:
        return _complain(error.format_message(), 2)
    except GladRayError as error:
        return _complain(str(error), 1)
    except (KeyboardInterrupt, typer.Abort):
        return _complain(_INTERRUPTED, 130)


def _complain(sentence: str, code: int) -> int:
    print(f"glad-ray: {sentence}", file=sys.stderr)
    return code
