"""Records: identity, round trip, grids, and one sentence for every mistake."""

import subprocess
import sys

import pytest

from glad_ray.errors import UserError
from glad_ray.spec import (
    DC,
    DM,
    MTT,
    Evaluation,
    Experts,
    Herding,
    KMeans,
    Network,
    RandomReal,
    RandomStyleGAN,
    Run,
    Sweep,
    WholeDataset,
    grid,
)

GENERATOR = RandomStyleGAN(image_channels=1)
RUNS = grid(
    Run(algorithm=DC(), resolution=32),
    algorithm=[DC(), DM(), MTT()],
    where=[{"space": "pixel"}, {"space": "w+", "generator": GENERATOR}, {"space": "f4", "generator": GENERATOR}],
    seed=range(2),
)
BATCH_NORM = Network(norm="batchnorm")
NORMED = Run(algorithm=RandomReal(), backbone=BATCH_NORM)


def test_grid_is_every_combination_last_axis_fastest():
    assert [(r.algorithm.name, r.space, r.seed) for r in RUNS] == [
        (algorithm, space, seed)
        for algorithm in ("dc", "dm", "mtt")
        for space in ("pixel", "w+", "f4")
        for seed in (0, 1)
    ]
    assert len({run.run_id for run in RUNS}) == len(RUNS)


def test_implied_fields_follow_the_space_and_are_hashed():
    assert {run.init for run in RUNS if run.space == "pixel"} == {"real"}
    assert {run.init for run in RUNS if run.space != "pixel"} == {"sampled"}
    explicit = RUNS[0].replace(init="real")
    assert explicit.run_id == RUNS[0].run_id
    assert RUNS[0].replace(init="noise").run_id != RUNS[0].run_id


def test_round_trip():
    sweep = Sweep(name="all", runs=RUNS)
    again = Sweep.model_validate_json(sweep.model_dump_json())
    assert again == sweep
    assert [run.run_id for run in again.runs] == [run.run_id for run in RUNS]
    assert [each.content_id for each in again.evaluations] == [each.content_id for each in sweep.evaluations]


def test_identity_is_the_same_in_another_process():
    code = "from glad_ray import *; print(Run(algorithm=MTT(), seed=3).run_id)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == Run(algorithm=MTT(), seed=3).run_id


def test_importing_the_specification_loads_neither_torch_nor_ray():
    imports = "glad_ray, glad_ray.plan, glad_ray.results, glad_ray.report"
    code = f"import sys, {imports}; print({{'torch', 'ray'}} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set()"


def test_snapshot_steps_end_with_the_last():
    run = Run(algorithm=DM(iterations=10), snapshots=3)
    assert run.snapshot_steps == (3, 7, 10)
    assert Run(algorithm=RandomReal(), snapshots=4).snapshot_steps == (0,)
    assert Run(algorithm=DM(iterations=2), snapshots=5).snapshot_steps[-1] == 2


@pytest.mark.parametrize(
    ("ipc", "loops"),
    [(1, (1, 1)), (10, (10, 50)), (50, (50, 10)), (20, (20, 25)), (30, (30, 20)), (40, (40, 15)), (25, (25, 20))],
)
def test_dc_loops_are_the_originals(ipc, loops):
    assert DC().loops(ipc) == loops
    assert Run(algorithm=DC(iterations=3), images_per_class=ipc).steps == 3 * loops[0]


def test_experts_are_shared_by_runs_that_match_the_same():
    ids = {run.expert_set.content_id for run in RUNS if run.expert_set}
    assert len(ids) == 1
    assert all(run.expert_set is None for run in RUNS if run.algorithm.name != "mtt")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Run(), "Run.algorithm is missing"),
        (lambda: Run(algorithm="mt"), "Unknown algorithm 'mt'. Did you mean 'mtt'?"),
        (lambda: Run(algorithm=DC(), dataset="fashion"), "Unknown dataset 'fashion'. Did you mean 'fashion-mnist'?"),
        (lambda: Run(algorithm=DC(), sed=1), "Unknown field of Run 'sed'. Did you mean 'seed'?"),
        (lambda: Run(algorithm=DC(), space="z"), "Unknown space 'z'"),
        (lambda: Run(algorithm=DC(), space="f1"), "Space f1 needs a generator"),
        (lambda: Run(algorithm=DC(), space="f11", generator=GENERATOR), "it has pixel, w+, f0, f1, f2, f3, f4, f5, f6"),
        (lambda: Run(algorithm=DC(), generator=GENERATOR), "Pixel space takes no generator"),
        (lambda: Run(algorithm=DC(), init="average"), "in pixel space use real, noise or clustered"),
        (lambda: Run(algorithm=DC(), space="f1", generator=RandomStyleGAN()), "RandomStyleGAN(image_channels=1)"),
        (lambda: Run(algorithm=DC(), space="f1", generator=GENERATOR, resolution=28), "set both to 32"),
        (lambda: Run(algorithm=RandomReal(), init="noise"), "Baseline random is real images"),
        (lambda: Run(algorithm=DC(), images_per_class=0), "greater than or equal to 1"),
        (lambda: Run(algorithm=DC(network_lr=float("nan"))), "finite number"),
        (lambda: MTT(experts=Experts(epochs=2)), "MTT needs expert epoch 3"),
        (lambda: Network(name="resnet"), "Did you mean 'resnet18'?"),
        (lambda: Evaluation(networks=["vit", "vit"]), "names one network twice"),
        (lambda: Evaluation(learning_rates={"convnet": 0.1}), "has no rate for alexnet"),
        (lambda: Sweep(name="x", runs=[RUNS[0], RUNS[0]]), "Two runs of the sweep are the same"),
        (lambda: Sweep(name="x", runs=RUNS[:1], evaluations=()), "needs at least one evaluation"),
        (lambda: Sweep(name="x", runs=RUNS[:1], evaluations=[Evaluation()] * 2), "Two evaluations of the sweep"),
        (lambda: Run(algorithm=WholeDataset(), images_per_class=2), "has no images_per_class to set"),
        (lambda: Run(algorithm=Herding(), space="f1", generator=GENERATOR), "Baseline herding is real images"),
        (lambda: Run(algorithm=KMeans(), backbone=BATCH_NORM), "give neither soft labels nor features"),
        (lambda: Run(algorithm=MTT(labels="soft"), backbone=BATCH_NORM), "give neither soft labels nor features"),
        (lambda: Sweep(name="x", runs=[NORMED], evaluations=Evaluation(labels="soft")), "neither soft labels nor"),
        (lambda: Run(algorithm=DC(), profile="papers"), "Did you mean 'paper'?"),
        (lambda: RandomStyleGAN(resolution=48), "not a power of two"),
    ],
)
def test_mistakes_are_one_sentence(make, sentence):
    with pytest.raises(UserError) as caught:
        make()
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("record", [Run, Evaluation, Experts])
def test_an_augmentation_that_does_not_exist_is_told_by_its_name(record):
    fields = {"algorithm": DM()} if record is Run else {}
    with pytest.raises(UserError, match=r"Unknown augmentation 'flop'.*color, crop, cutout"):
        record(**fields, augmentation="color_flop")
    assert record(**fields, augmentation="").augmentation == ""
