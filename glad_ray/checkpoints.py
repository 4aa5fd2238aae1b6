"""What a distillation carries from step to step, as one state and one file: a checkpoint is all that resuming takes."""

import contextlib
import math
from dataclasses import dataclass, field

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from glad_ray.generators import Latents
from glad_ray.optimisers.latents import Moments
from glad_ray.results import read_entry, sound, write_entry, written_as
from glad_ray.spec import Matching, Run
from glad_ray.storage import Storage

_KEPT_CHECKPOINTS = 2


@dataclass
class DistillationState:
    """All that a run carries from step to step."""

    latents: Latents
    moments: Moments
    """of the optimiser of the latents"""
    step_size: Tensor
    step_size_momentum: Tensor
    algorithm: dict[str, Tensor]
    nearest: Latents = field(default_factory=dict)
    """of a layer that is left with the nearest of its latents: those that are so far"""
    nearest_distance: Tensor = field(default_factory=lambda: torch.tensor(math.inf))
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    loss_seconds: list[float] = field(default_factory=list)

    @classmethod
    def new(cls, run: Run, latents: Latents) -> "DistillationState":
        """The state before the first step."""
        learned = run.algorithm.learned_step_size
        step_size = torch.tensor(math.nan if learned is None else learned.initial)
        # A baseline's images are not moved.
        moments = Moments.new(run.algorithm.optimiser, latents) if isinstance(run.algorithm, Matching) else Moments({})
        return cls(latents, moments, step_size, torch.zeros(()), {})

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        tensors = {
            **{f"latents/{name}": value for name, value in self.latents.items()},
            **self.moments.tensors(),
            **{f"algorithm/{name}": value for name, value in self.algorithm.items()},
            **{f"nearest/{name}": value for name, value in self.nearest.items()},
            **({"nearest_distance": self.nearest_distance} if self.nearest else {}),
            "step_size": self.step_size,
            "step_size_momentum": self.step_size_momentum,
            "step": torch.tensor(self.step),
            "seconds": torch.tensor(self.seconds, dtype=torch.float64),
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "loss_seconds": torch.tensor(self.loss_seconds, dtype=torch.float64),
        }
        return save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})

    @classmethod
    def from_bytes(cls, data: bytes, device: torch.device) -> "DistillationState":
        """From a safetensors file; raises `SafetensorError` or `KeyError` if it is damaged."""
        tensors = load(data)

        def group(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v.to(device) for k, v in tensors.items() if k.startswith(prefix)}

        return cls(
            latents=group("latents/"),
            moments=Moments.from_tensors(tensors, device),
            step_size=tensors["step_size"],
            step_size_momentum=tensors["step_size_momentum"],
            algorithm=group("algorithm/"),
            nearest=group("nearest/"),
            nearest_distance=tensors.get("nearest_distance", torch.tensor(math.inf)).to(device),
            step=int(tensors["step"]),
            seconds=float(tensors["seconds"]),
            losses=tensors["losses"].tolist(),
            loss_seconds=tensors["loss_seconds"].tolist(),
        )


def save_checkpoint(run: Run, state: DistillationState, storage: Storage) -> None:
    """Write the state as the checkpoint of its step, and keep the one before beside it."""
    data, newest = state.to_bytes(), storage.checkpoint_path(run.run_id, state.step)
    storage.write_bytes(newest, data)
    before = read_entry(storage, run.run_id, "checkpoint")
    paths = storage.list(storage.checkpoint_folder(run.run_id))
    for path in paths[:-_KEPT_CHECKPOINTS]:
        storage.delete(path)
    write_entry(
        storage,
        run.run_id,
        "checkpoint",
        step=state.step,
        loss=state.losses[-1],
        seconds=state.seconds,
        files=paths[-_KEPT_CHECKPOINTS:],
        known=({} if before is None else before.files) | {newest: written_as(data)},
    )


def newest_checkpoint(run: Run, storage: Storage, device: torch.device) -> DistillationState | None:
    """The newest checkpoint that is whole; a damaged one is passed over for the one before."""
    entry = read_entry(storage, run.run_id, "checkpoint")
    for path in reversed(storage.list(storage.checkpoint_folder(run.run_id))):
        data = storage.read_bytes(path)
        with contextlib.suppress(SafetensorError, KeyError):
            if sound(entry, path, data):
                return DistillationState.from_bytes(data, device)
    return None
