"""How the report says numbers and names."""

import inspect
import math
import re
import textwrap
from collections.abc import Sequence

from glad_ray.report.tables.identity import is_baseline
from glad_ray.spec.algorithms import algorithm_kind
from glad_ray.spec.datasets import DATASETS
from glad_ray.spec.images.augmentation import DSA, is_sequential, parse_strategy
from glad_ray.spec.metrics import Metric
from glad_ray.spec.networks import ARCHITECTURES

LABELS = {"hard": "hard", "own": "own soft", "teacher": "teacher’s soft", "online": "a teacher’s at every step"}
REGIMES = {"hard": "hard labels", "fixed-soft": "fixed soft labels", "teacher": "a teacher at every step"}
"""how networks are taught, as tables name it"""
OPTIMISERS = {"sgd": "SGD", "adamw": "AdamW"}
SELECTIONS = {
    "last": ("Last step", "Every run is scored by the synthetic set of its last step: nothing is chosen."),
    "held-out": (
        "Step chosen on held-out training images",
        "For each run, the step whose set trained the backbone to the best mean accuracy on training images that the "
        "distillation never saw, for all networks alike. The test set has no part in the choice.",
    ),
    "looks": (
        "Step chosen by short looks on held-out training images",
        "For each run, the step whose set trained a few networks, for few epochs, to the best mean accuracy on "
        "training images that the distillation never saw, for all networks alike. Of the kept sets only this one and "
        "the last were evaluated in full; the test set has no part in the choice.",
    ),
    "best-on-test": (
        "Best step on the test set (the paper's protocol)",
        "For each run and each network by itself, the step with the best mean accuracy on the test set: the protocol "
        "of the paper's code. The test set both chooses and scores, so these numbers are optimistic.",
    ),
}


def dataset_title(name: str) -> str:
    """The dataset's title where it is known."""
    return DATASETS[name].title if name in DATASETS else name


def algorithm_title(algorithm: str) -> str:
    """`DM, distribution matching`; of a user's own its name."""
    return algorithm_kind(algorithm).title_of(algorithm)


def algorithm_label(algorithm: str) -> str:
    """`DM`; of a baseline what it is called, of a user's own its class."""
    return algorithm_kind(algorithm).label_of(algorithm)


def run_name(algorithm: str, space: str) -> str:
    """`DC f4`; a baseline is real images and needs no space."""
    label = algorithm_label(algorithm)
    return label if is_baseline(algorithm) else f"{label} {space}"


def place(dataset: str, resolution: int, ipc: int | None) -> str:
    """`Fashion-MNIST, 28 px, 10 images per class`."""
    images = "whole dataset" if ipc is None else f"{counted(ipc, 'image')} per class"
    return f"{dataset_title(dataset)}, {resolution} px, {images}"


def augmentation(operations: str) -> str:
    """`DSA` with all its operations, else those there are: `augmentation flip, crop`; or `no augmentation`."""
    if not operations:
        return "no augmentation"
    if is_sequential(operations):
        return f"sequential augmentation {', '.join(parse_strategy(operations))}"
    return "DSA" if operations == DSA else f"augmentation {operations.replace('_', ', ')}"


def network_name(key: str) -> str:
    """`ResNet18` of `resnet18-w16`, `vit_b_16` of `torchvision.models.vit_b_16-image_size=32`."""
    name = key.partition("-")[0]
    if name in ARCHITECTURES:
        return ARCHITECTURES[name].title
    return name.rpartition(".")[2] if "." in name else key


def network_detail(key: str) -> str:
    """`width 16` of `resnet18-w16`, the module and options of a foreign network; empty for a standard network."""
    name, _, rest = key.partition("-")
    if name not in ARCHITECTURES:
        module = name.rpartition(".")[0]
        return ", ".join([module, *rest.split(",")] if module and rest else [module])
    words = {"w": "width", "d": "depth"}
    parts = rest.split("-") if rest else []
    return ", ".join(f"{words[part[0]]} {part[1:]}" if part[1:].isdigit() else part for part in parts)


def network_title(key: str) -> str:
    """`ResNet18 width 16`, `ConvNet`."""
    return " ".join(filter(None, [network_name(key), network_detail(key)]))


def percent(share: float, decimals: int = 1) -> str:
    """`64.3` of 0.643."""
    return f"{100 * share:.{decimals}f}"


def signed(share: float) -> str:
    """`+8.1` of 0.081, with a true minus sign."""
    return f"{100 * share:+.1f}".replace("-", "−")


def between(low: float, high: float) -> str:
    """`61.2 to 64.8` of an interval of shares, with true minus signs."""
    return f"{percent(low)} to {percent(high)}".replace("-", "−")


def decimal(number: float) -> str:
    """`−0.33`, with a true minus sign."""
    return f"{number:.2f}".replace("-", "−")


def metric_column(metric: Metric, part: str, classes: Sequence[str]) -> str:
    """The heading of a metric, or of one of its numbers: of a class its name, as far as those are known."""
    if not part:
        return metric.title + (", %" if metric.share else "")
    return classes[int(part)] if part.isdecimal() and int(part) < len(classes) else part


def measured(number: float, metric: Metric) -> str:
    """`64.3` of the share 0.643, `0.643` of any other number, with a true minus sign."""
    return percent(number) if metric.share else f"{number:.4g}".replace("-", "−")


def count(number: int) -> str:
    """`20,000`."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(parts: list[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def duration(seconds: float) -> str:
    """`0.42 s`, `42 s`, `12 min 3 s`, `3 h 12 min`."""
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def memory(size_bytes: float) -> str:
    """`512 MiB`, `3.1 GiB`."""
    mebibytes = size_bytes / 2**20
    return f"{mebibytes:.0f} MiB" if mebibytes < 1000 else f"{mebibytes / 1024:.1f} GiB"


def size(size_bytes: float) -> str:
    """`784 B`, `7.8 kB`, `3.1 MB`, `47 MB`: units of 1,000."""
    power = 0 if size_bytes < 1 else min(3, int(math.log10(size_bytes) + 1e-9) // 3)
    amount = size_bytes / 1000**power
    shown = f"{amount:.0f}" if amount >= 9.95 or power == 0 else f"{amount:.1f}".removesuffix(".0")
    return f"{shown} {('B', 'kB', 'MB', 'GB')[power]}"


def iterations(number: int, steps: dict[int, int]) -> str:
    """`60 iterations (600 steps at ipc 10)`: `steps` by images per class are told where they are not the iterations."""
    said = [f"{counted(of_ipc, 'step')} at ipc {ipc}" for ipc, of_ipc in sorted(steps.items()) if of_ipc != number]
    return counted(number, "iteration") + (f" ({', '.join(said)})" if said else "")


def paragraphs(text: str) -> list[tuple[bool, str]]:
    """The paragraphs of a description, each with whether it is to be shown as it stands (it is indented)."""
    blocks = [block for block in re.split(r"\n[ \t]*\n", inspect.cleandoc(text)) if block.strip()]
    return [
        (True, textwrap.dedent(block).rstrip()) if block.startswith((" ", "\t")) else (False, " ".join(block.split()))
        for block in blocks
    ]
