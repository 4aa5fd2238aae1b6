"""Real images that a run starts from: drawn from each class, or those that trained networks classify correctly.

DATM starts from the latter (Guo et al., ICLR 2024), so that the labels that experts give them are right.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.data import Dataset, by_index, network_inputs, real_images
from glad_ray.spec import Run
from glad_ray.trajectories import Trajectories, trained_networks

_IMAGES_AT_ONCE = 256


def starting_images(
    run: Run, dataset: Dataset, trajectories: Trajectories | None, device: torch.device
) -> Callable[[Int64[Tensor, " n"], torch.Generator], Float[Tensor, "n c h w"]]:
    """The images as networks see them, as a function of their classes and an rng."""

    def drawn(labels: Tensor, rng: torch.Generator) -> Tensor:
        return real_images(dataset, labels, rng)

    def correct(labels: Tensor, rng: torch.Generator) -> Tensor:
        assert trajectories is not None, "the run's record says so, and the plan trains them"
        candidates = [
            torch.from_numpy(members)[torch.randperm(len(members), generator=rng)] for members in dataset.class_indices
        ]
        get = by_index(dataset.train_images, dataset, device)
        experts = trained_networks(trajectories, get(torch.tensor([0])))
        counts = torch.bincount(labels, minlength=len(candidates)).tolist()
        chosen = correctly_classified(experts, get, candidates, counts)
        index = torch.cat([
            filled_up(found, order, count) for found, order, count in zip(chosen, candidates, counts, strict=True)
        ])  # fmt: skip
        # Class after class, to where their labels are.
        return network_inputs(dataset.train_images[index.numpy()], dataset)[labels.argsort(stable=True).argsort()]

    return correct if run.init == "correct" else drawn


@torch.no_grad()
def correctly_classified(
    experts: Iterable[Callable[[Tensor], Tensor]],
    images: Callable[[Int64[Tensor, " b"]], Float[Tensor, "b c h w"]],
    candidates: Sequence[Int64[Tensor, " m"]],
    counts: Sequence[int],
) -> list[Int64[Tensor, " k"]]:
    """For each class the first `counts` of its candidates that experts classify correctly, fewer where there are not as
    many; indices that `images` takes.

    The first expert is asked about the candidates in their order, for what is then missing the next one about all of
    them again, and so on; no image is taken twice.
    """
    chosen: list[dict[int, None]] = [{} for _ in candidates]
    for expert in experts:
        for label, (order, count) in enumerate(zip(candidates, counts, strict=True)):
            for part in order.split(_IMAGES_AT_ONCE):
                if len(chosen[label]) >= count:
                    break
                right = (expert(images(part)).argmax(1) == label).cpu()
                chosen[label].update(dict.fromkeys(part[right].tolist()))
        if all(len(found) >= count for found, count in zip(chosen, counts, strict=True)):
            break
    return [torch.tensor(list(found)[:count], dtype=torch.int64) for found, count in zip(chosen, counts, strict=True)]


def filled_up(chosen: Int64[Tensor, " k"], candidates: Int64[Tensor, " m"], count: int) -> Int64[Tensor, " count"]:
    """Some of the candidates, and the first others of them, `count` in all; again from the first where they run out."""
    order = torch.cat([chosen, candidates[~torch.isin(candidates, chosen)]])
    return order.repeat(-(-count // len(order)))[:count]
