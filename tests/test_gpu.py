"""What must hold on a GPU; skipped where there is none."""

import pytest
import torch

from glad_ray.algorithms import build_algorithm
from glad_ray.data import by_index, load_dataset, real_images
from glad_ray.distillation import Inputs, build_space, distill
from glad_ray.evaluation import accuracy, train_network
from glad_ray.generator_training import make_generator
from glad_ray.generators import build_generator
from glad_ray.generators.random_stylegan import random_state
from glad_ray.generators.stylegan_xl.synthesis import SynthesisNetwork
from glad_ray.networks import build_network
from glad_ray.spec import DC, DM, Evaluation, Network, RandomStyleGAN, Run
from glad_ray.storage import Storage
from glad_ray.synthetic_set import SyntheticSet
from tests.generator_training.trainings import training_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

GPU = torch.device("cuda")
BACKBONE = Network(width=16)


@pytest.mark.parametrize("algorithm", [DC(real_batch_size=16, outer_loops=1), DM(real_batch_size=16)])
def test_a_step_is_the_cpus(algorithm, sample):
    run = Run(algorithm=algorithm, resolution=32, backbone=BACKBONE)
    labels = torch.arange(10)
    images = real_images(sample, labels, torch.Generator().manual_seed(0)).double()
    outcomes = []
    for device in (torch.device("cpu"), GPU):
        step = build_algorithm(run, sample, None, device)
        outcomes.append(step.match(images.to(device), labels, 0, torch.tensor(0.0)))
    ours, theirs = outcomes
    torch.testing.assert_close(theirs.loss.cpu(), ours.loss, rtol=1e-8, atol=0)
    difference = (theirs.image_grads.cpu() - ours.image_grads).norm() / ours.image_grads.norm()
    assert float(difference) < 1e-8


def test_one_seed_the_same_accuracy_twice(sample):
    labels = torch.arange(10).repeat_interleave(5)
    images = real_images(sample, labels, torch.Generator().manual_seed(0)).to(GPU)
    evaluation = Evaluation(epochs=100, augmentation="color_crop_cutout_flip_scale_rotate")
    test_images = by_index(sample.test_images, sample, torch.device(GPU))
    scores = []
    for _ in range(2):
        rng = torch.Generator().manual_seed(0)
        network = build_network(BACKBONE, channels=1, resolution=32, classes=10, rng=rng).to(GPU)
        averaged = train_network(network, images, labels.to(GPU), evaluation, lr=0.01, rng=rng)
        scores.append(accuracy(averaged, test_images, torch.tensor(sample.test_labels, device=GPU)))
    assert abs(scores[0] - scores[1]) <= 1e-3


@pytest.mark.parametrize(("half", "image_limit", "gradient_limit"), [("float16", 5e-3, 0.05), ("bfloat16", 3e-2, 0.2)])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_a_generator_in_half_precision_is_close_to_float64(kernel_size, half, image_limit, gradient_limit):
    record = RandomStyleGAN(resolution=64, channel_max=32, kernel_size=kernel_size)
    rng = torch.Generator().manual_seed(0)
    state = random_state(record.mapping_settings, record.synthesis_settings, rng)
    shapes = {**record.latent_shapes("f4"), "upstream": record.synthesis_settings.image_shape}
    given = {name: torch.randn(2, *shape, generator=rng).to(GPU) for name, shape in shapes.items()}
    outcomes = []
    for synthesis, dtype in (
        (SynthesisNetwork(record.synthesis_settings, state, getattr(torch, half)).to(GPU), torch.float32),
        (SynthesisNetwork(record.synthesis_settings, state).to(GPU, torch.float64), torch.float64),
    ):
        f, w = (given[kind].to(dtype, copy=True).requires_grad_() for kind in ("f", "w"))
        images = synthesis.from_f(w, f, 4)
        gradients = torch.autograd.grad(images, (f, w), given["upstream"].to(dtype))
        assert {tensor.dtype for tensor in (images, *gradients)} == {dtype}
        outcomes.append([images.detach(), *gradients])
    image, *errors = (float((one - other).norm() / other.norm()) for one, other in zip(*outcomes, strict=True))
    assert 0 < image < image_limit
    assert max(errors) < gradient_limit


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_run_through_a_generator(precision, sample, storage):
    generator = RandomStyleGAN(image_channels=1, channel_max=16, channel_base=512, w_dim=32, precision=precision)
    algorithm = DM(iterations=3, real_batch_size=8)
    run = Run(algorithm=algorithm, space="f4", generator=generator, backbone=BACKBONE)
    made = build_generator(generator, device=GPU, keep_graph=True)
    space = build_space(run, sample, made, GPU)
    distill(Inputs(run, space, sample, None, torch.device("cuda")), storage, lambda progress: None)
    path = storage.synthetic_set_path(run.run_id)
    synthetic = SyntheticSet.from_bytes(storage.read_bytes(path), path)
    assert {value.dtype for value in (synthetic.images, *synthetic.latents.values())} == {torch.float32}
    assert torch.isfinite(synthetic.images).all()


def test_a_generator_is_trained_and_scored(tmp_path):
    training = training_of()
    card = make_generator(
        training,
        load_dataset(training.dataset, resolution=training.resolution),
        Storage.open(tmp_path),
        device=GPU,
        on_advance=lambda advance: True,
        on_scored=lambda scores: None,
    )
    assert "cpu" not in card.device
    assert card.scores[0].source == "adversarial"
