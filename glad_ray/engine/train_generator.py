"""The training of a generator as one unit of work, in this process."""

import time
from collections.abc import Callable

import torch

from glad_ray.data import Dataset, load_dataset
from glad_ray.data.prepare import Decode, decode_here
from glad_ray.engine.computing import computing_with
from glad_ray.errors import StoppedError
from glad_ray.generator_training import Advance, make_generator
from glad_ray.networks.build import check_network
from glad_ray.progress.events import Event, GeneratorAdvanced, GeneratorScored, ImagesPrepared
from glad_ray.progress.view import View
from glad_ray.results.generator_card import GeneratorCard, GeneratorScores
from glad_ray.spec.generator_training import GeneratorTraining
from glad_ray.storage import Storage

_SECONDS_PER_HOUR = 3600.0


def train_generator_in_process(
    training: GeneratorTraining, storage: Storage, *, device: str, hours: float | None, view: View
) -> GeneratorCard | None:
    """Train a generator on one device, with as many threads as PyTorch takes; None: the hours were spent before.

    Raises `UserError` before anything is trained if data is not there, or the scorer cannot be built.
    """
    ends = clock_of(hours)
    dataset = real_images(training, view)

    def told(event: Event) -> bool:
        view.show(event)
        return not ends()

    return train_with(training, dataset, storage, device=device, on_event=told)


def clock_of(hours: float | None) -> Callable[[], bool]:
    """A function that tells whether so many hours have passed since this call; None: they never have."""
    began = time.monotonic()
    return lambda: hours is not None and time.monotonic() - began >= hours * _SECONDS_PER_HOUR


def real_images(training: GeneratorTraining, view: View, decode: Decode = decode_here) -> Dataset:
    """The images that a training sees, after they are prepared, which is shown; raises `UserError` if they are not
    there, or the scorer cannot take them.
    """
    check_network(training.scorer, channels=training.channels, resolution=training.resolution, classes=training.classes)

    def progressed(done: int, total: int) -> None:
        view.show(ImagesPrepared(f"{training.dataset} {training.resolution}px", done, total))

    return load_dataset(training.dataset, resolution=training.resolution, decode=decode, on_progress=progressed)


def train_with(
    training: GeneratorTraining,
    dataset: Dataset,
    storage: Storage,
    *,
    device: str,
    on_event: Callable[[Event], bool],
    cpus: float | None = None,
) -> GeneratorCard | None:
    """Train a generator on its images with so many threads; `on_event` returns whether to go on. None: it was told not
    to.
    """

    def advanced(advance: Advance) -> bool:
        return on_event(GeneratorAdvanced(advance.stage, advance.step, advance.steps, advance.seconds, advance.losses))

    def scored(scores: GeneratorScores) -> None:
        on_event(GeneratorScored(scores))

    with computing_with(cpus, device):
        try:
            return make_generator(
                training, dataset, storage, device=torch.device(device), on_advance=advanced, on_scored=scored
            )
        except StoppedError:
            return None
