"""Our steps are PyTorch's and come without its compiler."""

import subprocess
import sys

import pytest
import torch

from glad_ray.networks import build_network
from glad_ray.optimisers.sgd import SGD
from glad_ray.spec import Network


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9}, {"momentum": 0.5, "weight_decay": 5e-4}])
@pytest.mark.parametrize("network", ["convnet", "resnet18"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_are_those_of_pytorch(network, settings, dtype):
    def trained(kind):
        rng = torch.Generator().manual_seed(0)
        made = build_network(Network(name=network, width=8), channels=1, resolution=32, classes=10, rng=rng).to(dtype)
        images, labels = torch.randn(6, 1, 32, 32, generator=rng, dtype=dtype), torch.arange(6)
        optimiser = kind(made.parameters(), lr=0.1, **settings)
        unused = next(value for name, value in made.named_parameters() if name.endswith("bias"))
        for step in range(4):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(made(images), labels).backward()
            if step < 2:
                # Its velocity begins later than those of the others.
                unused.grad = None
            optimiser.step()
        return made.state_dict()

    ours, theirs = trained(SGD), trained(torch.optim.SGD)
    # Their operation multiplies and adds in one rounding at some places, and in two at others.
    torch.testing.assert_close(ours, theirs, rtol=64 * torch.finfo(dtype).eps, atol=torch.finfo(dtype).eps)


def test_what_trains_does_not_import_a_compiler(tmp_path):
    """Each of these takes every process of a sweep's its time."""
    code = """
import sys
from glad_ray.engine.in_process import run_in_process
from glad_ray.storage import Storage
from tests.engine import tiny
from tests.recorded import Recorded

plan = tiny.plan("dc", "mtt", evaluations=(tiny.EVALUATION,))
run_in_process(plan, Storage.open(sys.argv[1]), device="cpu", view=Recorded())
print(*sorted({"sympy", "torch._dynamo", "torch._inductor", "torchvision", "kornia", "ray"} & sys.modules.keys()))
"""
    ended = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert ended.stdout.split() == [], ended.stdout + ended.stderr
    assert ended.returncode == 0, ended.stderr
