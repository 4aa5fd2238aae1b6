"""What steps take of a GPU's memory beside what is foretold, and that all of it is given back."""

import gc
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from glad_ray.algorithms import build_algorithm
from glad_ray.algorithms.real_batches import images_at_once
from glad_ray.generators import build_generator
from glad_ray.networks import activation_bytes
from glad_ray.spec import MTT, REAL_BATCH_BYTES, RandomStyleGAN
from glad_ray.stylegan.settings import WORKING_BYTES
from gpu_checks.check import Check, Measured, Piece, Setting
from gpu_checks.problems import CLASSES, ExpertEpoch, Problem, algorithms, noise, noise_problem, wait

ROOM = 1.5
"""peak memory of a step over what is foretold of its activations, at most, for gradients under way"""
LIBRARIES_BYTES = 2**28
"""and what cuDNN and cuBLAS take beside that, at most"""
_MIB = 2**20


def peak_above(device: torch.device, call: Callable[[], Any]) -> int:
    """Bytes that a call allocates at its peak above what was there; 0 on a CPU."""
    if device.type != "cuda":
        call()
        return 0
    gc.collect()
    wait(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    wait(device)
    return torch.cuda.max_memory_allocated(device) - before


def beside(setting: Setting, peak: int, foretold: int, limit: float) -> Measured:
    """A peak beside what is foretold, and whether it keeps the limit."""
    if not setting.gpu:
        return Measured({"foretold MiB": foretold / _MIB, "note": "a CPU's memory is not measured here"})
    numbers = {"peak MiB": peak / _MIB, "foretold MiB": foretold / _MIB, "peak / foretold": peak / max(foretold, 1)}
    return Measured(numbers, peak <= limit)


def matching(setting: Setting, problem: Problem) -> Measured:
    """A step in pixels, beside the activations of the largest batch that goes through the network with a graph."""
    device, run, dataset = setting.device, problem.run, problem.dataset
    algorithm = build_algorithm(run, dataset, problem.experts, device)
    images = problem.latents["pixels"].to(device, torch.float32)
    channels, resolution = dataset.train_images.shape[1:3]
    one = activation_bytes(run.backbone, channels=channels, resolution=resolution, classes=CLASSES)
    # DC and MTT differentiate twice: what the first pass kept, and as much again for its gradients and for theirs.
    synthetic = {"dc": 3 * run.images_per_class, "dm": len(images), "mtt": 3 * len(images)}[run.algorithm.name]
    real = (
        0
        if isinstance(run.algorithm, MTT)
        else min(images_at_once(run, dataset, device), run.algorithm.real_batch_size)
    )
    peak = peak_above(device, lambda: algorithm.match(images, problem.labels, 0, torch.tensor(0.01)))
    foretold = one * max(real, synthetic)
    return beside(setting, peak, foretold, ROOM * foretold + LIBRARIES_BYTES)


def pullback(setting: Setting, record: RandomStyleGAN, space: str, images: int) -> Measured:
    """A gradient of some images in one graph, beside `pullback_bytes`, which is meant to be the most."""
    generator = build_generator(record, device=setting.device, memory_gib=64)
    rng = torch.Generator().manual_seed(0)
    latents = {
        kind: torch.randn(images, *shape, generator=rng).to(setting.device)
        for kind, shape in record.latent_shapes(space).items()
    }
    side = record.resolution
    grads = torch.randn(images, record.image_channels, side, side, generator=rng).to(setting.device)
    peak = peak_above(setting.device, lambda: generator.pullback(space, latents, grads))
    foretold = images * generator.pullback_bytes(space) + WORKING_BYTES
    return beside(setting, peak, foretold, foretold)


def context_bytes(setting: Setting) -> Measured:
    """What a process takes of the GPU that has made one convolution and one product there and holds next to nothing:
    what is free before it is there and while it is.
    """
    if not setting.gpu:
        return Measured({"note": "a CPU has no context"})
    index = setting.device.index or 0
    script = (
        f"import torch; x = torch.zeros(1, 1, 8, 8, device='cuda:{index}'); torch.nn.functional.conv2d(x, x); "
        "x[0, 0] @ x[0, 0]; torch.cuda.synchronize(); print(torch.cuda.memory_reserved(), flush=True); input()"
    )
    free, _ = torch.cuda.mem_get_info(setting.device)
    command = [sys.executable, "-c", script]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        left, _ = torch.cuda.mem_get_info(setting.device)
        _, complaint = process.communicate("\n")
    if not said:
        raise RuntimeError(f"the process had no GPU: {complaint}")
    back, _ = torch.cuda.mem_get_info(setting.device)
    taken = free - left
    return Measured(
        {"taken MiB": taken / _MIB, "of it for tensors MiB": int(said) / _MIB, "given back MiB": (back - left) / _MIB}
    )


def given_back(setting: Setting) -> Measured:
    """A step of DM that finds too little memory, and what is left of it; then the same step with enough."""
    if not setting.gpu:
        return Measured({"note": "a CPU's memory has no limit of PyTorch's"})
    device = setting.device
    problem = noise_problem(algorithms(real_images=256, student_steps=1)["DM"], 128, 64, None)
    algorithm = build_algorithm(problem.run, problem.dataset, None, device)
    images = problem.latents["pixels"].to(device, torch.float32)

    def step() -> None:
        algorithm.match(images, problem.labels, 0, torch.tensor(0.01))

    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated(device)
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(device) + 256 * _MIB) / total, device)
    refused = False
    try:
        step()
    except torch.OutOfMemoryError:
        refused = True
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    gc.collect()
    torch.cuda.empty_cache()
    left = torch.cuda.memory_allocated(device) - before
    step()
    # Workspaces of cuBLAS stay with the process; they are tens of MiB, the step's activations two thousand.
    return Measured({"refused": str(refused), "left MiB": left / _MIB}, refused and left <= LIBRARIES_BYTES)


