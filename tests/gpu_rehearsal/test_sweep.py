"""Whole sweeps and searches on a pretended GPU come to what the CPU comes to, bit for bit.

A GPU takes other forms of three computations than a CPU; here the CPU takes these as well, so no rounding differs.
"""

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from glad_ray.data import draws
from glad_ray.engine.in_process import run_in_process
from glad_ray.engine.search.run_search import run_search
from glad_ray.generators.stylegan_xl import activation
from glad_ray.networks import build_network, convnet
from glad_ray.plan import make_plan
from glad_ray.progress.events import ExpertEpoch, RunFailed, RunProgressed, TrainingDone
from glad_ray.results import read_losses, read_results, read_trials
from glad_ray.spec import Choice, Evaluation, Experts, FloatRange, Halving, Network, Resources, Rung, Search, Sweep
from glad_ray.storage import Storage
from tests.engine import tiny
from tests.gpu_rehearsal import runs
from tests.gpu_rehearsal.gpu import PretendedGPU
from tests.recorded import Recorded

EVALUATION = Evaluation(
    networks=(runs.BACKBONE,), repeats=1, epochs=2, batch_size=64, whole_dataset_epochs=1, test_images=50
)
TAUGHT = EVALUATION.replace(labels="soft", augmentation="", teacher=Experts(count=1, epochs=1, batch_size=1024))
NETWORKS = [Network(name=name, width=8) for name in ("alexnet", "vgg11", "resnet18", "vit")]
FOREIGN = Network(name="torchvision.models:mobilenet_v3_small")
NETWORKS += [Network(width=8, norm="batchnorm"), FOREIGN]

SWEEPS = {
    "every space and algorithm": Sweep(
        name="all", runs=[*runs.DISTILLED.values(), *runs.BASELINES.values()], evaluations=(EVALUATION,)
    ),
    "every backbone": Sweep(name="backbones", runs=list(runs.OTHER_BACKBONES.values()), evaluations=(EVALUATION,)),
    "every network, and soft labels": Sweep(
        name="networks",
        runs=[runs.BASELINES["random"]],
        evaluations=(EVALUATION.replace(networks=NETWORKS, repeats=2), TAUGHT),
    ),
    "experts trained together": Sweep(
        name="together",
        runs=[runs.DISTILLED["mtt"]],
        evaluations=(EVALUATION,),
        resources=Resources(experts_together=2),
    ),
}
SEARCH = Search(
    name="search",
    base=runs.PIXELS.replace(algorithm=runs.DM_STEPS, space="f3", generator=runs.GENERATOR),
    vary={
        "algorithm": Choice(values=(runs.DM_STEPS, runs.MTT_STEPS)),
        "space": Choice(values=("pixel", "f3")),
        "algorithm.learning_rates.pixels": FloatRange(low=0.1, high=10, log=True),
    },
    trials=4,
    rungs=(Rung(share=1 / 2, epochs=1), Rung(share=1, epochs=1)),
    stopping=Halving(keep=2),
    evaluation=EVALUATION,
    finalists=1,
    seeds=1,
    seed=1,
)


@pytest.fixture(autouse=True, scope="module")
def forms_for_gpus():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convnet, "average_pool", lambda maps: F.avg_pool2d(maps, 2))
        patch.setattr(activation, "depthwise_is_fast", lambda x: False)
        with sdpa_kernel(SDPBackend.MATH):
            yield


def swept(sweep, folder, device, view=None):
    """The storage of a sweep run in this process."""
    storage, view = Storage.open(folder), view or Recorded()
    run_in_process(make_plan(sweep), storage, device=device, view=view)
    assert not view.of(RunFailed), view.of(RunFailed)[0].failure.traceback
    return storage


def assert_same(ours, theirs, sweep):
    """All rows, and the sets and losses of all runs, are the same."""
    rows, expected = (read_results(storage).drop_columns(tiny.OF_THE_MACHINE).to_pylist() for storage in (ours, theirs))
    assert rows == expected
    assert rows
    for run in sweep.runs:
        if theirs.exists(theirs.synthetic_set_path(run.run_id)):
            tiny.assert_same_run(ours, theirs, run.run_id)


