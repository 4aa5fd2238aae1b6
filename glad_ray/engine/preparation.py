"""Real images decoded by the whole cluster: a task a part, and in this process those whose files it alone sees."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import ray
from ray.exceptions import RayTaskError

from glad_ray.data.dataset import Split
from glad_ray.data.parts import Form, Part
from glad_ray.data.prepare import decode_here
from glad_ray.engine.tasks import Tasks
from glad_ray.engine.units import computing_with
from glad_ray.errors import GladRayError
from glad_ray.progress.events import Retried
from glad_ray.progress.faults import Fault
from glad_ray.progress.view import View

_CPUS = 1
_PARTS_PER_CPU = 2
_POLL_SECONDS = 1.0


def decode_on_cluster(view: View, parts: Sequence[Part], form: Form) -> Iterator[tuple[Part, Iterable[Split]]]:
    """See `Decode`: parts come as they are done. Raises what decoding raises, and `GladRayError` for one that is lost
    again and again.
    """
    tasks = Tasks(lambda what, error: view.show(Retried(what, error)))
    waiting, ready, unseen = deque(parts), deque[tuple[Part, list[Split]]](), list[Part]()
    # What is done and not yet written takes room in the object store.
    at_once = max(1, int(ray.cluster_resources().get("CPU", 1) / _CPUS)) * _PARTS_PER_CPU

    def ended(part: Part, batches: list[Split] | None) -> None:
        if batches is None:
            unseen.append(part)
        else:
            ready.append((part, batches))

    while waiting or len(tasks):
        while waiting and len(tasks) < at_once:
            part = waiting.popleft()
            start = partial(_start, part, form)
            tasks.submit(f"decoding of {part.files[0].name}", start, partial(ended, part), _failed)
        tasks.poll(_POLL_SECONDS)
        while ready:
            yield ready.popleft()
    yield from decode_here(unseen, form)


def _start(part: Part, form: Form, tries: int) -> ray.ObjectRef[list[Split] | None]:
    return _decode.remote(part, form)


def _failed(error: Exception, fault: Fault) -> None:
    raise (
        error.cause
        if isinstance(error, RayTaskError)
        else GladRayError(f"Some real images could not be decoded: {fault.error}.")
    )


@ray.remote(num_cpus=_CPUS, max_calls=0, max_retries=0, scheduling_strategy="SPREAD")
def _decode(part: Part, form: Form) -> list[Split] | None:
    """The images of a part; None if this machine does not see its files."""
    if not part.files[0].exists():
        return None
    with computing_with(_CPUS), ThreadPoolExecutor(_CPUS) as executor:
        return list(part.images(form, executor))
