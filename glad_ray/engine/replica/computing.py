"""The generator that a replica holds, and what it computes of a batch: joined, computed at once, and parted again.

How much memory that takes is foretold. Where a GPU has less, as others there take more than their part, the budget is
cut and the batch computed again. The trial that asked is never told that a GPU lacks memory: it would ask for a larger
share of its own, which leaves the replica less.
"""

import contextlib
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch

from glad_ray.engine.on_ray.devices import end_process, free_frames, job_device
from glad_ray.engine.replica.arrays import array_of, arrays_of, tensor_of
from glad_ray.engine.replica.batching import Room
from glad_ray.engine.replica.calls import IMAGE_GRADS, Array, Arrays, Key, Start, image_count
from glad_ray.errors import UnavailableError, error_line
from glad_ray.generators import Latents, build_generator
from glad_ray.gpu_errors import gpu_failed, lacks_gpu_memory
from glad_ray.machine import compute_deterministically, current_device, peak_memory_bytes
from glad_ray.spec import GeneratorRecord, Resources
from glad_ray.spec.generators import GIB
from glad_ray.stylegan.files import GeneratorFile
from glad_ray.stylegan.settings import WORKING_BYTES


class HeldGenerator:
    """A generator, with a part of the memory budget for each of several batches at once."""

    def __init__(
        self,
        record: GeneratorRecord,
        file: GeneratorFile | None,
        resources: Resources,
        *,
        at_once: int,
        dtype: str | None,
    ) -> None:
        """Raises `UserError` for what cannot be built; `dtype`: the name of PyTorch's, in place of the record's."""
        self._threads = max(1, int(resources.trial.cpus))
        self._device = torch.device(job_device(resources, resources.generator_gpus))
        if resources.deterministic and self._device.type != "cpu":
            compute_deterministically()
        with self._on_device(f"the weights of {record.title}"):
            self._generator = build_generator(
                record,
                device=self._device,
                memory_gib=resources.generator_memory_gib / at_once,
                file=file,
                dtype=None if dtype is None else getattr(torch, dtype),
            )

    @property
    def memory_bytes(self) -> int:
        """The most that it took so far: what PyTorch allocated of a GPU, or this whole process on a CPU."""
        return peak_memory_bytes(self._device)

    def room(self, key: Key) -> Room:
        """For a batch: as many images as a pullback takes at a time; raises `UserError` for an unknown space."""
        with self._on_device(f"one image from {key.space}"):
            image_bytes = self._generator.pullback_bytes(key.space)
        images = self._generator.chunk_size(key.space)
        return Room(images, WORKING_BYTES + images * image_bytes)

    def compute(self, key: Key, calls: Sequence[Any]) -> list[Any]:
        """What comes of each call of a batch; raises `UnavailableError` where a GPU has no memory for an image at a
        time, and where it failed: then this process ends, and Ray starts another.
        """
        # Of this thread: others compute beside it.
        torch.set_num_threads(self._threads)
        if key.kind == "init":
            with self._on_device(f"latents of {key.space} to start from"):
                return [self._start(key.space, call) for call in calls]
        with self._on_device(f"one image from {key.space}"):
            while (images := self._images_at_once(key, calls)) > 1:
                try:
                    return self._through(key, calls)
                except RuntimeError as error:
                    if not lacks_gpu_memory(error):
                        raise
                # Only here does nothing refer any more to what it computed so far.
                torch.cuda.empty_cache()
                self._allow(key, images // 2)
            return self._through(key, calls)

    def _images_at_once(self, key: Key, calls: Sequence[Arrays]) -> int:
        return min(self._generator.chunk_size(key.space), sum(map(image_count, calls)))

    def _allow(self, key: Key, images: int) -> None:
        """Cut the budget to so many images at a time, for good; other spaces have as many as go with that."""
        image_bytes = self._generator.pullback_bytes(key.space)
        self._generator.memory_gib = (WORKING_BYTES + (images + 0.5) * image_bytes) / GIB

    def _through(self, key: Key, calls: Sequence[Arrays]) -> list[Any]:
        """Decoded images, gradients, or latents of a later space, of each call."""
        tensors = {kind: self._joined([call[kind] for call in calls]) for kind in calls[0]}
        counts = [image_count(call) for call in calls]
        if key.kind == "decode":
            return _parted(array_of(self._generator.decode(key.space, tensors)), counts)
        if key.kind == "hand_over":
            found = self._generator.hand_over(key.space, key.later, tensors)
        else:
            found = self._generator.pullback(key.space, tensors, tensors.pop(IMAGE_GRADS))
        parts = {kind: _parted(values, counts) for kind, values in arrays_of(found).items()}
        return [dict(zip(parts, each, strict=True)) for each in zip(*parts.values(), strict=True)]

    def _start(self, space: str, call: Start) -> tuple[Arrays, Array]:
        """Latents to start from, and the state that the draws left `rng` in."""
        rng = torch.Generator()
        rng.set_state(torch.tensor(call.rng_state))
        real = None if call.real_images is None else tensor_of(call.real_images)
        latents: Latents = self._generator.init(space, tensor_of(call.labels), rng, call.how, real)
        return arrays_of(latents), array_of(rng.get_state())

    def _joined(self, parts: Sequence[Array]) -> torch.Tensor:
        tensors = [tensor_of(part).to(self._device) for part in parts]
        return tensors[0] if len(tensors) == 1 else torch.cat(tensors)

    @contextlib.contextmanager
    def _on_device(self, what: str) -> Iterator[None]:
        """Compute on the device, of which other threads know nothing; raises `UnavailableError` if a GPU failed, or has
        no memory for something that cannot be made smaller.
        """
        try:
            with current_device(self._device):
                yield
        except RuntimeError as error:
            if gpu_failed(error):
                end_process()
                raise UnavailableError(
                    f"the GPU of the replica of its generator failed: {error_line(error)}"
                ) from error
            if not lacks_gpu_memory(error):
                raise
            free_frames(error)
            torch.cuda.empty_cache()
            raise _no_memory_for(what) from error


def _parted(values: Array, counts: Sequence[int]) -> list[Array]:
    return [values[begin:end] for begin, end in pairwise(accumulate(counts, initial=0))]


def _no_memory_for(what: str) -> UnavailableError:
    return UnavailableError(
        f"The GPU has no memory left for {what} in the replica that its trials share: raise resources.generator_gpus, "
        "so that less else runs on it, or lower resources.generator_memory_gib, if it has replicas of several "
        "generators."
    )
