"""What a training keeps on storage: the tensors of the stage that is under way, and those of the stages that are done.

A stage that is gone on with is made anew and its tensors are replaced by those that were kept; every draw follows from
the training's id, the purpose and the step. So it ends as if it had not been interrupted, to the bit on a CPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from glad_ray.errors import DataError
from glad_ray.generator_training.base import Tensors, TrainingStage, of_prefix, prefixed
from glad_ray.spec.generator_training import STAGES, Stage
from glad_ray.storage import Storage


@dataclass(frozen=True)
class Checkpoint:
    """How far the stage is that is under way."""

    stage: Stage
    step: int
    """steps made"""
    seconds: float
    """that they took, over all commands"""
    tensors: Tensors


def write_checkpoint(storage: Storage, path: str, checkpoint: Checkpoint) -> None:
    """Write it whole, in the place of the one before."""
    facts = {
        "stage": torch.tensor(STAGES.index(checkpoint.stage)),
        "step": torch.tensor(checkpoint.step),
        "seconds": torch.tensor(checkpoint.seconds, dtype=torch.float64),
    }
    kept = prefixed("tensors", checkpoint.tensors) | facts
    storage.write_bytes(path, save({name: value.detach().cpu().contiguous() for name, value in kept.items()}))


def read_checkpoint(storage: Storage, path: str) -> Checkpoint | None:
    """The one that is there; None: none is. Raises `DataError` if it is damaged."""
    if not storage.exists(path):
        return None
    try:
        kept = load(storage.read_bytes(path))
        return Checkpoint(
            STAGES[int(kept["stage"])], int(kept["step"]), float(kept["seconds"]), of_prefix("tensors", kept)
        )
    except (SafetensorError, KeyError, IndexError) as error:
        raise DataError(
            f"{storage}/{path} is damaged ({error}): delete it, and run again, which repeats what it stood for."
        ) from error


@torch.no_grad()
def restore(stage: TrainingStage, kept: Mapping[str, Tensor]) -> None:
    """Give a stage the tensors that were kept of it."""
    for name, value in stage.tensors().items():
        value.copy_(kept[name])
