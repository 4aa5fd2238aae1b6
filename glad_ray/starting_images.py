"""The real images that a run starts from: drawn at random, or the nearest to centres of clusters (DREAM); several of
them in one image where that is cut into training images (`glad_ray.generators.formation`).
"""

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


def starting_images(run: Run, dataset: Dataset, device: torch.device) -> RealImages:
    """What gives a real image, as networks see it, for each label; of a run with formation factor F each is made of
    F x F real ones, shrunk (IDC's layout).

    They are drawn independently, or for init `clustered` as DREAM does it: for each class the images nearest to the
    centres of as many clusters as images are needed, by features of the first network that the run draws.
    """
    pieces = run.formation.factor**2

    def start(labels: Int64[Tensor, " n"], rng: torch.Generator) -> Float[Tensor, "n c h w"]:
        needed = labels.cpu().repeat(pieces)
        if run.init == "clustered":
            images = network_inputs(dataset.train_images[_clustered(run, dataset, needed, rng, device)], dataset)
        else:
            images = real_images(dataset, needed, rng)
        return mixed(images, run.formation.factor)

    return start


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
