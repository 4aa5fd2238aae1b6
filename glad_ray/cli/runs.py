"""The commands of one unit of work in this process: distill, evaluate, experts; and export."""

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import MofNCompleteColumn, Progress
from rich.table import Table

from glad_ray.cli.common import (
    Address,
    Assignments,
    Device,
    DeviceInProcess,
    InProcess,
    check_spent,
    console,
    device_in_process,
    device_named,
    run_plan,
    say_licences,
)
from glad_ray.engine.driver import driving
from glad_ray.errors import UserError
from glad_ray.plan import as_stored, make_plan, plan_experts
from glad_ray.spec import DATASETS, Evaluation, Experts, ExpertSet, Network, RandomStyleGAN, Run, Sweep, dataset_facts
from glad_ray.spec.network import NETWORK_NAMES
from glad_ray.spec.overrides import override_experts, override_sweep
from glad_ray.storage import Storage

if TYPE_CHECKING:
    from glad_ray.results import Training
    from glad_ray.synthetic_set import SyntheticSet

_DATASET_HELP = f"One of {', '.join(DATASETS)}; or a user's own, folder:PATH or hf:PATH."

ExpertAssignments = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a field: experts.lr, network.width, resources.expert_gpus and others. May be repeated.",
    ),
]
SetFile = Annotated[
    Path, typer.Argument(metavar="SET", help="A synthetic_set.safetensors; or images_best.pt of the older code.")
]
SetDataset = Annotated[str | None, typer.Option("--dataset", help="With a .pt: the dataset that it stands for.")]
SetLabels = Annotated[
    Path | None, typer.Option("--labels", metavar="FILE", help="With a .pt: its labels; labels_best.pt beside it.")
]


def distill(
    algorithm: Annotated[str, typer.Option(help="dc, dm or mtt; or a baseline: random, herding or kmeans.")] = "dm",
    dataset: Annotated[str, typer.Option(help=_DATASET_HELP)] = "fashion-mnist-sample",
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
    say_licences(one.runs)
    made = as_stored(make_plan(one), kept)
    with driving(kept), make_view(made) as view:
        budget = distill_in_process(made, kept, device=device_named(device), view=view)
    check_spent(budget)
    console().print(f"The synthetic set is {kept}/{kept.synthetic_set_path(made.runs[0].run_id)}")


def evaluate(
    synthetic_set: SetFile,
    networks: Annotated[
        list[str],
        typer.Option("--network", help=f"{', '.join(NETWORK_NAMES)} or module:callable. May be repeated."),
    ] = list(NETWORK_NAMES),  # noqa: B006
    repeats: Annotated[int, typer.Option(help="Networks trained per architecture.")] = 5,
    epochs: Annotated[int, typer.Option(help="Epochs of each.")] = 1000,
    dataset: SetDataset = None,
    labels: SetLabels = None,
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
    made, where = _read_set(synthetic_set, dataset, labels), device_named(device)
    trained: dict[str, list[Training]] = {}
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=console(), transient=True) as progress:
        images = progress.add_task("real images", total=None, visible=False)
        trainings = progress.add_task("trainings", total=len(evaluation.networks) * evaluation.repeats)

        def prepared(done: int, total: int) -> None:
            progress.update(images, completed=done, total=total, visible=done < total)

        for network, training in score(made, evaluation, device=where, on_prepared=prepared):
            trained.setdefault(network.title, []).append(training)
            progress.advance(trainings)
    table = Table("network", "accuracy (%)", "repeats", "seconds", title=str(synthetic_set))
    for title, repeated in trained.items():
        scores = [100 * training.accuracy for training in repeated]
        seconds = sum(training.seconds for training in repeated)
        spread = f"{statistics.fmean(scores):.1f} ± {statistics.pstdev(scores):.1f}"
        table.add_row(title, spread, str(len(repeated)), f"{seconds:.0f}")
    console().print(table)


def export(
    synthetic_set: SetFile,
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="A new folder.")],
    form: Annotated[
        Literal["tensors", "images", "huggingface"],
        typer.Option("--as", help="Tensors in .pt files; 8-bit PNG in class folders; a Hugging Face dataset."),
    ] = "images",
    dataset: SetDataset = None,
    labels: SetLabels = None,
) -> None:
    """Write a synthetic set in a form that other code reads."""
    from glad_ray.exchange import write_huggingface, write_image_folder, write_image_tensors

    write = {"tensors": write_image_tensors, "images": write_image_folder, "huggingface": write_huggingface}[form]
    write(_read_set(synthetic_set, dataset, labels), to)
    console().print(f"The set is in {to}")


def experts(
    dataset: Annotated[str, typer.Option(help=_DATASET_HELP)],
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
    assignments: ExpertAssignments = [],  # noqa: B006
    address: Address = None,
    in_process: InProcess = False,
    device: DeviceInProcess = "auto",
) -> None:
    """Train expert trajectories for MTT; the same command again trains those that are missing, and no others."""
    facts = dataset_facts(dataset)
    expert_set = ExpertSet(
        dataset=dataset,
        resolution=resolution or facts.resolution,
        held_out=held_out,
        network=Network(name=network),
        experts=Experts(count=count, epochs=epochs),
    )
    expert_set, resources = override_experts(expert_set, assignments)
    where = device_in_process(in_process, device)
    kept = Storage.open(storage)
    with driving(kept):
        made = as_stored(plan_experts(expert_set, resources=resources), kept)
        (expert_set,) = made.expert_sets
        if replay_buffers:
            _import_replay_buffers(replay_buffers, expert_set, kept)
        budget = run_plan(made, kept, address, where)
    check_spent(budget)
    console().print(f"{expert_set.label}: {kept}/experts/{expert_set.stored_id}")


def _import_replay_buffers(paths: list[Path], expert_set: ExpertSet, storage: Storage) -> None:
    from glad_ray.exchange import import_replay_buffers

    with Progress(console=console(), transient=True) as progress:
        task = progress.add_task("experts", total=expert_set.experts.count)
        import_replay_buffers(paths, expert_set, storage, lambda there: progress.update(task, completed=there))


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