@pytest.fixture(scope="module")
def cpu(tmp_path_factory):
    """The storage of a sweep that the CPU ran, by the sweep's name; run once."""
    made = {}

    def of(name):
        if name not in made:
            made[name] = swept(SWEEPS[name], tmp_path_factory.mktemp("cpu"), "cpu")
        return made[name]

    return of


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_comes_to_what_the_cpu_comes_to(name, cpu, tmp_path):
    expected = cpu(name)
    with PretendedGPU():
        storage = swept(SWEEPS[name], tmp_path, "cuda:0")
    assert_same(storage, expected, SWEEPS[name])
    assert {row["distill_device"] for row in read_results(storage).to_pylist()} == {"pretended GPU 0"}


def test_a_network_of_another_package_draws_what_it_draws_on_the_cpu():
    def logits(device):
        rng = torch.Generator().manual_seed(1)
        network = build_network(FOREIGN, channels=1, resolution=32, classes=10, rng=rng).to(device)
        images = torch.randn(4, 1, 32, 32, generator=rng).to(device)
        # Twice, for its dropout draws anew.
        return [network(images).detach().cpu() for _ in range(2)]

    expected = logits("cpu")
    with PretendedGPU():
        torch.testing.assert_close(logits("cuda:0"), expected, rtol=0, atol=0)


def test_a_sweep_with_deterministic_kernels(cpu, tmp_path):
    name = "every space and algorithm"
    few = [runs.DISTILLED[each] for each in ("dc with loops in f2", "dm", "mtt with soft labels in w+", "exact mtt")]
    sweep = SWEEPS[name].replace(runs=few, resources=Resources(deterministic=True))
    with PretendedGPU():
        storage = swept(sweep, tmp_path, "cuda:0")
    assert not torch.are_deterministic_algorithms_enabled()
    for run in few:
        ours, theirs = (read_losses(each, run.run_id).losses for each in (storage, cpu(name)))
        torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-3, atol=1e-5)


class Interrupted(KeyboardInterrupt):
    """What Ctrl-C raises."""


def test_a_sweep_that_is_stopped_again_and_again_comes_to_the_same(cpu, tmp_path):
    name, shown = "every space and algorithm", set()

    def interrupt(event):
        match event:
            case RunProgressed(run, progress) if progress.step == 2:
                point = run.run_id
            case ExpertEpoch(expert_set, expert, 1):
                point = expert_set.content_id, expert
            case TrainingDone(run):
                point = run.run_id, "evaluation"
            case _:
                return
        if point not in shown:
            shown.add(point)
            raise Interrupted

    some = [run.replace(checkpoint_every=1) for run in SWEEPS[name].runs if run.distils and run.ipc == 1]
    sweep = SWEEPS[name].replace(runs=some)
    with PretendedGPU():
        while True:
            try:
                storage = swept(sweep, tmp_path, "cuda:0", Recorded(interrupt))
                break
            except Interrupted:
                continue
    assert len(shown) > 2 * len(sweep.runs)
    for run in sweep.runs:
        tiny.assert_same_run(storage, cpu(name), run.run_id)


def test_real_images_that_are_not_kept_on_the_gpu(cpu, tmp_path, monkeypatch):
    name = "every space and algorithm"
    monkeypatch.setattr(draws, "KEPT_ON_GPU_BYTES", 0)
    with PretendedGPU():
        storage = swept(SWEEPS[name].replace(runs=[runs.DISTILLED["dm"]]), tmp_path, "cuda:0")
    tiny.assert_same_run(storage, cpu(name), runs.DISTILLED["dm"].run_id)


def test_the_second_of_two_gpus_computes_alone(cpu, tmp_path):
    name = "every space and algorithm"
    few = [runs.DISTILLED[each] for each in ("dc with loops in f2", "mtt with soft labels in w+", "exact mtt")]
    with PretendedGPU(count=2) as gpus:
        storage = swept(SWEEPS[name].replace(runs=few), tmp_path, "cuda:1")
    for run in few:
        tiny.assert_same_run(storage, cpu(name), run.run_id)
    assert gpus.memories[1].peak > 0
    assert gpus.memories[0].peak == 0
    assert gpus.contexts == {1}


def test_a_search_comes_to_what_the_cpu_comes_to(tmp_path):
    def found(device):
        storage = Storage.open(tmp_path / device)
        result = run_search(SEARCH, storage, where=None, alone=False, address=None, device=device, view=Recorded())
        trials = [each.model_copy(update={"seconds": 0, "full_seconds": 0}) for each in read_trials(storage)]
        return result.winner.run, trials

    expected = found("cpu")
    with PretendedGPU():
        assert found("cuda:0") == expected
