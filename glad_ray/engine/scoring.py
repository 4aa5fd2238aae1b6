"""A synthetic set scored by itself in this process: its networks one after another, and what is seen of that."""

from collections.abc import Mapping
from functools import partial

from glad_ray.engine.process_state import restored
from glad_ray.engine.units import computing_with
from glad_ray.progress.events import ImagesPrepared, NetworkFailed, Retried, SetTrained
from glad_ray.progress.faults import Fault, attempt
from glad_ray.progress.view import View
from glad_ray.results import Training
from glad_ray.score import Scoring
from glad_ray.spec import Evaluation, Network
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

    with restored():
        scoring = Scoring.prepare(synthetic, evaluation, on_prepared=prepared)
    storage = Storage.open(where)
    storage.write_bytes(storage.scored_set_path(scoring.set_id), synthetic.run.encode())
    for network in evaluation.networks:
        kept, wrong = scoring.kept(network, storage)
        if wrong is not None:
            view.show(Retried(network.title, wrong))
        for training in kept.values():
            view.show(SetTrained(network, training, earlier=True))
    faults: dict[Network, Fault] = {}
    for network in evaluation.networks:
        if fault := _train(scoring, network, storage, device, view):
            faults[network] = fault
            view.show(NetworkFailed(network, fault.error))
    return faults


def _train(scoring: Scoring, network: Network, storage: Storage, device: str, view: View) -> Fault | None:
    def trained(training: Training) -> None:
        view.show(SetTrained(network, training))

    with computing_with(None, device):
        return attempt(
            partial(scoring.train, network, storage, device=device, on_training=trained),
            lambda error: view.show(Retried(network.title, error)),
        )
