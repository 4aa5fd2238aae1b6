"""The commands of one unit of work in this process: distill, evaluate, experts; and export."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import Progress

from glad_ray.api.commands import distill_to_the_end, score_to_the_end
from glad_ray.api.running import check_spent, console, run_plan, say
from glad_ray.cli.common import (
    Address,
    Assignments,
    Device,
    DeviceInProcess,
    InProcess,
    device_in_process,
    home_expanded,
)
from glad_ray.cli.documents import AsJson, evaluation_fields, nothing_else_printed, print_document
from glad_ray.errors import UserError
from glad_ray.plan import as_stored, plan_experts
from glad_ray.progress.driver import driving
from glad_ray.spec import DATASETS, Evaluation, Experts, ExpertSet, Network, RandomStyleGAN, Run, Sweep, dataset_facts
from glad_ray.spec.algorithms import ALGORITHMS
from glad_ray.spec.networks import NETWORK_NAMES, PAPER_NETWORKS
from glad_ray.spec.written.overrides import override_experts, override_sweep
from glad_ray.storage import Storage

if TYPE_CHECKING:
    from glad_ray.exchange import LabelKind
    from glad_ray.synthetic_set import SyntheticSet

_ALGORITHM_HELP = (
    f"{', '.join(kind.name_of() for kind in ALGORITHMS if kind.distils)}; or a baseline: "
    f"{', '.join(kind.name_of() for kind in ALGORITHMS if not (kind.distils or kind.whole_dataset))}."
)
_DATASET_HELP = f"One of {', '.join(DATASETS)}; or a user's own, folder:PATH or hf:PATH."

ExpertAssignments = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a field: experts.lr, network.width, resources.expert.gpus and others. May be repeated.",
    ),
]
SetFile = Annotated[
    Path,
    typer.Argument(
        metavar="SET",
        help="A synthetic_set.safetensors; or images_best.pt of the older code, which needs --dataset: a float tensor "
        "of images x channels x height x width, normalised with the dataset's mean and deviation, or whitened (see "
        "--whitening).",
        callback=home_expanded,
    ),
]
SetDataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="With a .pt: the dataset that it stands for, whose test images it is scored on and whose mean and "
        "deviation it is taken to be normalised with.",
    ),
]
SetWhitening = Annotated[
    Literal["none", "zca"] | None,
    typer.Option("--whitening", help="With a .pt: zca if the older code was run with --zca; none if not given."),
]
SetLabels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        help="With a .pt: its labels. If not given, those of the same name beside it: labels_best.pt, labels_100.pt.",
        callback=home_expanded,
    ),
]
SetLabelKind = Annotated[
    Literal["hard", "probabilities", "logits"],
    typer.Option(
        "--label-kind",
        help="With a .pt: what the labels are. hard: a class for each image. probabilities or logits: images x "
        "classes, soft labels that belong to the set and are trained on.",
    ),
]
SetTemperature = Annotated[
    float | None,
    typer.Option("--temperature", help="With logits: they are divided by it before the softmax; 1 if not given."),
]


def distill(
    algorithm: Annotated[str, typer.Option(help=_ALGORITHM_HELP)] = "dm",
    dataset: Annotated[str, typer.Option(help=_DATASET_HELP)] = "fashion-mnist-sample",
    space: Annotated[str, typer.Option(help="pixel, w+ or f<n>; several layers as 'f0>f4>f8'.")] = "pixel",
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
    made, kept = distill_to_the_end(one, storage, device)
    console().print(f"The synthetic set is {kept}/{kept.synthetic_set_path(made.run_id)}")


def evaluate(
    synthetic_set: SetFile,
    networks: Annotated[
        list[str],
        typer.Option("--network", help=f"{', '.join(NETWORK_NAMES)} or module:callable. May be repeated."),
    ] = list(PAPER_NETWORKS),  # noqa: B006
    repeats: Annotated[int, typer.Option(help="Networks trained per architecture.")] = 5,
    epochs: Annotated[int, typer.Option(help="Epochs of each.")] = 1000,
    storage: Annotated[
        str, typer.Option("--storage", metavar="DIR_OR_URI", help="Where every training is kept.")
    ] = "runs/evaluate",
    dataset: SetDataset = None,
    labels: SetLabels = None,
    whitening: SetWhitening = None,
    label_kind: SetLabelKind = "hard",
    temperature: SetTemperature = None,
    assignments: Assignments = [],  # noqa: B006
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Score a synthetic set: train networks on it from scratch and test them on the real test images.

    A .pt of the older code does not say how its images were made ready for networks. They are taken to be normalised
    with the dataset's mean and standard deviation per channel, and with --whitening zca to be ZCA-whitened as the code
    of MTT does it (pixels in [0, 1], eps 0.1, fitted to all training images, nothing normalised before); whichever is
    wrong costs many points of accuracy. A set of ours says it itself.

    Every training is kept as it ends: the same command again, or one for more repeats or networks, trains only what is
    missing.
    """
    evaluation = Evaluation(
        networks=tuple(Network(name=n) for n in networks),
        repeats=repeats,
        epochs=epochs,
        labels="hard" if label_kind == "hard" else "soft",
    )
    evaluation = override_sweep(
        Sweep(name="evaluate", runs=(Run(algorithm="random"),), evaluations=evaluation),
        assignments,
    ).evaluations[0]

    made = _read_set(synthetic_set, dataset, labels, label_kind, temperature, whitening)
    with nothing_else_printed(as_json):
        trainings = score_to_the_end(made, evaluation, storage, device, str(synthetic_set))
    if as_json:
        said = {"set": str(synthetic_set), "storage": storage}
        print_document("evaluation", said | evaluation_fields(evaluation, trainings))


