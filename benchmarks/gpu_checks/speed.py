"""How long each piece takes; with `--reference`, beside the paper's code in turn."""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from unittest import mock

import torch
from timing import time_in_turn

from glad_ray.algorithms import real_batches
from glad_ray.generators import build_generator
from glad_ray.machine import fp32_precision
from glad_ray.spec import MTT, Evaluation, Experts, Network, RandomStyleGAN
from glad_ray.spec.networks import PAPER_NETWORKS
from glad_ray.spec.networks.convnet import standard_depth
from gpu_checks.check import Check, Measured, Piece, Setting
from gpu_checks.problems import (
    EvaluationTraining,
    ExpertEpoch,
    Problem,
    algorithms,
    noise,
    noise_problem,
)
from gpu_checks.reference import Reference

WHOLE_EVALUATION_EPOCHS = 1000


@cache
def loaded(setting: Setting) -> Reference | None:
    """The paper's code, if there is a checkout."""
    return None if setting.reference is None else Reference(setting.reference, setting.device)


def beside(ours: float, reference: float | None, unit: str, scale: float) -> Measured:
    """Both, and the ratio."""
    numbers = {f"ours, {unit}": scale * ours}
    if reference is not None:
        numbers |= {f"the paper's code, {unit}": scale * reference, "ratio": reference / ours}
    return Measured(numbers)


def step(setting: Setting, problem: Problem, steps: int) -> Measured:
    """Steps of a run, in two rounds in turn; the exact gradient of MTT has no counterpart."""
    algorithm, reference = problem.run.algorithm, loaded(setting)
    ours: list[float] = []
    theirs: list[float] = []
    compared = reference is not None and not (isinstance(algorithm, MTT) and algorithm.gradient == "exact")
    for _ in range(2):
        ours += problem.step_seconds(setting.device, steps)
        if compared and reference is not None:
            theirs += reference.step_seconds(problem, steps)
    return beside(statistics.median(ours), statistics.median(theirs) if theirs else None, "ms", 1e3)


def classes_together(setting: Setting, problem: Problem, steps: int) -> Measured:
    """Steps of a run in which classes go through the network together, and one by one, in two rounds in turn."""
    taken: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(2):
        for together, seconds in taken.items():
            with mock.patch.object(real_batches, "together_is_fast", return_value=together):
                seconds += problem.step_seconds(setting.device, steps)
    together, alone = (1e3 * statistics.median(seconds) for seconds in taken.values())
    return Measured({"together, ms": together, "one by one, ms": alone, "ratio": alone / together})


def in_turn(
    setting: Setting, ours: Callable[[], object], theirs: Callable[[], object] | None, unit: str, scale: float
) -> Measured:
    """Calls in turn."""
    candidates = {"ours": ours} | ({} if theirs is None else {"theirs": theirs})
    taken = {name: timing.wall for name, timing in time_in_turn(candidates, 3, setting.device).items()}
    return beside(taken["ours"], taken.get("theirs"), unit, scale)


def expert_epoch(setting: Setting, resolution: int) -> Measured:
    """An epoch on 4,000 images."""
    count, width = setting.size(4000, 20), setting.size(128, 4)
    dataset, reference = noise(resolution, count // 10), loaded(setting)
    epoch = ExpertEpoch(dataset, count, Network(width=width)).prepared(setting.device).epoch
    theirs = None
    if reference is not None:
        theirs = reference.expert_epoch(dataset, count, width, standard_depth(resolution))
    with fp32_precision(Experts().precision, setting.device):
        return in_turn(setting, epoch, theirs, "s", 1)


def evaluation(setting: Setting, name: str, resolution: int) -> Measured:
    """A whole evaluation from fewer epochs: building and testing the network, little besides, are scaled with it."""
    epochs, network = setting.size(30, 2), Network(name=name)
    dataset, reference = noise(resolution, 1), loaded(setting)
    trained = partial(EvaluationTraining(dataset, network).trained, setting.device, torch.float32, epochs)
    theirs = None
    if reference is not None:
        theirs = reference.evaluation(name, dataset, epochs, Evaluation().learning_rate(network))
    with fp32_precision(Evaluation().precision, setting.device):
        return in_turn(setting, trained, theirs, "s", WHOLE_EVALUATION_EPOCHS / epochs)


def through_generator(setting: Setting, record: RandomStyleGAN, space: str, *, keep_graph: bool) -> Measured:
    """Decode and pullback of ten images."""
    images, rng = setting.size(10, 2), torch.Generator().manual_seed(0)
    generator = build_generator(record, device=setting.device, memory_gib=16, keep_graph=keep_graph)
    latents = {
        kind: torch.randn(images, *shape, generator=rng).to(setting.device)
        for kind, shape in record.latent_shapes(space).items()
    }

    def both() -> None:
        generator.pullback(space, latents, generator.decode(space, latents))

    return in_turn(setting, both, None, "ms", 1e3)


def pieces(setting: Setting) -> Iterator[Piece]:
    """At 32 and at 128 pixels."""
    real, width = setting.size(256, 2), setting.size(None, 4)
    for resolution in setting.size((32, 128), (32,)):
        for name, algorithm in algorithms(real_images=real, student_steps=setting.size(10, 2)).items():
            problem = noise_problem(algorithm, resolution, real, width)
            steps = setting.size(10 if resolution == 32 else 3, 1)
            for precision in setting.size(("float32", "tf32"), ("float32",)):
                asked = replace(problem, run=problem.run.replace(precision=precision))
                title = f"step of {name} in {precision}, {resolution} pixels"
                yield Piece(title, partial(step, setting, asked, steps))
            if not isinstance(algorithm, MTT):
                alone = partial(classes_together, setting, problem, steps)
                yield Piece(f"classes of {name} together, {resolution} pixels", alone)
        yield Piece(f"expert epoch, {resolution} pixels", partial(expert_epoch, setting, resolution))
        for name in PAPER_NETWORKS if not setting.quick else PAPER_NETWORKS[:1]:
            yield Piece(f"evaluation, {name}, {resolution} pixels", partial(evaluation, setting, name, resolution))
    small = RandomStyleGAN(resolution=32, channel_max=8, channel_base=128, w_dim=8, calibrate=False)
    record = setting.size(RandomStyleGAN(resolution=128, calibrate=False), small)
    for space in setting.size(("f5", "f8"), ("f8",)):
        for keep_graph in (False, True):
            kept = ", graph kept" if keep_graph else ""
            yield Piece(
                f"decode and pullback, {space}, {record.resolution} pixels{kept}",
                partial(through_generator, setting, record, space, keep_graph=keep_graph),
            )


CHECK = Check(
    name="speed",
    claim="Medians: a step in the precision named (256 real images a class, 10 steps of the student; the paper's code "
    "as PyTorch is set, with TF32 in convolutions), both in TF32: an epoch of an expert on 4,000 images, "
    f"{WHOLE_EVALUATION_EPOCHS:,} epochs of evaluation scaled from fewer, ten images through a random StyleGAN. "
    "No limits.",
    share=110,
    pieces=pieces,
)
