"""IDC's losses, the training of its networks and its loop, and the sum of two distances of DREAM+, against the codes of
IDC and DREAM.
"""

import numpy as np
import pytest
import torch

from glad_ray import distillation
from glad_ray.algorithms.idc import RealTrainingMatching, class_distance
from glad_ray.augment import Mix, cutmix_box, cutmix_of
from glad_ray.data import Dataset
from glad_ray.distillation import Inputs, distill
from glad_ray.generators import FormationSpace, Space, mixed
from glad_ray.networks import build_network, flat_parameters
from glad_ray.optimisers.sgd import SGD
from glad_ray.results import read_losses
from glad_ray.spec import IDC, Formation, LearningRates, Network, Run
from glad_ray.storage import Storage
from glad_ray.synthetic_set import SyntheticSet
from glad_ray.training import Batch, Extras, train_batch
from tests.golden_numbers import golden, images, s_like, set_parameters

ARRAYS, FACTS = golden("successors/hpd_idc_dream_rded/idc")
_, DREAM_FACTS = golden("successors/hpd_idc_dream_rded/dream")
CPU = torch.device("cpu")
PRECISIONS = {"f32": (torch.float32, 1e-4), "f64": (torch.float64, 1e-10)}
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def _network(dtype, resolution=32, gain=2**0.5):
    rng = torch.Generator().manual_seed(0)
    network = build_network(Network(width=8, depth=3), channels=3, resolution=resolution, classes=10, rng=rng)
    set_parameters(network, gain)
    return network.to(dtype).train()


def _projection(array):
    values = array.detach().double().numpy() if isinstance(array, torch.Tensor) else array
    return float((values.ravel() * s_like((values.size,), 3000)).sum())


def _loss_and_gradient(facts, settings, dtype):
    label = facts["class"]
    real = images(facts.get("n_real", 8), 3, 32, 32, facts["salt_real"]).to(dtype)
    synthetic = images(facts.get("n_syn", 2), 3, 32, 32, facts["salt_syn"]).to(dtype).requires_grad_()
    # In two parts, which come to the same.
    loss = class_distance(_network(dtype), synthetic, (len(real), real.split(5)), label, settings)
    return loss.detach(), torch.autograd.grad(loss, synthetic)[0]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", FACTS["match"])
