"""Networks of other packages as evaluation networks: any callable that makes a classifier, `package.module:callable`.

Theirs is other code than ours: it draws from the global generators, so those are lent a seed of ours while it runs and
given back as they were; and it may refuse what it is asked for, so its errors are told in one sentence with a remedy.
"""

import contextlib
import random
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from glad_ray.errors import UserError, error_line
from glad_ray.gpu_errors import of_gpu
from glad_ray.importing import import_callable
from glad_ray.networks.batches import single_image, takes_one_image
from glad_ray.networks.layers import DrawingClassifier
from glad_ray.process_state import restored
from glad_ray.spec import Network

_THREE_CHANNELS = ("torchvision",)
"""packages whose classifiers take three channels and have no argument to change that"""


class Foreign(DrawingClassifier):
    """Another package's network: its logits, with every draw from a generator of its own. What a pass changes in the
    process (the default type of tensors, say) is as it was after it, so that passes do not depend on those before.

    Of several outputs (a record with `logits`, as GoogLeNet and Inception give in training) it gives the logits alone,
    so auxiliary heads are not trained.
    """

    def __init__(self, name: str, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.name, self.network, self.classes = name, network, classes

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Logits of normalised images; raises `UserError` if what the network gives is something else."""
        if _takes_three_channels(self.name):
            images = images.expand(-1, 3, -1, -1)
        with restored(), seeded(self._seed_of_this_pass(), images.device):
            output = self.network(images)
        logits = getattr(output, "logits", output)
        if isinstance(logits, Tensor) and logits.shape == (len(images), self.classes):
            return logits
        given = f"a tensor of shape {list(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise UserError(
            f"Network {self.name} gives {given} for {len(images)} images of {self.classes} classes: name a callable "
            f"whose network gives logits, one tensor of shape [{len(images)}, {self.classes}]."
        )

    def embed(self, images: Float[Tensor, "n c h w"]) -> NoReturn:
        """Foreign networks never distil, so their features are not asked for."""
        raise AssertionError(f"{self.name} evaluates only")

    def _seed_of_this_pass(self) -> int:
        """A fresh one in training; in evaluation always the same, so that logits follow from the images."""
        return self.draw_seed() if self.training else 0


def build_foreign(spec: Network, *, channels: int, classes: int, rng: torch.Generator | None) -> Foreign:
    """The network of a foreign record, on CPU, in training mode; every draw of its constructor follows from `rng`.

    With `rng` None its parameters mean nothing and `dropout_rng` is still to be set. Raises `UserError` if the callable
    cannot be imported, refuses the arguments, or makes something else than a `torch.nn.Module`.
    """
    if rng is None:
        return _construct(spec, channels, classes, seed=0, device="cpu")
    construction, dropout = torch.randint(2**62, (2,), generator=rng).tolist()
    network = _construct(spec, channels, classes, seed=construction, device="cpu")
    network.dropout_rng = torch.Generator().manual_seed(dropout)
    return network


def check_foreign(spec: Network, *, channels: int, resolution: int, classes: int, smallest_batch: int = 2) -> None:
    """Raise the `UserError` that building a foreign network, or training and testing it on such images, would meet.

    It is tried with two images, and with one where `smallest_batch` is 1. First without storage, which takes next to no
    time or memory; networks that look at their own values cannot be built so, and then, as when anything seems wrong,
    the CPU decides.
    """
    with contextlib.suppress(Exception):
        _try_on_images(spec, channels, resolution, classes, smallest_batch, "meta")
        return
    _try_on_images(spec, channels, resolution, classes, smallest_batch, "cpu")


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Within, the global generators of PyTorch (CPU and `device`), NumPy and Python start at `seed`; after, they are as
    they were before.
    """
    devices = [] if device.type in ("cpu", "meta") else [device]
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices, device_type=device.type if devices else "cpu"):
        # Not torch.manual_seed, which would reach the generators of every other device too.
        torch.default_generator.manual_seed(seed)
        for each in devices:
            state = torch.Generator(each).manual_seed(seed).get_state()
            torch.get_device_module(each).set_rng_state(state, each)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def _construct(spec: Network, channels: int, classes: int, *, seed: int, device: str) -> Foreign:
    make = import_callable(spec.name, "Network", "a classifier")
    arguments: dict[str, Any] = {"num_classes": classes}
    if not _takes_three_channels(spec.name):
        arguments["in_chans"] = channels
    arguments |= spec.options
    try:
        with restored(), seeded(seed, torch.device("cpu")), torch.device(device):
            network = make(**arguments)
    except Exception as error:
        if of_gpu(error):
            raise
        said = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        raise UserError(
            f"Network {spec.name} refuses {said} ({error_line(error)}): change its options, or name a function of "
            "your own that takes these and builds it."
        ) from error
    if not isinstance(network, nn.Module):
        raise UserError(
            f"Network {spec.name} made {type(network).__name__}, not a torch.nn.Module: name a class or a function "
            "that makes a classifier."
        )
    return Foreign(spec.name, network, classes).train()


def _try_on_images(
    spec: Network, channels: int, resolution: int, classes: int, smallest_batch: int, device: str
) -> None:
    """A forward pass of two black images in training mode, as batch norm needs two, and in evaluation mode."""
    network = _construct(spec, channels, classes, seed=0, device=device)
    network.dropout_rng = torch.Generator()
    images = torch.zeros(2, channels, resolution, resolution, device=device)
    for training in (True, False):
        try:
            with torch.no_grad():
                network.train(training)(images)
        except UserError:
            raise
        except Exception as error:
            if of_gpu(error):
                raise
            raise UserError(
                f"Network {spec.name} cannot take images of {channels} x {resolution} x {resolution} "
                f"({error_line(error)}): leave it out, change the resolution, or set its option for the size, "
                "such as image_size or img_size."
            ) from error
    if smallest_batch == 1 and not takes_one_image(network.train(), images[:1]):
        raise single_image(spec.title)


def _takes_three_channels(name: str) -> bool:
    return name.partition(":")[0].partition(".")[0] in _THREE_CHANNELS
