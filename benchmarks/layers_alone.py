"""The convolutions and linear layers of some work, called alone.

Which calls there are, forward, backward and of second derivatives, is recorded while the work runs, with the shape and
strides of every argument. They are then made on random numbers, in the same order, and nothing else is.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from turns import Over, Work
from typing_extensions import override

_ATEN: Any = torch.ops.aten
OF_LAYERS = frozenset(
    {
        _ATEN.convolution.default,
        _ATEN.convolution_backward.default,
        _ATEN.addmm.default,
        _ATEN.mm.default,
    }
)
"""what convolutions and linear layers come to; products of attention are `bmm`"""


class Layout(NamedTuple):
    """A tensor but for its numbers."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    def random(self) -> torch.Tensor:
        """A tensor of this layout."""
        last = sum((side - 1) * stride for side, stride in zip(self.shape, self.strides, strict=True))
        return torch.randn(last + 1, dtype=self.dtype).as_strided(self.shape, self.strides)


class Call(NamedTuple):
    """A call of an operation, with a layout for each tensor."""

    operation: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]


class Recorder(TorchDispatchMode):
    """As a context: keeps the calls of layers that are made in it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    @override
    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in OF_LAYERS:
            self.calls.append(Call(func, tuple(map(_layout, args)), kwargs or {}))
        return func(*args, **(kwargs or {}))


def _layout(argument: Any) -> Any:
    if not isinstance(argument, torch.Tensor):
        return argument
    return Layout(tuple(argument.shape), argument.stride(), argument.dtype)


def calls_of_a_unit(work: Work) -> list[Call]:
    """The calls of layers in the second unit of some work; it is left after that unit."""
    recorder, made = Recorder(), 0

    def after_unit() -> None:
        nonlocal made
        made += 1
        if made == 2:
            raise Over
        recorder.calls.clear()

    try:
        with recorder:
            work(after_unit)
    except Over:
        pass
    return recorder.calls


def made_alone(calls: Sequence[Call]) -> Callable[[], None]:
    """Makes these calls; where layouts are the same in the same place, so are the numbers."""
    tensors: dict[tuple[int, Layout], torch.Tensor] = {}

    def given(place: int, argument: Any) -> Any:
        if not isinstance(argument, Layout):
            return argument
        key = place, argument
        if key not in tensors:
            tensors[key] = argument.random()
        return tensors[key]

    prepared = [
        (operation, [given(place, argument) for place, argument in enumerate(arguments)], options)
        for operation, arguments, options in calls
    ]

    @torch.no_grad()
    def make() -> None:
        for operation, arguments, options in prepared:
            operation(*arguments, **options)

    return make


def layers_of(work: Work) -> Work:
    """The layers of a unit of some work, alone, again and again."""

    def alone(after_unit: Callable[[], None]) -> None:
        make = made_alone(calls_of_a_unit(work))
        while True:
            make()
            after_unit()

    return alone
