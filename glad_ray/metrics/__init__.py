"""What a trained network is measured by beside its accuracy: by name, `package.module:callable` of (network, images,
labels), a number, or a mapping of names to numbers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from glad_ray.data import Dataset, network_inputs
from glad_ray.data.dataset import Split
from glad_ray.errors import UserError
from glad_ray.importing import import_callable
from glad_ray.process_state import restored
from glad_ray.spec.metrics import metric_of


def measured(
    names: Sequence[str], network: nn.Module, split: Split, dataset: Dataset, device: torch.device
) -> dict[str, float]:
    """The values of metrics by their columns' names, of a network that is trained, on real images.

    A metric is given the network in evaluation mode, whose parameters ask for no gradients, all images, normalised, and
    their classes, on the network's device. Raises `UserError` if it returns no number.
    """
    if not names:
        return {}
    images = network_inputs(split.images, dataset).to(device)
    labels = torch.tensor(split.labels, device=device)
    values: dict[str, float] = {}
    for name in names:
        network.eval()
        with restored():
            found = metric(name)(network, images, labels)
        parts = found.items() if isinstance(found, Mapping) else [(None, found)]
        values |= {name if key is None else f"{name}.{key}": _number(name, value) for key, value in parts}
    return values


def metric(name: str) -> Any:
    """The callable of a metric; raises `UserError` if there is none."""
    return import_callable(metric_of(name).implementation, "Metric", "a number of (network, images, labels)")


def _number(name: str, value: Any) -> float:
    if isinstance(value, int | float | np.number) or (isinstance(value, Tensor) and value.numel() == 1):
        return float(value)
    raise UserError(f"Metric {name} returns {type(value).__name__}: return a number, or a mapping of names to numbers.")
