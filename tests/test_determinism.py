"""One seed, the same bits: whatever runs beside it, and whatever state the global generators are in."""

import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from glad_ray.distillation import Inputs, build_space, distill
from glad_ray.experts import ExpertFiles, missing_experts, train_experts
from glad_ray.generators import build_generator
from glad_ray.run_evaluation import evaluate_network
from glad_ray.set_evaluation import Inputs as EvaluationInputs
from glad_ray.spec import DC, DM, MTT, Evaluation, Experts, Network, RandomStyleGAN, Run
from glad_ray.storage import Storage

GENERATOR = RandomStyleGAN(image_channels=1, num_layers=4, channel_base=64, channel_max=4, w_dim=8, z_dim=8)
EXPERTS = Experts(count=1, epochs=1, batch_size=1024)
BASE = Run(algorithm=DM(iterations=3, real_batch_size=40), resolution=32, backbone=Network(width=8))
RUNS = {
    "dc": BASE.replace(algorithm=DC(iterations=1, outer_loops=2, inner_loops=1, real_batch_size=40)),
    "dm": BASE.replace(space="f2", generator=GENERATOR),
    "mtt": BASE.replace(
        algorithm=MTT(iterations=2, synthetic_steps=2, expert_epochs=1, max_start_epoch=1, experts=EXPERTS)
    ),
}
# One network with dropout, one that draws from the global generator.
NETWORKS = (Network(name="vit", width=16), Network(name="tests.networks.other_networks:draws_elsewhere"))
EVALUATION = Evaluation(networks=NETWORKS, repeats=1, epochs=4, test_images=200)


@pytest.fixture
def load():
    """A process that keeps a core and its cache busy."""
    code = "import numpy as np\na = np.ones(4_000_000)\nwhile True: a = a[::-1] * 1.0"
    process = subprocess.Popen([sys.executable, "-c", code])
    yield
    process.kill()
    process.wait()


@pytest.mark.full
@pytest.mark.parametrize("name", ["dm", "dc", "mtt"])
def test_the_same_bits_beside_other_work(name, sample, tmp_path, request):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        expected = _made(RUNS[name], sample, Storage.open(tmp_path / "alone"))
        request.getfixturevalue("load")
        torch.manual_seed(17)
        np.random.seed(17)
        random.seed(17)
        assert _made(RUNS[name], sample, Storage.open(tmp_path / "beside")) == expected
    finally:
        torch.set_num_threads(threads)


def _made(run, sample, storage):
    """Everything that a run makes but times: files, and accuracies of networks trained on its set."""
    if run.expert_set is not None:
        for index in missing_experts(storage, run.expert_set):
            train_experts(run.expert_set, [index], sample, storage, device="cpu", on_epoch=lambda *at: None)
    generator = build_generator(run.generator) if run.generator else None
    distill(
        Inputs(
            run,
            build_space(run, sample, generator, torch.device("cpu")),
            sample,
            None if run.expert_set is None else ExpertFiles(storage, run.expert_set),
            torch.device("cpu"),
        ),
        storage,
        lambda progress: None,
    )
    trainings = [
        evaluate_network(
            run,
            EvaluationInputs(run.run_id, EVALUATION, network, sample, torch.device("cpu")),
            storage,
            teachers=None,
            on_training=lambda training: None,
        )
        for network in NETWORKS
    ]
    accuracies = [training.accuracy for of_network in trainings for training in of_network]
    return storage.read_bytes(storage.synthetic_set_path(run.run_id)), accuracies
