"""Generators as a user would write them."""

import torch

from glad_ray.generators import cleaned
from tests.golden_numbers import s_like


class Blobs:
    """A centre and a width per image (w) over a small background (f)."""

    spaces = ("z", "z+")

    def __init__(self, device, side):
        self.grid = torch.linspace(-1, 1, side, device=device)

    def latent_shapes(self, space):
        return {"w": (3,)} if space == "z" else {"f": (1, 4, 4), "w": (3,)}

    def init(self, space, labels, rng, how, real_images=None):
        drawn = {}
        for kind, shape in self.latent_shapes(space).items():
            noise = torch.randn(len(labels), *shape, generator=rng).to(self.grid.device)
            drawn[kind] = 0.3 * noise + 0.1 * labels.view(-1, *[1] * len(shape)).to(noise)
        return drawn

    def images(self, space, latents):
        x, y, width = latents["w"].unbind(1)
        grid = self.grid.to(latents["w"])
        distance = (grid - x[:, None])[:, None, :].square() + (grid - y[:, None])[:, :, None].square()
        images = torch.exp(-distance / (0.1 + width[:, None, None].square()))[:, None] * 2 - 1
        if space == "z":
            return images
        return images + torch.nn.functional.interpolate(latents["f"], images.shape[-2:], mode="bilinear")


def blobs(device, side=16):
    return Blobs(device, side)


class OfASmallGPU(Blobs):
    """One that has memory for so many images and graphs of images at a time."""

    def __init__(self, device, side, images, graphs):
        super().__init__(device, side)
        self.most_images, self.most_graphs = images, graphs

    def images(self, space, latents):
        if len(latents["w"]) > (self.most_graphs if torch.is_grad_enabled() else self.most_images):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return super().images(space, latents)

    def pullback_bytes(self, space):
        return 2**20


def of_a_small_gpu(device, side, images, graphs):
    return OfASmallGPU(device, side, images, graphs)


def not_a_generator(device):
    return object()


def other_shapes(device):
    made = Blobs(device, 16)
    made.latent_shapes = lambda space: {"w": (4,)}
    return made


class Chain:
    """Style layers in a row, as the recorded walks of H-PD have them: f<n> is the input of layer n, and w has the codes
    from there on; f<layers> is what the last layer gives.
    """

    def __init__(self, device, images, layers, amplitude, stream):
        self.layers, self.amplitude, self.device = layers, amplitude, device
        self.ws = self._numbers((images, layers + 1, 4), stream)
        self.pattern = self._numbers((3, 4, 4), 7050)
        self.offsets = [self._numbers((3, 4, 4), 7000 + i) for i in range(layers)]
        self.spaces = tuple(f"f{n}" for n in range(layers + 1))

    def _numbers(self, shape, stream):
        return torch.from_numpy(s_like(shape, stream)).to(self.device)

    def latent_shapes(self, space):
        return {"f": (3, 4, 4), "w": (self.layers - int(space[1:]), 4)}

    def init(self, space, labels, rng, how, real_images=None):
        ws, n = self.ws[: len(labels)], int(space[1:])
        start = self.amplitude * ws[:, 0, 2, None, None, None] * self.pattern
        return {"f": cleaned(self._through(start, ws[:, 1:], 0, n)).float(), "w": ws[:, n + 1 :].float()}

    def images(self, space, latents):
        return 0.25 * self._through(latents["f"], latents["w"], int(space[1:]), self.layers)

    def hand_over(self, space, later, latents):
        n, m = int(space[1:]), int(later[1:])
        return {"f": cleaned(self._through(latents["f"], latents["w"], n, m)), "w": latents["w"][:, m - n :]}

    def _through(self, x, codes, n, m):
        for i in range(n, m):
            w = codes[:, i - n, :, None, None, None].to(x)
            x = (1 + 0.5 * w[:, 0]) * x + w[:, 1] * self.offsets[i].to(x) + torch.sin(x)
        return x


def chain(device, images, layers, amplitude, stream):
    return Chain(device, images, layers, amplitude, stream)
