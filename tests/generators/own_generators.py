"""Generators as a user would write them."""

import torch


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
