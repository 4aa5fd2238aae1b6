"""Trainings on a GPU as CUDA graphs: the hundreds of kernels of a mini-batch are launched as one.

A graph is made of `train_batch`, and after the last mini-batch of an epoch of the average of weights too. It reads what
differs from one replay to the next (images, augmentation, dropout, learning rate, weight of the average) from memory
that stays in place, into which one upload brings all of it. What Python decides, it has for good: there is a graph for
each number of images, each operation of DSA (or each sequence of operations), and the last and other mini-batches of an
epoch. Networks that are trained together draw an operation each: their graph computes all of them for all images and
takes the one that was drawn, so that there is one graph and not one for each combination.

A kind of mini-batch is computed without a graph when it comes up first, which also prepares what CUDA's libraries
prepare at first use. The second time it is computed without a graph and by the graph that is made of it, and the two
are compared; from then on the graph is replayed. Where they differ, or no graph can be made, one warning says so, and
the rest of the training does without graphs. All graphs share the memory of their intermediate results.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeGuard, final

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.augment import UNIFORMS, choices, uniforms_of
from glad_ray.averages import AveragedWeights
from glad_ray.gpu_errors import gpu_failed
from glad_ray.machine import upload, upload_into
from glad_ray.networks import DrawingClassifier, Ensemble, MaskedClassifier, batch_sizes
from glad_ray.optimisers.sgd import SGD
from glad_ray.training import Batch, Images, Targets, draw_epoch, train_batch

APART = 1e-3
"""largest difference of a graph's result, as a share of what the mini-batch changed; TF32 and sums in any order are
within it"""
EPOCHS_UNREAD = 32
"""most epochs before their losses are read, for which a GPU runs out of work"""
_ROUNDING = 1e-6
"""largest difference as a share of the numbers themselves, for changes that are next to nothing"""


def can_be_captured(images: Tensor | Images, network: nn.Module) -> TypeGuard[Tensor]:
    """Whether a training is to be made with graphs: on a GPU, in float32, on images that lie there as a tensor, with a
    network of this package. A network of another package may decide by values, or draw, in its forward pass.
    """
    draws = isinstance(network, DrawingClassifier) and not isinstance(network, MaskedClassifier)
    kinds = {parameter.dtype for parameter in network.parameters()}
    return isinstance(images, Tensor) and images.device.type == "cuda" and kinds == {torch.float32} and not draws


class Kind(NamedTuple):
    """What Python decides by, of a mini-batch."""

    images: int
    """for each network"""
    operation: str | None
    """None: no augmentation; of several networks the whole augmentation, of which each has an operation of its own"""
    last: bool
    """whether it ends an epoch"""


@final
class Numbers:
    """What is drawn for a mini-batch of so many images for each network, and its rates: memory that stays in place."""

    def __init__(
        self, network: nn.Module, images: int, device: torch.device, *, networks: int = 1, uniforms: int = UNIFORMS
    ) -> None:
        of_all = networks * images
        self._packed = torch.zeros((2 + uniforms) * of_all + 2, dtype=torch.int64, device=device)
        self.index, self.chosen, drawn, self.epoch, rates = self._packed.split(
            [of_all, of_all, uniforms * of_all, 1, 1]
        )
        self.uniforms = drawn.view(torch.float64).view(of_all, uniforms)
        self.rate, self.weight = rates.view(torch.float32).unbind()
        self._masked = network if isinstance(network, MaskedClassifier | Ensemble) else None
        self.masks = None if self._masked is None else self._masked.empty_masks(images, device)

    def fill(self, batches: Sequence[Batch], chosen: Sequence[int], epoch: int, rate: float, weight: float) -> None:
        """Bring a mini-batch of each network, with the number of the operation that it chose, the place of its epoch,
        its learning rate and the weight of its epoch in the average to the device.
        """
        indices = [batch.index for batch in batches]
        operations = torch.tensor(chosen).view(-1, 1).expand(-1, len(indices[0])).flatten()
        uniforms = [batch.uniforms.view(torch.int64).flatten() for batch in batches]
        rates = torch.tensor([rate, weight], dtype=torch.float32)
        drawn = torch.cat([*indices, operations, *uniforms, torch.tensor([epoch]), rates.view(torch.int64)])
        upload_into(self._packed, drawn)
        if self._masked is not None and self.masks is not None:
            self._masked.draw_masks(self.masks)

    def batch(self, operation: str | None, *, chosen: bool = False) -> Batch:
        """The mini-batch, on the device; `chosen`: every image has an operation of its own."""
        own = self.chosen if chosen else None
        return Batch(index=self.index, operation=operation, chosen=own, uniforms=self.uniforms, masks=self.masks)


@final
class CapturedTraining:
    """The training of a network, or of those of an `Ensemble`, on images that lie on its device, epoch by epoch."""

    def __init__(
        self,
        network: nn.Module,
        optimiser: SGD,
        averages: AveragedWeights,
        images: Float[Tensor, "n c h w"],
        labels: Targets,
        *,
        batch_size: int,
        augmentation: str,
    ) -> None:
        self._network, self._optimiser, self._averages = network, optimiser, averages
        self._images, self._labels, self._augmentation = images, labels, augmentation
        self._networks = network.count if isinstance(network, Ensemble) else 1
        self._choices = choices(augmentation)
        one_of_each = torch.zeros(self._networks, dtype=torch.int64)
        self._sizes = batch_sizes(
            network.train(), lambda: images[upload(one_of_each, images.device)], len(labels), batch_size
        )
        self._losses, self.unread = torch.zeros(EPOCHS_UNREAD, self._networks, device=images.device), 0
        uniforms = uniforms_of(augmentation)
        self.numbers = {
            size: Numbers(network, size, images.device, networks=self._networks, uniforms=uniforms)
            for size in set(self._sizes)
        }
        self._seen: set[Kind] = set()
        self._graphs: dict[Kind, torch.cuda.CUDAGraph] = {}
        self._refused = False
        self._shared: tuple[torch.cuda.Stream, Any] | None = None
        """the stream of all captures and the memory of all graphs, once there is one"""

    def epoch(self, rate: float, weight: float, rngs: Sequence[torch.Generator]) -> None:
        """Train for one epoch and move the average; the device is not waited for.

        Shuffling and augmentation of each network are drawn from its own of `rngs` as `train_epoch` draws them. The
        losses are to be read after `EPOCHS_UNREAD` epochs at the latest.
        """
        self._network.train()
        ends = len(self._sizes) - 1
        epochs = [draw_epoch(len(self._labels), self._sizes, self._augmentation, rng) for rng in rngs]
        for number, batches in enumerate(zip(*epochs, strict=True)):
            operations = [batch.operation for batch in batches]
            # Of several networks each has its own operation, and one graph is to do for all combinations.
            operation = operations[0] if self._networks == 1 or operations[0] is None else self._augmentation
            kind = Kind(len(batches[0].index), operation, number == ends)
            chosen = [0 if each is None else self._choices.index(each) for each in operations]
            self.numbers[kind.images].fill(batches, chosen, self.unread, rate, weight)
            if kind in self._graphs:
                self._graphs[kind].replay()
            elif kind in self._seen and not self._refused:
                self._capture(kind)
            else:
                self._seen.add(kind)
                self.advance(kind)
        self.unread += 1

    @property
    def mini_batches(self) -> int:
        """Of an epoch."""
        return len(self._sizes)

    def read_losses(self) -> list[list[float]]:
        """The mean losses of the epochs since they were last read, of each network; waits for the device."""
        read: list[list[float]] = self._losses.tolist()[: self.unread]
        self._losses.zero_()
        self.unread = 0
        return read

    def advance(self, kind: Kind) -> None:
        """A mini-batch of what `numbers` has: a function of tensors that stay in place, which it changes."""
        numbers = self.numbers[kind.images]
        self._optimiser.lr = numbers.rate
        batch = numbers.batch(kind.operation, chosen=self._networks > 1 and kind.operation is not None)
        losses = train_batch(self._network, self._optimiser, self._by_index, self._labels, [batch])
        # Or a graph would keep their memory.
        self._optimiser.zero_grad()
        self._losses.index_add_(0, numbers.epoch, losses.view(1, -1), alpha=kind.images / len(self._labels))
        if kind.last:
            self._averages.update(numbers.weight)

    def _by_index(self, index: Int64[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        return self._images[index]

    def _capture(self, kind: Kind) -> None:
        """Compute a mini-batch without a graph, make one, replay it, and keep it if both come to the same."""
        self._shared = self._shared or (torch.cuda.Stream(), torch.cuda.graph_pool_handle())
        (stream, pool), current, before = self._shared, torch.cuda.current_stream(), self._copies()
        stream.wait_stream(current)
        # On the stream of the capture, so that cuBLAS and cuDNN have what they need there.
        with torch.cuda.stream(stream):
            self.advance(kind)
        current.wait_stream(stream)
        expected = self._copies()
        self._restore(before)
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads of this process may go on meanwhile.
            with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
                self.advance(kind)
            graph.replay()
            wrong = self._difference(before, expected)
        except RuntimeError as error:
            if gpu_failed(error) and "captur" not in str(error):
                raise
            wrong = str(error).strip().splitlines()[0]
        if wrong is None:
            self._graphs[kind] = graph
            return
        self._refused = True
        self._graphs.clear()
        self._restore(expected)
        self._optimiser.zero_grad()
        network = self._network
        name = network.network_name if isinstance(network, Ensemble) else type(network).__name__
        warnings.warn(f"{name} is trained without CUDA graphs, only slower, for {wrong}.", RuntimeWarning, stacklevel=1)

    def _state(self) -> list[list[Tensor]]:
        """All that a mini-batch changes, in tensors that are alike."""
        averaged = list(self._averages.network.state_dict().values())
        held = list(self._network.state_dict().values())
        return [held, self._optimiser.momenta(), averaged, [self._losses]]

    @torch.no_grad()
    def _copies(self) -> list[list[Tensor]]:
        return [[each.detach().clone() for each in group] for group in self._state()]

    @torch.no_grad()
    def _restore(self, copies: Sequence[Sequence[Tensor]]) -> None:
        for group, kept in zip(self._state(), copies, strict=True):
            for each, value in zip(group, kept, strict=True):
                each.copy_(value)

    @torch.no_grad()
    def _difference(self, before: Sequence[Sequence[Tensor]], expected: Sequence[Sequence[Tensor]]) -> str | None:
        """What is wrong with a graph that was replayed where `expected` is right; None: nothing."""
        wrong = torch.zeros((), dtype=torch.bool, device=self._losses.device)
        for groups in zip(self._state(), expected, before, strict=True):
            if not groups[0]:
                continue
            found, right, start = (torch.cat([each.flatten().double() for each in group]) for group in groups)
            limit = APART * (right - start).norm() + _ROUNDING * right.norm()
            # A training that diverges does so in both.
            wrong |= right.isfinite().all() & ~((found - right).norm() <= limit)
        return "its graph comes to other numbers" if bool(wrong) else None
