"""A view of a sweep whose events go to trackers too."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self, final

from typing_extensions import override

from glad_ray.progress.events import Event
from glad_ray.progress.view import View
from glad_ray.spec import Evaluation, Resources
from glad_ray.spec.trackers import parse_tracker
from glad_ray.storage import Storage
from glad_ray.trackers.make import make_tracker, with_place
from glad_ray.trackers.sender import END_SECONDS, Sender

_NAMED_RUNS = 3


def tracked(
    view: View,
    sweep: str,
    evaluations: Sequence[Evaluation],
    resources: Resources,
    storage: Storage,
    tell: Callable[[str], None],
) -> View:
    """A view that also tells the trackers that `resources` names of a sweep or search; `tell` says at the end what they
    did not get. `evaluations` are those of every run, none of a search.

    Raises `UserError` if a tracker has no place to write to.
    """
    places = [with_place(parse_tracker(text), storage) for text in dict.fromkeys(resources.trackers)]
    if not places:
        return view
    senders = [Sender(each, partial(make_tracker, each, sweep), sweep, evaluations, storage) for each in places]
    return TrackedView(view, senders, tell, END_SECONDS)


@final
class TrackedView(View):
    """Shows what another view shows, and offers it to the senders of trackers; at the end it waits for all of them
    together for at most `end_seconds`.
    """

    def __init__(self, view: View, senders: Sequence[Sender], tell: Callable[[str], None], end_seconds: float) -> None:
        self._view, self._senders, self._tell, self._end_seconds = view, senders, tell, end_seconds

    @override
    def show(self, event: Event) -> None:
        self._view.show(event)
        for sender in self._senders:
            sender.offer(event)
            if (failure := sender.failure()) is not None:
                self._view.show(failure)

    @override
    def __enter__(self) -> Self:
        self._view.__enter__()
        for sender in self._senders:
            sender.start()
        return self

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._view.__exit__(kind, error, trace)
        for sender in self._senders:
            sender.end()
        ends = time.monotonic() + self._end_seconds
        for sender in self._senders:
            sender.join(max(0.0, ends - time.monotonic()))
        for sender in self._senders:
            if sender.missing or sender.is_alive():
                self._tell(_left_out(sender, self._end_seconds))


def _left_out(sender: Sender, waited_seconds: float) -> str:
    """What a tracker did not get, and why where that has not been said yet."""
    runs, failure = sender.missing, sender.failure()
    named = ", ".join(runs[:_NAMED_RUNS]) + (", ..." if len(runs) > _NAMED_RUNS else "")
    of_runs = f" of {len(runs)} runs ({named})" if runs else ""
    late = f" within the {waited_seconds:g} seconds that are waited for it" if sender.is_alive() else ""
    why = f": {failure.why}" if failure is not None else ""
    return f"{sender.title} did not take everything{of_runs}{late}{why}. The same command again sends what is missing."
