"""A synthetic set scored by itself in this process: its networks one after another, and what is seen of that."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from glad_ray.engine.budget import Budget
from glad_ray.engine.computing import computing_with
from glad_ray.engine.jobs import Job, Key, Outcome, WorkClass
from glad_ray.engine.local_executor import LocalExecutor
from glad_ray.engine.scheduler import Policy, Scheduler
from glad_ray.engine.shares import ShareTable
from glad_ray.progress.events import Event, ImagesPrepared, NetworkFailed, Retried, SetTrained
from glad_ray.progress.faults import Fault
from glad_ray.progress.view import View
from glad_ray.results import Training
from glad_ray.score import Scoring
from glad_ray.spec import Evaluation, Network, Resources
from glad_ray.storage import Storage
from glad_ray.synthetic_set import SyntheticSet


def score_in_process(
    synthetic: SyntheticSet, evaluation: Evaluation, where: str, *, device: str, view: View
) -> Mapping[Network, Fault]:
    """Train every network of an evaluation on a synthetic set, as far as that was not done before, and keep each
    training in the storage `where`.

    Returns what went wrong, by network: one that fails leaves the others. Raises `UserError` before the first training,
    and before anything is written, if something is not as the evaluation asks for.
    """

    def prepared(done: int, total: int) -> None:
        view.show(ImagesPrepared("real images", done, total))

    scoring = Scoring.prepare(synthetic, evaluation, on_prepared=prepared)
    storage = Storage.open(where)
    storage.write_bytes(storage.scored_set_path(scoring.set_id), synthetic.run.encode())
    for network in evaluation.networks:
        kept, wrong = scoring.kept(network, storage)
        if wrong is not None:
            view.show(Retried(network.title, wrong))
        for training in kept.values():
            view.show(SetTrained(network, training, earlier=True))

    def train(job: ScoringJob, on_event: Callable[[Event], bool]) -> Outcome:
        def trained(training: Training) -> None:
            on_event(SetTrained(job.network, training))

        try:
            with computing_with(None, device):
                scoring.train(job.network, storage, device=device, on_training=trained)
        except Exception as error:
            return Outcome(fault=Fault.of(error))
        return Outcome()

    policy, resources = ScoringPolicy(evaluation.networks, view), Resources()
    Scheduler(LocalExecutor(train), policy, ShareTable(resources), Budget(resources), view).run()
    return policy.faults


@dataclass(frozen=True)
class ScoringJob(Job):
    """The trainings of one network."""

    network: Network

    @property
    @override
    def label(self) -> str:
        return self.network.title

    @property
    @override
    def key(self) -> Key:
        return "scoring", self.network.key

    @property
    @override
    def work_class(self) -> WorkClass:
        return WorkClass("evaluation", self.network.name, self.label)


class ScoringPolicy(Policy):
    """Every network once; one that fails leaves the others."""

    def __init__(self, networks: Iterable[Network], view: View) -> None:
        self.faults: dict[Network, Fault] = {}
        self._networks, self._view = tuple(networks), view

    @override
    def first(self) -> Iterable[Job]:
        return map(ScoringJob, self._networks)

    @override
    def more(self, room: int) -> Iterable[Job]:
        return ()

    @override
    def succeeded(self, job: Any, value: Any) -> Iterable[Job]:
        return ()

    @override
    def failed(self, job: Any, fault: Fault, step: int | None) -> Iterable[Job]:
        self.faults[job.network] = fault
        self._view.show(NetworkFailed(job.network, fault.error))
        return ()

    @override
    def interrupted(self, job: Any) -> None:
        raise AssertionError("there is no budget")
