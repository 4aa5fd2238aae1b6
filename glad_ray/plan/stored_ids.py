"""Under which ids a storage holds runs and sets of experts.

Earlier versions hashed fields into ids that decide no result, `checkpoint_every` for instance. What a storage holds
under such a former id goes on under it, with the draws that follow from it; everything else has the id of its content.
"""

from collections.abc import Iterable
from functools import cached_property

from glad_ray.spec.experts import ExpertSet
from glad_ray.spec.record import Stored
from glad_ray.spec.run import Run
from glad_ray.storage import Storage


class StoredIds:
    """The ids on a storage, listed once and only if they matter. No new one is ever a former one."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @cached_property
    def _there(self) -> frozenset[str]:
        folders = (Storage.RUNS, Storage.RESULTS, Storage.EXPERTS)
        names = (path.rpartition("/")[2] for folder in folders for path in self._storage.list(folder))
        return frozenset(name.partition("-")[0] for name in names)

    def of_run(self, run: Run, expert_sets: Iterable[ExpertSet]) -> Run:
        """A run with those former ids that the storage holds, of itself and of the experts that it needs."""
        held = self._held(run, *expert_sets)
        return run if held == run.held_as else run.replace(held_as=held)

    def of_experts(self, expert_set: ExpertSet) -> ExpertSet:
        """A set of experts with its former id if the storage holds that."""
        held = self._held(expert_set)
        return expert_set if held == expert_set.held_as else expert_set.replace(held_as=held)

    def _held(self, *records: Stored) -> tuple[str, ...]:
        former = (each.former_id for each in records if each.former_id != each.content_id)
        return tuple(dict.fromkeys(each for each in former if each in self._there))
