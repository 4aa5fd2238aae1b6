"""A sweep that takes seconds: every kind of unit of work, in pixel space and in a space of a generator."""

import torch

from glad_ray.plan import Plan, make_plan, plan_experts
from glad_ray.results import read_losses, read_results
from glad_ray.spec import (
    DC,
    DM,
    MTT,
    Choice,
    CustomAlgorithm,
    Evaluation,
    Experts,
    FloatRange,
    Halving,
    Herding,
    KMeans,
    LearningRates,
    Network,
    RandomReal,
    RandomStyleGAN,
    Resources,
    Run,
    Rung,
    Search,
    Sweep,
    WholeDataset,
)
from glad_ray.synthetic_set import SyntheticSet
from tests.generators import kinds

BACKBONE = Network(name="convnet", width=8)
GENERATOR = RandomStyleGAN(
    resolution=32, image_channels=1, num_layers=4, channel_base=64, channel_max=8, w_dim=8, z_dim=8
)
EXPERTS = Experts(count=2, epochs=2, batch_size=256)
MATCHING = MTT(iterations=10, synthetic_steps=2, expert_epochs=1, experts=EXPERTS)
BASE = Run(algorithm=RandomReal(), resolution=32, backbone=BACKBONE, held_out=5, snapshots=2, checkpoint_every=2)
TOO_FAST = LearningRates(pixels=1e30, f=1.0, w=1.0)
RUNS = {
    "random": BASE,
    "dm": BASE.replace(algorithm=DM(iterations=40, real_batch_size=8)),
    "dc": BASE.replace(algorithm=DC(iterations=10, real_batch_size=8), space="f2", init="sampled", generator=GENERATOR),
    "dm f3": BASE.replace(
        algorithm=DM(iterations=4, real_batch_size=8), space="f3", init="sampled", generator=GENERATOR, seed=1
    ),
    "learning": BASE.replace(
        algorithm=DM(iterations=4, real_batch_size=8),
        space="f3",
        generator=kinds.stylegan_file(GENERATOR),
        learn_generator=True,
    ),
    "layers": BASE.replace(
        algorithm=DM(iterations=4, real_batch_size=8), space="f1>f2>f4", init="sampled", generator=GENERATOR
    ),
    "own": BASE.replace(
        algorithm=CustomAlgorithm(name="tests.own_algorithms:Drifting", iterations=4, real_batch_size=8),
        space="f2",
        generator=GENERATOR,
    ),
    "mtt": BASE.replace(algorithm=MATCHING),
    "soft mtt": BASE.replace(algorithm=MATCHING.replace(labels="soft", iterations=4)),
    "herding": BASE.replace(algorithm=Herding(features=EXPERTS), images_per_class=2),
    "kmeans": BASE.replace(algorithm=KMeans(features=None), images_per_class=2),
    "whole": BASE.replace(algorithm=WholeDataset()),
    "failing": BASE.replace(algorithm=DM(iterations=10, real_batch_size=8, learning_rates=TOO_FAST)),
    "failing experts": BASE.replace(algorithm=MATCHING.replace(experts=EXPERTS.replace(count=1, lr=1e30))),
}
WITH_SET = ("random", "dm", "dc", "dm f3", "learning", "layers", "own", "mtt", "soft mtt", "herding", "kmeans")
SOUND = (*WITH_SET, "whole")
EVALUATION = Evaluation(
    networks=(BACKBONE, Network(width=8, depth=1)), repeats=2, epochs=4, whole_dataset_epochs=1, test_images=100
)
SOFT = EVALUATION.replace(
    networks=(BACKBONE,), repeats=1, labels="soft", augmentation="", teacher=Experts(count=1, epochs=1, batch_size=256)
)

SEARCH = Search(
    name="tiny",
    base=BASE.replace(algorithm=DM(iterations=6, real_batch_size=8), space="f3", generator=GENERATOR),
    vary={
        "algorithm": Choice(values=(DM(iterations=6, real_batch_size=8), MATCHING.replace(iterations=6))),
        "space": Choice(values=("pixel", "f3")),
        "algorithm.learning_rates.f": FloatRange(low=0.1, high=10, log=True),
        "algorithm.learning_rates.pixels": FloatRange(low=0.1, high=10, log=True),
    },
    trials=6,
    rungs=(Rung(share=1 / 3, epochs=2), Rung(share=1, epochs=2)),
    stopping=Halving(keep=2),
    evaluation=EVALUATION,
    finalists=2,
    controls=1,
    seeds=2,
    seed=1,
)

DM_SEARCH = SEARCH.replace(
    vary={
        "space": Choice(values=("pixel", "w+")),
        "algorithm.learning_rates.pixels": FloatRange(low=0.1, high=10, log=True),
    }
)

# Times, memory and where it ran; everything else is what the run was.
OF_THE_MACHINE = (
    "distill_seconds",
    "distill_peak_memory_bytes",
    "distill_device",
    "distill_precision",
    "evaluate_seconds",
    "evaluate_peak_memory_bytes",
    "evaluate_device",
    "evaluate_precision",
    "finished_at",
)


def plan(*names, evaluations=(EVALUATION, SOFT), **resources) -> Plan:
    """The plan of some runs."""
    runs = tuple(RUNS[name] for name in names)
    return make_plan(Sweep(name="tiny", runs=runs, evaluations=evaluations, resources=Resources(**resources)))


def experts(*expert_sets, **resources) -> Plan:
    """The plan of some experts without any run."""
    return plan_experts(*expert_sets, resources=Resources(**resources))


def rows(storage, *names):
    """The rows of some runs without what differs from one execution to the next."""
    table = read_results(storage).drop_columns(OF_THE_MACHINE).to_pylist()
    ids = {RUNS[name].run_id for name in names}
    return [row for row in table if row["run_id"] in ids]


def synthetic_set(storage, name):
    """What a run made."""
    return _set_of(storage, RUNS[name].run_id)


def assert_same(storage, expected, name, tolerance=0.0):
    """Two executions of a run made the same latents, images and losses, bit for bit if no tolerance is given."""
    assert_same_run(storage, expected, RUNS[name].run_id, tolerance)


def assert_same_run(storage, expected, run_id, tolerance=0.0):
    """The same, by the run's id."""
    ours, theirs = _set_of(storage, run_id), _set_of(expected, run_id)
    assert ours.latents.keys() == theirs.latents.keys()
    for kind, value in theirs.latents.items():
        torch.testing.assert_close(ours.latents[kind], value, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(ours.images, theirs.images, rtol=tolerance, atol=tolerance)
    losses = [torch.tensor(read_losses(each, run_id).losses) for each in (storage, expected)]
    torch.testing.assert_close(*losses, rtol=tolerance, atol=tolerance)


def _set_of(storage, run_id):
    path = storage.synthetic_set_path(run_id)
    return SyntheticSet.from_bytes(storage.read_bytes(path), path)
