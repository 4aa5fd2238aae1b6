"""Trainings as CUDA graphs: each epoch is one launch, and comes to the same as without."""

import contextlib
import gc
import warnings

import pytest
import torch

from glad_ray import evaluation as evaluations
from glad_ray.evaluation import train_networks
from glad_ray.networks import build_network
from glad_ray.networks.convnet import ConvNet
from glad_ray.spec import Evaluation, Network
from glad_ray.spec.images.augmentation import DSA
from glad_ray.spec.networks import NETWORK_NAMES
from tests.gpu_rehearsal.gpu import PretendedGPU

GPU = torch.device("cuda:0")
OTHERS = [name for name in NETWORK_NAMES if name not in ("convnet", "vit")]
ONE_KIND = Evaluation(epochs=6, augmentation="crop")
"""whose first epoch makes no graph, whose second makes one, and whose others replay it"""


def trained(gpu, evaluation, *, name="convnet", norm="instancenorm", images=4, soft=False, together=1):
    """State of the averaged networks, and the launches and waits of a training."""
    rngs = [torch.Generator().manual_seed(number) for number in range(together)]
    spec, rng = Network(name=name, width=8, norm=norm), rngs[0]
    networks = [build_network(spec, channels=1, resolution=32, classes=2, rng=each).to(GPU) for each in rngs]
    labels = torch.arange(images) % 2
    labels = torch.eye(2)[labels] * 0.8 + 0.1 if soft else labels
    given = torch.randn(images, 1, 32, 32, generator=rng).to(GPU), labels.to(GPU)
    before, waits = gpu.launches.copy(), gpu.waits.copy()
    averaged = train_networks(networks, *given, evaluation, lr=0.01, rngs=rngs)
    launches, waits = gpu.launches - before, gpu.waits - waits
    return [value.cpu() for each in averaged for value in each.state_dict().values()], launches.total(), waits


@contextlib.contextmanager
def never_captured():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glad_ray.captured.CapturedTraining._capture", lambda self, kind: self.advance(kind))
        yield


@pytest.fixture
def gpu():
    with PretendedGPU() as pretended, warnings.catch_warnings():
        warnings.simplefilter("error")
        yield pretended


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("name", "settings"),
    [(name, {"name": name}) for name in NETWORK_NAMES]
    + [("batch norm", {"norm": "batchnorm"}), ("soft labels", {"soft": True})],
)
def test_graphs_come_to_the_same_bits(name, settings, gpu):
    ours, launches, waits = trained(gpu, ONE_KIND, **settings)
    more = trained(gpu, ONE_KIND.replace(epochs=10), **settings)[1]
    with never_captured():
        expected, _, others = trained(gpu, ONE_KIND, **settings)
    assert_same(ours, expected)
    # What is drawn goes up, and then the graph; two more draw the masks of dropout.
    assert more - launches == 4 * (4 if name == "vit" else 2)
    assert waits.total() <= others.total() + 2, "a capture waits for the GPU, and so does its comparison"


@pytest.mark.parametrize("name", ["convnet", "vit", *(pytest.param(name, marks=pytest.mark.full) for name in OTHERS)])
def test_graphs_of_several_networks_come_to_the_same_bits(name, gpu):
    # Operations of DSA differ from network to network, and all have the same graph.
    evaluation = ONE_KIND.replace(augmentation=DSA)
    ours, launches, waits = trained(gpu, evaluation, name=name, together=3)
    more = trained(gpu, evaluation.replace(epochs=10), name=name, together=3)[1]
    with never_captured():
        expected, _, others = trained(gpu, evaluation, name=name, together=3)
    assert_same(ours, expected)
    assert more - launches == 4 * (2 + (6 if name == "vit" else 0)), "what is drawn, the graph, and masks of each ViT"
    assert waits.total() <= others.total() + 2


@pytest.mark.parametrize(("images", "batch_size"), [(7, 3), (6, 3), (1, 256)])
def test_every_mini_batch_of_an_epoch_has_its_graph(images, batch_size, gpu):
    evaluation = Evaluation(epochs=16, augmentation=DSA, batch_size=batch_size, schedule="step")
    ours, *_ = trained(gpu, evaluation, images=images)
    with never_captured():
        expected, *_ = trained(gpu, evaluation, images=images)
    assert_same(ours, expected)


def test_a_network_that_cannot_be_captured_is_trained_without(gpu, monkeypatch):
    embed = ConvNet.embed

    def looking(self, images):
        features = embed(self, images)
        return features if float(features.detach().sum()) else -features

    monkeypatch.setattr(ConvNet, "embed", looking)
    with pytest.warns(RuntimeWarning, match="ConvNet is trained without CUDA graphs, only slower, for .*capturing"):
        ours, *_ = trained(gpu, ONE_KIND)
    with never_captured():
        assert_same(ours, trained(gpu, ONE_KIND)[0])


def test_a_graph_that_comes_to_other_numbers_is_not_used(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", lambda self: None)
    with pytest.warns(RuntimeWarning, match="its graph comes to other numbers"):
        ours, *_ = trained(gpu, ONE_KIND)
    with never_captured():
        assert_same(ours, trained(gpu, ONE_KIND)[0])


def test_a_gpu_that_fails_is_no_reason_to_go_on_without(gpu, monkeypatch):
    def fail(self):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", fail)
    with pytest.raises(RuntimeError, match="illegal"):
        trained(gpu, ONE_KIND)


def test_a_loss_that_is_not_finite_is_told_with_its_epoch(gpu, monkeypatch):
    monkeypatch.setattr(evaluations, "learning_rate_factor", lambda epoch, *_: 1e30 if epoch == 3 else 0.0)
    with pytest.raises(evaluations.RunError, match="in epoch 4 of"):
        trained(gpu, ONE_KIND)


def test_graphs_give_their_memory_back_and_share_it(gpu):
    trained(gpu, ONE_KIND)
    gc.collect()
    gc.disable()
    try:
        live, peaks = gpu.memory.live, []
        for evaluation in (ONE_KIND, Evaluation(epochs=40, augmentation=DSA)):
            torch.cuda.reset_peak_memory_stats(GPU)
            trained(gpu, evaluation)
            peaks.append(gpu.memory.peak - live)
            assert gpu.memory.live == live
    finally:
        gc.enable()
    # Twice at most: that of the graphs, and that of a mini-batch that has none yet.
    assert peaks[1] < 2 * peaks[0], "six graphs take the memory of one"


def test_what_networks_of_other_packages_do_is_not_captured(gpu):
    images = torch.zeros(2, 3, 32, 32, device=GPU)
    foreign = Network(name="torchvision.models:mobilenet_v3_small")
    rng = torch.Generator().manual_seed(0)
    ours, theirs = (
        build_network(spec, channels=3, resolution=32, classes=2, rng=rng) for spec in (Network(width=8), foreign)
    )
    assert evaluations.can_be_captured(images, ours)
    assert not evaluations.can_be_captured(images, theirs)
    assert not evaluations.can_be_captured(images, ours.double())
    assert not evaluations.can_be_captured(lambda index: images[index], ours.float())
