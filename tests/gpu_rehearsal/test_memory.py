"""The most memory that large steps take, by the sizes of their tensors alone: nothing is computed here.

Workspaces inside of operations (those of cuDNN, for one) are not seen.
"""

import pytest
import torch

from glad_ray.algorithms import build_algorithm
from glad_ray.algorithms.mtt import GRAPH_BYTES
from glad_ray.networks import activation_bytes
from glad_ray.spec import DC, DM, MTT, REAL_BATCH_BYTES, Experts, Network, Run
from tests.gpu_rehearsal.gpu import PretendedGPU
from tests.gpu_rehearsal.large import REAL_IMAGES, Untrained, black_images

PIXELS = 128
BACKBONE = Network(width=128)


@pytest.fixture(scope="module")
def images():
    return black_images(PIXELS)


def run_of(algorithm):
    return Run(algorithm=algorithm, dataset="imagenette", resolution=PIXELS, backbone=BACKBONE, images_per_class=1)


def peak_bytes(run, dataset):
    """Of one step on a pretended GPU, beyond what lay there before it."""
    labels = torch.arange(10)
    with PretendedGPU(sizes_only=True) as gpu:
        algorithm = build_algorithm(run, dataset, Untrained(run) if run.expert_set else None, torch.device("cuda"))
        synthetic = torch.zeros(10, 3, PIXELS, PIXELS, device="cuda")
        before = gpu.memory.live
        algorithm.match(synthetic, labels, 0, torch.tensor(0.01))
        return gpu.memory.peak - before


@pytest.mark.parametrize("name", ["dm", "dc"])
def test_real_images_go_through_the_network_in_parts(name, images):
    algorithm = {"dm": DM, "dc": DC}[name](real_batch_size=REAL_IMAGES)
    one_image = activation_bytes(BACKBONE, channels=3, resolution=PIXELS, classes=10)
    assert REAL_IMAGES * one_image > 4 * REAL_BATCH_BYTES, "a whole class would be too much"
    assert peak_bytes(run_of(algorithm), images) <= REAL_BATCH_BYTES


@pytest.mark.parametrize("gradient", ["tesla", "exact"])
def test_trajectories_keep_few_graphs_of_student_steps(gradient, images):
    peaks = {}
    for steps in (1, 10, 20):
        algorithm = MTT(synthetic_steps=steps, expert_epochs=1, gradient=gradient, experts=Experts(count=1, epochs=2))
        peaks[steps] = peak_bytes(run_of(algorithm), images)
    run = run_of(algorithm)
    parameters, images_bytes = 4 * len(Untrained(run).parameters), 4 * 10 * 3 * PIXELS**2
    # Of each step, what the student was before it, and its mini-batch; a graph is of hundreds of MiB.
    assert peaks[20] - peaks[10] <= 10 * (parameters + images_bytes)
    assert peaks[10] - peaks[1] <= GRAPH_BYTES + 10 * (parameters + images_bytes)
