"""The memory of a gradient is what the settings foretell."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from glad_ray.errors import UserError
from glad_ray.generators.random_stylegan import random_state
from glad_ray.generators.stylegan_xl import activation
from glad_ray.generators.stylegan_xl.synthesis import SynthesisNetwork
from glad_ray.spec import RandomStyleGAN
from glad_ray.stylegan.schedule import stem, super_resolution
from glad_ray.stylegan.settings import WORKING_BYTES, SynthesisSettings

FEW, MANY = 2, 6


def random_network(**options):
    return RandomStyleGAN(calibrate=False, **options).synthesis_settings


def grown_network():
    base = stem(resolution=16, num_layers=6, channel_base=512, channel_max=24, kernel_size=1, image_channels=3, w_dim=8)
    return super_resolution(base, resolution=32, head_layers=5, channel_base=512, channel_max=20)


CASES = [
    (random_network(resolution=32, num_layers=6, channel_max=32), ("w+", "f0", "f4")),
    (random_network(resolution=64, num_layers=5, channel_max=24, kernel_size=1), ("f2",)),
    (random_network(resolution=16, num_layers=4, channel_max=160), ("w+", "f1")),
    (grown_network(), ("f3",)),
]


def gradient(synthesis, space, images):
    """A call that computes it."""
    settings: SynthesisSettings = synthesis.settings
    rng = torch.Generator().manual_seed(0)
    shapes = settings.latent_shapes(space)
    leaves = [torch.randn(images, *shape, generator=rng).requires_grad_() for shape in shapes.values()]
    upstream = torch.randn(images, *settings.image_shape, generator=rng)

    def decode():
        return synthesis(*leaves) if space == "w+" else synthesis.from_f(leaves[1], leaves[0], int(space[1:]))

    return decode, lambda: torch.autograd.grad(decode(), leaves, upstream)


def saved_bytes(decode, synthesis):
    """What the graph holds, other than weights; each memory once."""
    weights = {buffer.untyped_storage().data_ptr() for buffer in synthesis.buffers()}
    held = {}

    def pack(tensor):
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        graph = decode()
    assert graph.requires_grad
    return sum(size for memory, size in held.items() if memory not in weights)


def peak_bytes(call):
    """The largest sum of what was allocated and not yet freed."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        call()
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = largest = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        largest = max(largest, now)
    return largest


def network(settings, precision=None):
    weights = random_state(
        RandomStyleGAN(w_dim=settings.w_dim).mapping_settings, settings, torch.Generator().manual_seed(0)
    )
    return SynthesisNetwork(settings, weights, precision)


@pytest.mark.parametrize(("settings", "space"), [(settings, space) for settings, spaces in CASES for space in spaces])
def test_peak_memory_of_a_gradient(settings, space, monkeypatch):
    # Blocks would be large beside so narrow networks.
    monkeypatch.setattr(activation, "CPU_BLOCK", 1)
    peak = peak_bytes(gradient(network(settings), space, MANY)[1])
    assert 0.8 * peak < MANY * settings.graph_bytes(space) < 1.25 * peak


def test_working_memory_is_bounded():
    settings = random_network(resolution=32, num_layers=4, channel_max=256)
    peak = peak_bytes(gradient(network(settings), "f2", 1)[1])
    assert settings.graph_bytes("f2") < peak < settings.graph_bytes("f2") + WORKING_BYTES


@pytest.mark.parametrize(("settings", "space"), [(settings, space) for settings, spaces in CASES for space in spaces])
@pytest.mark.parametrize("half", [False, True])
def test_what_the_graph_keeps(settings, space, half):
    synthesis = network(settings, torch.bfloat16 if half else None)
    foretold = settings.graph_bytes(space, 2 if half else 4)
    few, many = (saved_bytes(gradient(synthesis, space, images)[0], synthesis) for images in (FEW, MANY))
    assert 0.6 * foretold < (many - few) / (MANY - FEW) < foretold


def test_layers_that_are_not_half_keep_four_bytes():
    settings = CASES[0][0]
    whole = settings.graph_bytes("f0")
    assert settings.graph_bytes("f0", 2) == whole // 2
    assert settings.graph_bytes("f0", 8) == whole * 2


def test_spaces_that_are_not_there_are_refused():
    with pytest.raises(UserError, match="no latent space 'f99'"):
        CASES[0][0].graph_bytes("f99")
