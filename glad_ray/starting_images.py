"""The real images that a run starts from: drawn at random, the nearest to centres of clusters (DREAM), or those that
trained networks classify correctly (DATM); several of them in one image where that is cut into training images
(`glad_ray.generators.formation`).
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.algorithms import build_backbone, images_at_once
from glad_ray.clustering import clustered_rows, features_of
from glad_ray.data import Dataset, by_index, network_inputs, real_images
from glad_ray.generators import mixed
from glad_ray.generators.space import RealImages
from glad_ray.machine import fp32_precision
from glad_ray.networks import move
from glad_ray.randomness import rng_for
from glad_ray.spec import Run
from glad_ray.trajectories import Trajectories, networks_in_turn

_IMAGES_AT_ONCE = 256


def starting_images(run: Run, dataset: Dataset, trajectories: Trajectories | None, device: torch.device) -> RealImages:
    """What gives a real image, as networks see it, for each label; of a run with formation factor F each is made of
    F x F real ones, shrunk (IDC's layout).

    They are drawn independently; or for init `clustered` as DREAM does it: for each class the images nearest to the
    centres of as many clusters as images are needed, by features of the first network that the run draws; or for init
    `correct` as DATM does it: the first of each class, in a random order, that experts classify correctly.
    """
    pieces = run.formation.factor**2

    def start(labels: Int64[Tensor, " n"], rng: torch.Generator) -> Float[Tensor, "n c h w"]:
        needed = labels.cpu().repeat(pieces)
        match run.init:
            case "clustered":
                index = _clustered(run, dataset, needed, rng, device)
                images = network_inputs(dataset.train_images[index], dataset)
            case "correct":
                assert trajectories is not None, "the run's record says so, and the plan trains them"
                index = _correct(dataset, needed, rng, trajectories, device)
                images = network_inputs(dataset.train_images[index], dataset)
            case _:
                images = real_images(dataset, needed, rng)
        return mixed(images, run.formation.factor)

    return start


def _correct(
    dataset: Dataset,
    labels: Int64[Tensor, " m"],
    rng: torch.Generator,
    trajectories: Trajectories,
    device: torch.device,
) -> Int64[np.ndarray, " m"]:
    """The index of a training image for each label: those of a class in the order in which they were found."""
    candidates = [
        torch.from_numpy(members)[torch.randperm(len(members), generator=rng)] for members in dataset.class_indices
    ]
    get = by_index(dataset.train_images, dataset, device)
    counts = torch.bincount(labels, minlength=len(candidates)).tolist()
    chosen = correctly_classified(networks_in_turn(trajectories, get(torch.tensor([0]))), get, candidates, counts)
    index = torch.cat([
        filled_up(found, order, count) for found, order, count in zip(chosen, candidates, counts, strict=True)
    ])  # fmt: skip
    # Class after class, to where their labels are.
    return index[labels.argsort(stable=True).argsort()].numpy()


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


def _clustered(
    run: Run, dataset: Dataset, labels: Int64[Tensor, " m"], rng: torch.Generator, device: torch.device
) -> Int64[np.ndarray, " m"]:
    """The index of a training image for each label: those of a class in the order of its clusters."""
    network = build_backbone(run, dataset, rng_for(run.run_id, "network", 0))
    move(network.requires_grad_(False), device, torch.float32)
    images, at_once = by_index(dataset.train_images, dataset, device), images_at_once(run, dataset, device)
    chosen = np.empty(len(labels), dtype=np.int64)
    with fp32_precision("float32", device):
        for label in labels.unique().tolist():
            members = torch.from_numpy(dataset.class_indices[label])
            places = (labels == label).nonzero().flatten()
            rows = clustered_rows(features_of(network, images, members, at_once), len(places), rng)
            chosen[places.numpy()] = members[rows].numpy()
    return chosen