def expert_batch(setting: Setting, resolution: int, per_class: int) -> Measured:
    """An expert's batch of four of so many images that they stay in the CPU's memory."""
    dataset = noise(resolution, per_class)
    training = ExpertEpoch(dataset, 4, batch_size=4).prepared(setting.device)
    peak = peak_above(setting.device, training.epoch)
    return Measured({"images MiB": dataset.train_images.nbytes / _MIB, "peak MiB": peak / _MIB})


def pieces(setting: Setting) -> Iterator[Piece]:
    """From what is cheap to what takes seconds."""
    real = setting.size(256, 2)
    yield Piece("context", partial(context_bytes, setting))
    yield Piece("after too little memory", partial(given_back, setting))
    width = setting.size(None, 4)
    for resolution in setting.size((32, 128, 256, 512), (32,)):
        for name, algorithm in algorithms(real_images=real, student_steps=setting.size(10, 2)).items():
            if name in ("DM", "DC") or resolution < 256:
                problem = noise_problem(algorithm, resolution, real, width)
                yield Piece(f"{name}, {resolution} pixels", partial(matching, setting, problem))
    small = RandomStyleGAN(resolution=32, channel_max=8, channel_base=128, w_dim=8, calibrate=False)
    record = setting.size(RandomStyleGAN(resolution=128, calibrate=False), small)
    for space, images in setting.size((("f8", 1), ("f8", 4), ("f5", 4), ("w+", 2)), (("f8", 2),)):
        name = f"pullback, {images} images, {space}, {record.resolution} pixels"
        yield Piece(name, partial(pullback, setting, record, space, images))
    yield Piece("expert batch of 4, 512 pixels", partial(expert_batch, setting, setting.size(512, 32), real))


CHECK = Check(
    name="memory",
    claim="Peak of what PyTorch allocates above images and weights: ConvNet, 256 real images in each of ten classes, "
    f"in parts of at most {REAL_BATCH_BYTES / 2**30:.0f} GiB of activations. Limits: {ROOM} times what is foretold of "
    f"a step in pixels and {LIBRARIES_BYTES / _MIB:.0f} MiB, and just what is foretold of a pullback.",
    share=90,
    pieces=pieces,
)
