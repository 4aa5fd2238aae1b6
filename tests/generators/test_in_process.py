"""Memory and graphs: a kept graph changes no bit, a budget bounds the chunk, gradients survive half precision."""

import weakref

import pytest
import torch

from glad_ray.generators import InProcessGenerator, build_generator
from glad_ray.generators.in_process import measured_graph_bytes
from glad_ray.generators.random_stylegan import random_stylegan
from glad_ray.generators.stylegan_xl import StyleGAN
from glad_ray.spec import RandomStyleGAN
from glad_ray.spec.generators import GIB
from glad_ray.stylegan.settings import WORKING_BYTES

RECORD = RandomStyleGAN(resolution=16, num_layers=4, channel_base=64, channel_max=4, w_dim=8, z_dim=8)
LABELS = torch.arange(4)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


class Counted:
    """How often it makes images, and of how many at a time."""

    def __init__(self, network):
        self.network, self.counts = network, []

    def __getattr__(self, name):
        return getattr(self.network, name)

    def images(self, space, latents):
        self.counts.append(len(latents["w"]))
        return self.network.images(space, latents)


def counted(keep_graph, memory_gib=4.0):
    network = Counted(build_generator(RECORD).network)
    generator = InProcessGenerator(network, memory_gib=memory_gib, keep_graph=keep_graph)
    for space in ("w+", "f2"):
        generator.pullback_bytes(space)
    network.counts.clear()
    return network, generator


@pytest.mark.parametrize("space", ["w+", "f2"])
def test_a_kept_graph_spares_a_pass_and_changes_no_bit(space):
    plain_network, plain = counted(keep_graph=False)
    network, keeping = counted(keep_graph=True)
    latents = plain.init(space, LABELS, rng(), "sampled")
    for _ in range(2):
        images = plain.decode(space, latents)
        assert torch.equal(keeping.decode(space, latents), images)
        image_grads = torch.randn(images.shape, generator=rng(1))
        expected, found = (each.pullback(space, latents, image_grads) for each in (plain, keeping))
        for kind, value in latents.items():
            assert torch.equal(found[kind], expected[kind])
            value.sub_(expected[kind], alpha=0.1)
    assert plain_network.counts == [4, 4, 4, 4]
    assert network.counts == [4, 4]


def test_a_kept_graph_serves_its_own_latents_alone():
    network, generator = counted(keep_graph=True)
    latents = generator.init("f2", LABELS, rng(), "sampled")
    image_grads = torch.randn(4, 3, 16, 16, generator=rng(1))
    first = generator.pullback("f2", latents, image_grads)
    for change in ("in place", "another", "twice", "other images"):
        network.counts.clear()
        generator.decode("f2", latents)
        asked = dict(latents)
        match change:
            case "in place":
                latents["w"].add_(0.0)
            case "another":
                asked["w"] = latents["w"].clone()
            case "twice":
                generator.pullback("f2", latents, image_grads)
            case "other images":
                generator.decode("f2", {kind: value + 1 for kind, value in latents.items()})
        found = generator.pullback("f2", asked, image_grads)
        assert len(network.counts) == (3 if change == "other images" else 2), change
        assert all(torch.equal(found[kind], first[kind]) for kind in first), change


def test_no_graph_is_kept_where_no_gradient_is_asked_for():
    network, generator = counted(keep_graph=True)
    latents = generator.init("f2", LABELS, rng(), "sampled")
    with torch.no_grad():
        decoded = generator.decode("f2", latents)
    generator.pullback("f2", latents, torch.ones_like(decoded))
    assert network.counts == [4, 4]


def test_the_budget_bounds_the_images_at_a_time():
    network, generator = counted(keep_graph=True)
    latents = generator.init("f2", LABELS, rng(), "sampled")
    for images, chunks in ((1, [1, 1, 1, 1]), (3, [3, 1]), (4, [4])):
        generator.memory_gib = (WORKING_BYTES + (images + 0.5) * generator.pullback_bytes("f2")) / GIB
        network.counts.clear()
        decoded = generator.decode("f2", latents)
        assert network.counts == chunks
        generator.pullback("f2", latents, torch.ones_like(decoded))
        assert network.counts == (chunks if images == 4 else chunks * 2)
    generator.memory_gib = 1e-12
    assert generator.chunk_size("f2") == 1, "never less than one image"


def test_graphs_are_measured_by_what_autograd_keeps():
    class Squares:
        def latent_shapes(self, space):
            return {"f": (1, 10, 10)}

        def images(self, space, latents):
            return latents["f"].square().exp()

    # The latents for the square, the exponential for itself.
    assert measured_graph_bytes(Squares(), "f0") == 2 * 4 * 100


def test_nothing_stays_of_a_graph_that_was_measured():
    made = []

    class Exponentials:
        def latent_shapes(self, space):
            return {"f": (1, 10, 10)}

        def images(self, space, latents):
            images = latents["f"].exp()  # an operation that keeps its own result
            made.append(weakref.ref(images))
            return images

    measured_graph_bytes(Exponentials(), "f0")
    assert [image() for image in made] == [None]


@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e4])
def test_gradients_do_not_vanish_or_overflow_in_half_precision(scale):
    class HalfTheWay:
        spaces = ("f0",)

        def latent_shapes(self, space):
            return {"f": (1, 4, 4)}

        def images(self, space, latents):
            return (latents["f"].half() * 2).float()

    generator = InProcessGenerator(HalfTheWay(), memory_gib=1)
    image_grads = scale * torch.randn(2, 1, 4, 4, generator=rng())
    found = generator.pullback("f0", {"f": torch.zeros(2, 1, 4, 4)}, image_grads)["f"]
    torch.testing.assert_close(found, 2 * image_grads, rtol=1e-3, atol=1e-4 * scale)
    assert not generator.pullback("f0", {"f": torch.zeros(2, 1, 4, 4)}, torch.zeros_like(image_grads))["f"].any()


@pytest.mark.parametrize(("half", "limit"), [(torch.float16, 4e-2), (torch.bfloat16, 0.1)])
@pytest.mark.parametrize("space", ["w+", "f2"])
def test_half_precision_stays_inside_the_network(space, half, limit):
    settings = RECORD.mapping_settings, RECORD.synthesis_settings, random_stylegan(RECORD)
    exact, rounded = (
        InProcessGenerator(StyleGAN(*settings, precision=precision), memory_gib=4)
        for precision in (torch.float32, half)
    )
    latents = exact.init(space, LABELS, rng(), "average")
    images = exact.decode(space, latents)
    # As small as gradients of matching losses can be: in float16 they would be nothing, were they not scaled.
    image_grads = 1e-9 * torch.randn(images.shape, generator=rng(1))
    pairs = [(rounded.decode(space, latents), images)]
    found, expected = (each.pullback(space, latents, image_grads) for each in (rounded, exact))
    pairs += [(found[kind], expected[kind]) for kind in latents]
    for one, other in pairs:
        assert one.dtype == torch.float32
        assert 0 < float((one - other).norm() / other.norm()) < limit