def test_match(case, precision):
    facts, (dtype, tolerance) = FACTS["match"][case], PRECISIONS[precision]
    matched = {"grad": "gradients", "feat": "features"}[facts["match"]]
    settings = IDC(distance=facts["metric"], vectors=facts["bias"], linear=facts["fc"], matched=matched)
    loss, gradient = _loss_and_gradient(facts, settings, dtype)
    assert float(loss) == pytest.approx(facts[f"loss_{precision}"], rel=tolerance)
    assert _projection(gradient) == pytest.approx(facts[f"dsyn_proj_{precision}"], rel=tolerance)
    expected = torch.from_numpy(ARRAYS[f"match/{case}/dsyn"])
    torch.testing.assert_close(gradient.float(), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", DREAM_FACTS["bi_match"])
def test_both_distances(case, precision):
    facts, (dtype, tolerance) = DREAM_FACTS["bi_match"][case], PRECISIONS[precision]
    loss, gradient = _loss_and_gradient(facts, IDC(distance=facts["metric"], matched="both"), dtype)
    assert float(loss) == pytest.approx(facts[f"loss_{precision}"], rel=tolerance)
    assert _projection(gradient) == pytest.approx(facts[f"dsyn_proj_{precision}"], rel=tolerance)


@pytest.mark.parametrize("facts", FACTS["cutmix_boxes"])
def test_boxes(facts):
    assert list(cutmix_box(facts["side"], facts["side"], facts["lam"], facts["cx"], facts["cy"])) == facts["box"]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", FACTS["net_pass"])
def test_training_of_a_network(case, precision):
    facts, (dtype, tolerance) = FACTS["net_pass"][case], PRECISIONS[precision]
    script, boxes = facts["script"], iter(facts["boxes"])
    lams, centres, orders = (iter(script[name]) for name in ("lam", "c", "perm"))
    network = _network(dtype)
    optimiser = SGD(network.parameters(), 0.01, 0.9, 5e-4)
    losses = []
    for number, salt in enumerate(facts["salts"][: facts["n_data"] // 8]):
        mix: Mix | None = None
        if script["r"][number] < facts["mix_p"]:
            box = cutmix_box(32, 32, next(lams), next(centres), next(centres))
            assert list(box) == next(boxes)
            mix = cutmix_of(32, 32, box, torch.tensor(next(orders)))
        batch = Batch(index=torch.arange(8), operation=None, uniforms=torch.zeros(8, 3, dtype=torch.float64), mix=mix)
        of_batch = images(8, 3, 32, 32, salt).to(dtype)
        losses.append(train_batch(network, optimiser, of_batch.__getitem__, torch.arange(8), [batch], Extras()))
    assert float(torch.cat(losses).mean()) == pytest.approx(facts[f"mean_loss_{precision}"], rel=tolerance)
    found = flat_parameters(network)
    assert _projection(found) == pytest.approx(facts[f"params_proj_{precision}"], rel=tolerance)
    expected = torch.from_numpy(ARRAYS[f"net_pass/{case}/params"])
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance * 0.1)


class UnitPixels(Space):
    """Pixels in [0, 1], as IDC's code has them, which are standardised where they are decoded."""

    def __init__(self, start):
        self.start = start
        self.mean, self.std = (torch.tensor(each, dtype=start.dtype).view(-1, 1, 1) for each in (MEAN, STD))

    def init(self, labels, rng):
        return {"pixels": self.start.clone()}

    def decode(self, latents):
        return (latents["pixels"] - self.mean) / self.std

    def pullback(self, latents, image_grads):
        return {"pixels": image_grads / self.std}

    def clip(self, latents):
        latents["pixels"].clamp_(0, 1)


class Scripted(RealTrainingMatching):
    """IDC with the recorded networks and real images."""

    def __init__(self, run, dtype):
        none, side = np.zeros((3, 3, 16, 16), np.uint8), {"mean": MEAN, "std": STD}
        kinds = ("train", "held_out", "test")
        splits = {f"{kind}_images": none for kind in kinds} | {f"{kind}_labels": np.arange(3) for kind in kinds}
        super().__init__(run, Dataset(name="cifar10", class_names=("a", "b", "c"), **splits, **side), None, CPU)
        self.dtype = dtype
        mean, std = (torch.tensor(each, dtype=dtype).view(-1, 1, 1) for each in (MEAN, STD))
        of_class = [((0.5 + 0.2 * images(8, 3, 16, 16, 700 + c)).to(dtype) - mean) / std for c in range(3)]
        self.real = ScriptedReal(of_class, run.algorithm.real_batch_size)
        self.images = lambda index: torch.stack([of_class[m % 3][(m % 24) // 3] for m in index.tolist()])
        self.labels = torch.arange(1000) % 3

    def _new_network(self, number):
        return _network(self.dtype, 16)

    def _batches(self, network, iteration):
        # The code trains a network after its last iteration too.
        size, seen = self.settings.real_batch_size, self.settings.network_images
        for index in torch.arange((iteration - 1) * seen, iteration * seen).split(size):
            yield Batch(index=index, operation=None, uniforms=torch.zeros(size, 3, dtype=torch.float64))


class ScriptedReal:
    """The recorded real batches, in the place of `RealBatches`."""

    def __init__(self, images_of_class, size):
        self.images, self.size, self.used = images_of_class, size, 0

    def choose(self, network, iteration, labels):
        pass

    def of_class(self, network, label, step, draws, dtype):
        number = self.used // 3
        self.used += 1
        return self.size, [self.images[label][[(self.size * number + j) % 8 for j in range(self.size)]]]

    def state(self):
        return {}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", FACTS["loop"])
def test_loop(case, precision, tmp_path, monkeypatch):
    """Whole runs: one step for each class, momenta over all of them, pixels clipped for each new network."""
    facts, (dtype, tolerance) = FACTS["loop"][case], PRECISIONS[precision]
    formation = Formation(factor=facts["factor"])
    run = Run(
        dataset="cifar10",
        resolution=16,
        images_per_class=facts["ipc"],
        formation=formation,
        backbone=Network(width=8, depth=3),
        augmentation="",
        snapshots=2,
        algorithm=IDC(
            iterations=10,
            inner_steps=facts["inner_loop"],
            classes="in turn",
            distance=facts["metric"],
            real_batch_size=facts["batch_real"],
            network_images=facts["n_data"],
            network_augmentation="",
            network_mixing=None,
            network_lr=facts["net"]["lr"],
            network_momentum=facts["net"]["momentum"],
            network_weight_decay=facts["net"]["weight_decay"],
            learning_rates=LearningRates(pixels=facts["lr_img"], f=1, w=1),
        ),
    )
    # Ten classes are known of the dataset, and three are distilled.
    monkeypatch.setattr(Run, "steps", 10 * facts["inner_loop"] * facts["classes"])
    pieces = facts["ipc"] * facts["factor"] ** 2
    real = [(0.5 + 0.2 * images(8, 3, 16, 16, 700 + c))[:pieces] for c in range(3)]
    space = UnitPixels(torch.cat([mixed(each, facts["factor"]) for each in real]).to(dtype))
    grey = [(0.5 - mean) / std for mean, std in zip(MEAN, STD, strict=True)]
    scripted = Scripted(run, dtype)
    monkeypatch.setattr(distillation, "build_algorithm", lambda *given: scripted)
    monkeypatch.setattr(scripted, "load_state", lambda state: None)
    storage = Storage.open(tmp_path)
    inputs = Inputs(run, FormationSpace(space, formation, facts["ipc"], grey), scripted.dataset, None, CPU)
    distill(inputs, storage, lambda progress: None)
    losses = read_losses(storage, run.run_id).losses
    assert losses[:12] == pytest.approx(facts[f"losses_first12_{precision}"], rel=tolerance)
    for step, name in zip(run.snapshot_steps, ("data5", "data10"), strict=True):
        path = storage.set_path(run.run_id, step)
        data = SyntheticSet.from_bytes(storage.read_bytes(path), path).latents["pixels"]
        assert _projection(data) == pytest.approx(facts[f"{name}_proj_{precision}"], rel=tolerance)
        torch.testing.assert_close(data.float(), torch.from_numpy(ARRAYS[f"loop/{case}/{name}"]), rtol=1e-4, atol=1e-4)


def test_every_recorded_case_is_compared():
    kinds = {"aug", "decode", "init", "loop", "match", "net_pass"}
    assert {key.split("/")[0] for key in ARRAYS} == kinds, "aug, decode and init are compared elsewhere"
    assert {key.split("/")[1] for key in ARRAYS if key.startswith("loop/")} == set(FACTS["loop"])
