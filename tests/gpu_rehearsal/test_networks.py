"""Every network, experts trained together, and a search come on a pretended GPU to what they come to on the CPU."""

import pytest
import torch

from glad_ray.engine.search.run_search import run_search
from glad_ray.networks import build_network
from glad_ray.results import read_trials
from glad_ray.spec import Choice, Experts, FloatRange, Halving, Mixing, Network, Resources, Rung, Search, Sweep, Views
from glad_ray.storage import Storage
from tests.gpu_rehearsal import runs
from tests.gpu_rehearsal.gpu import PretendedGPU
from tests.gpu_rehearsal.sweeps import EVALUATION, assert_comes_to_the_same_on_a_gpu, swept
from tests.recorded import Recorded

pytestmark = pytest.mark.usefixtures("forms_for_gpus")
TAUGHT = EVALUATION.replace(labels="soft", augmentation="", teacher=Experts(count=1, epochs=1, batch_size=1024))
ONLINE = TAUGHT.replace(
    labels="online", optimiser="adamw", schedule="slow-cosine", mixing=Mixing(probability=0.5), views=Views(parts=2)
)
NETWORKS = [Network(name=name, width=8) for name in ("alexnet", "vgg11", "resnet18", "vit")]
FOREIGN = Network(name="torchvision.models:mobilenet_v3_small")
NETWORKS += [Network(width=8, norm="batchnorm"), FOREIGN]

SWEEPS = {
    "every backbone": Sweep(name="backbones", runs=list(runs.OTHER_BACKBONES.values()), evaluations=(EVALUATION,)),
    "every network, and soft labels": Sweep(
        name="networks",
        runs=[runs.BASELINES["random"]],
        evaluations=(EVALUATION.replace(networks=NETWORKS, repeats=2), TAUGHT),
    ),
    "a teacher at every step": Sweep(
        name="online", runs=[runs.BASELINES["random"], runs.BASELINES["rded"]], evaluations=(ONLINE,)
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
    trials=3,
    rungs=(Rung(share=1 / 2, epochs=1), Rung(share=1, epochs=1)),
    stopping=Halving(keep=2),
    evaluation=EVALUATION,
    finalists=1,
    seeds=1,
    seed=1,
)


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_comes_to_what_the_cpu_comes_to(name, tmp_path):
    expected = swept(SWEEPS[name], tmp_path / "cpu", "cpu")
    assert_comes_to_the_same_on_a_gpu(SWEEPS[name], expected, tmp_path / "gpu")


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


def test_a_search_comes_to_what_the_cpu_comes_to(tmp_path):
    def found(device):
        storage = Storage.open(tmp_path / device)
        result = run_search(SEARCH, storage, where=None, alone=False, address=None, device=device, view=Recorded())
        trials = [each.model_copy(update={"seconds": 0, "full_seconds": 0}) for each in read_trials(storage)]
        return result.winner.run, trials

    expected = found("cpu")
    with PretendedGPU():
        assert found("cuda:0") == expected
