"""A connection to Ray made while this process imports what computes, and processes of Ray that import it too.

Ray starts in processes of its own, and PyTorch takes about two CPU seconds to be imported. In turn with the version
before, beside other work on two cores, a sweep had its first experts 5 % earlier (26.4 s for 27.6, 31.0 for
32.6). Nothing here imports PyTorch or Tune.
"""

import contextlib
import importlib
import math
import os
import threading
from collections.abc import Iterator, Sequence

import ray

from glad_ray.engine.cluster.connection import connected
from glad_ray.engine.cluster.first_process import check_first_process
from glad_ray.engine.shares import ray_options
from glad_ray.plan import Plan
from glad_ray.progress.events import PointReached
from glad_ray.progress.view import View
from glad_ray.spec import Bundle

_COMPUTES = "glad_ray.engine.carry_out"
# What Tune imports too; Tune itself only after the connection, for two threads should not import parts of Ray at once.
_MEANWHILE = (_COMPUTES, "glad_ray.engine.checks", "pandas")


@contextlib.contextmanager
def connected_early(address: str | None, view: View, first_tasks: Sequence[Bundle] = ()) -> Iterator[None]:
    """A connection as `connected` makes it, which that one then finds; what computes is imported meanwhile, here and in
    the processes of the first tasks, whose shares these are.

    What is refused after it leaves no cluster of its own behind. Raises what `connected` raises.
    """
    with _imported_meanwhile() as imports, connected(address):
        view.show(PointReached("Ray connected"))
        check_first_process(view)
        view.show(PointReached("first process"))
        for share in first_tasks:
            # With its share: the task itself waits for it, and is then given this process instead of a new one.
            ray.remote(_import_what_computes).options(**ray_options(share), max_retries=0).remote()
        imports.join()
        view.show(PointReached("imports"))
        yield


def first_tasks(plan: Plan) -> list[Bundle]:
    """The shares of the tasks that begin a plan at once on a machine with as many CPUs as this one: the trainings of
    its experts, where they have no GPU. Distillations have processes that do no task before.
    """
    resources, shares, free = plan.sweep.resources, list[Bundle](), float(os.cpu_count() or 1)
    for each in plan.expert_sets:
        share = resources.share_of("expert", each.network.name).bundle
        tasks = math.ceil(each.experts.count / resources.experts_together)
        if share.gpus == 0 and share.cpus > 0:
            begun = min(tasks, int(free // share.cpus))
            shares += [share] * begun
            free -= begun * share.cpus
    return shares


@contextlib.contextmanager
def _imported_meanwhile() -> Iterator[threading.Thread]:
    """Import in another thread, which has ended at the end of this context: no interpreter ends well in the middle of
    an import.
    """
    thread = threading.Thread(target=_import, args=(_MEANWHILE,), name="imports")
    thread.start()
    try:
        yield thread
    finally:
        thread.join()


def _import(modules: tuple[str, ...]) -> None:
    for name in modules:
        # Who needs it imports it again and is told.
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _import_what_computes() -> None:
    _import((_COMPUTES,))
