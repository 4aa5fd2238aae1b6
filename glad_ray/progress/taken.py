"""Looks that lie on storage, as events that a view would have been told."""

from collections.abc import Iterator

from glad_ray.progress.events import LookTaken
from glad_ray.results import read_looks
from glad_ray.spec import Evaluation, Run
from glad_ray.storage import Storage


def looks_taken(storage: Storage, run: Run, evaluation: Evaluation) -> Iterator[LookTaken]:
    """Every training of the looks at a run that was made."""
    looking = evaluation.looking(run)
    if looking is None:
        return
    networks = {network.key: network for network in looking.networks}
    for (step, key), look in read_looks(storage, run, looking).items():
        for repeat in range(len(look.accuracies)):
            seconds = look.seconds / len(look.accuracies)
            yield LookTaken(run, looking.content_id, networks[key], step, repeat, seconds)