def export(
    synthetic_set: SetFile,
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="A new folder.", callback=home_expanded)],
    form: Annotated[
        Literal["tensors", "images", "huggingface"],
        typer.Option("--as", help="Tensors in .pt files; 8-bit PNG in class folders; a Hugging Face dataset."),
    ] = "images",
    dataset: SetDataset = None,
    labels: SetLabels = None,
    whitening: SetWhitening = None,
    label_kind: SetLabelKind = "hard",
    temperature: SetTemperature = None,
) -> None:
    """Write a synthetic set in a form that other code reads.

    Tensors are the images as networks see them: normalised, or whitened if the set is. Pictures of a whitened set have
    its whitening undone; of a .pt that takes the files of its dataset.
    """
    from glad_ray.exchange import with_pictures, write_huggingface, write_image_folder, write_image_tensors

    write = {"tensors": write_image_tensors, "images": write_image_folder, "huggingface": write_huggingface}[form]
    made = _read_set(synthetic_set, dataset, labels, label_kind, temperature, whitening)
    write(made if form == "tensors" else with_pictures(made), to)
    console().print(f"The set is in {to}")
    if form == "tensors" and made.whitening != "none":
        console().print("Its images are whitened: evaluate them with --whitening zca.")


def experts(
    dataset: Annotated[str, typer.Option(help=_DATASET_HELP)],
    storage: Annotated[str, typer.Option("--storage", metavar="DIR_OR_URI", help="Where the trajectories are kept.")],
    network: Annotated[str, typer.Option(help=f"One of {', '.join(NETWORK_NAMES)}.")] = "convnet",
    count: Annotated[int, typer.Option("--experts", help="Number of trajectories.")] = 100,
    epochs: Annotated[int, typer.Option(help="Epochs of each.")] = 15,
    resolution: Annotated[int | None, typer.Option(help="Side of the images in pixels; the dataset's own.")] = None,
    held_out: Annotated[int, typer.Option(help="Training images per class kept out.")] = 0,
    whitening: Annotated[
        Literal["none", "zca"],
        typer.Option(help="zca: train on ZCA-whitened images; with --from: they were trained on such, by --zca."),
    ] = "none",
    replay_buffers: Annotated[
        list[Path],
        typer.Option(
            "--from",
            metavar="FILE",
            help="Take them from a replay_buffer_*.pt instead. May be repeated.",
            callback=home_expanded,
        ),
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
        whitening=whitening,
        network=Network(name=network),
        experts=Experts(count=count, epochs=epochs),
    )
    expert_set, resources = override_experts(expert_set, assignments)
    where = device_in_process(in_process, device)
    made = plan_experts(expert_set, resources=resources)
    kept = Storage.open(storage)
    with driving(kept, say):
        made = as_stored(made, kept)
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


def _read_set(
    path: Path,
    dataset: str | None,
    labels: Path | None,
    label_kind: "LabelKind",
    temperature: float | None,
    whitening: Literal["none", "zca"] | None,
) -> "SyntheticSet":
    """A set of ours, or of the older code's tensors."""
    if path.suffix != ".pt":
        from glad_ray.score import read_set

        given = {"--dataset": dataset, "--labels": labels, "--temperature": temperature}
        given["--label-kind"] = None if label_kind == "hard" else label_kind
        if not_taken := [option for option, value in given.items() if value is not None]:
            raise UserError(f"{' and '.join(not_taken)} go with a .pt: a synthetic set says these things itself.")
        made = read_set(path)
        if whitening not in (None, made.whitening):
            raise UserError(f"--whitening is {whitening} and the set in {path} says {made.whitening}: leave it out.")
        return made
    if dataset is None:
        raise UserError(
            f"{path} does not say which dataset it stands for: add --dataset, one of {', '.join(DATASETS)}."
        )
    if temperature is not None and label_kind != "logits":
        raise UserError(f"--temperature goes with --label-kind logits, not {label_kind}: leave it out.")
    from glad_ray.exchange import labels_beside, read_image_tensors

    return read_image_tensors(
        path,
        labels or labels_beside(path),
        facts=dataset_facts(dataset),
        label_kind=label_kind,
        temperature=1.0 if temperature is None else temperature,
        whitening=whitening or "none",
    )
