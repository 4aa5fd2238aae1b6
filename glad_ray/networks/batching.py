"""Where a rule of `torch.vmap` has the dimension of what it batches over."""

from collections.abc import Sequence

from torch import Tensor


def batched(tensor: Tensor, dim: int | None, size: int, place: int) -> Tensor:
    """A tensor that is batched in dimension `dim`, or not at all (None), batched in dimension `place`; a view."""
    if dim is not None:
        return tensor.movedim(dim, place)
    whole = tensor.unsqueeze(place)
    return whole.expand(*whole.shape[:place], size, *whole.shape[place + 1 :])


def side_by_side(networks: int, dims: Sequence[int | None], given: Sequence[Tensor]) -> list[Tensor]:
    """Maps (n, c, h, w) and numbers of channels (c), batched over networks in these dimensions, as those of one network
    that has all their channels, side by side.
    """
    places = [1 if each.dim() - (dim is not None) == 4 else 0 for each, dim in zip(given, dims, strict=True)]
    return [
        batched(each, dim, networks, place).flatten(place, place + 1)
        for each, dim, place in zip(given, dims, places, strict=True)
    ]


def apart(networks: int, found: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """What was found for all channels, by network again: the networks are dimension 1 of each."""
    return tuple(each.unflatten(1, (networks, -1)) for each in found), (1,) * len(found)
