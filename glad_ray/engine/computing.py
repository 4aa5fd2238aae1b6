"""How a job computes, alike in this process and on Ray, so that the same plan gives the same numbers."""

import contextlib
from collections.abc import Iterator

import torch

from glad_ray.generators import Generator, build_generator
from glad_ray.interrupts import within
from glad_ray.machine import compute_deterministically, current_device, keep_freed_memory
from glad_ray.process_state import restored
from glad_ray.spec import Resources, Run
from glad_ray.stylegan.files import GeneratorFile


def evaluation_bound(resources: Resources, *, or_exit: bool) -> contextlib.AbstractContextManager[None]:
    """The time that an evaluation with one network may take; see `within`."""
    return within(resources.evaluation_timeout_minutes, "resources.evaluation_timeout_minutes", or_exit=or_exit)


def own_generator(run: Run, resources: Resources, device: str, file: GeneratorFile | None = None) -> Generator:
    """A run's generator for itself alone, in this process."""
    assert run.generator is not None, "runs in pixel space have none"
    return build_generator(
        run.generator,
        device=device,
        memory_gib=resources.generator_memory_gib,
        keep_graph=True,
        learn=run.learn_generator,
        file=file,
    )


@contextlib.contextmanager
def computing_with(cpus: float | None, device: str = "cpu", *, deterministic: bool = False) -> Iterator[None]:
    """Compute on a device with as many threads as whole CPUs, None: as many as there are; and give back the process as
    it was. `deterministic`: see `Resources.deterministic`.

    The allocator keeps what is freed from then on.

    The number of threads decides the order of sums, so both engines set it alike.
    """
    keep_freed_memory()
    with restored(), current_device(torch.device(device)):
        if cpus is not None:
            torch.set_num_threads(max(1, int(cpus)))
        if deterministic and device != "cpu":
            compute_deterministically()
        yield
