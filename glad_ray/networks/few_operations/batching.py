"""Where a rule of `torch.vmap` has the dimension of what it batches over."""

from torch import Tensor


def batched(tensor: Tensor, dim: int | None, size: int, place: int) -> Tensor:
    """A tensor that is batched in dimension `dim`, or not at all (None), batched in dimension `place`; a view."""
    if dim is not None:
        return tensor.movedim(dim, place)
    whole = tensor.unsqueeze(place)
    return whole.expand(*whole.shape[:place], size, *whole.shape[place + 1 :])
