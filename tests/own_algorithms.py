"""Algorithms as users bring them."""

import torch

from tests.golden_numbers import s_like


class Drifting:
    """Pulls images towards a mean of real ones that moves with every step: what it keeps decides what follows."""

    def __init__(self, tools, pull=0.5):
        self.tools, self.pull, self.mean = tools, pull, None

    def match(self, images, labels, step):
        network = self.tools.network(step)
        means = [torch.cat(list(parts)).mean(0) for _, _, parts in self.tools.real_batches(network, step)]
        now = torch.stack(means) + 0.01 * torch.randn(1, generator=self.tools.rng("noise", step))
        self.mean = now if self.mean is None else torch.lerp(self.mean, now, self.pull)
        away = images - self.mean[labels]
        return (away**2).mean(), 2 * away / away.numel()

    def state(self):
        return {"mean": self.mean}

    def load_state(self, state):
        self.mean = state["mean"]


class Recorded:
    """The gradients of images that the recorded walks of H-PD were given, in every layer from f1 on."""

    def __init__(self, tools, steps_per_layer):
        self.steps_per_layer = steps_per_layer

    def match(self, images, labels, step):
        layer, step = divmod(step, self.steps_per_layer)
        grads = torch.from_numpy(s_like(tuple(images.shape), 7200 + 10 * (1 + layer) + step))
        return torch.zeros(()), grads.to(images)


class Following:
    """Asks for the experts of the run."""

    def __init__(self, tools):
        self.tools = tools

    def match(self, images, labels, step):
        start, end = self.tools.trajectories.segment(0, 0, 1)
        far = (start - end).norm().to(images.device)
        return far + (images**2).mean(), 2 * images / images.numel()


class Forgetful(Drifting):
    """Has a state, and nothing to take it back with."""

    load_state = property()


class Odd:
    """Returns what nobody asked for."""

    def __init__(self, tools, what="nothing"):
        self.what = what

    def match(self, images, labels, step):
        return {
            "nothing": None,
            "loss of many": (images, images),
            "gradient of one": (images.mean(), images.mean()),
            "raises": lambda: 1 / 0,
        }[self.what]


class NoMatch:
    """Is no algorithm."""

    def __init__(self, tools):
        pass
