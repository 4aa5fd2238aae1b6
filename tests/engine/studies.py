"""A search whose rung evaluations are made up, and how a test goes through its study."""

from glad_ray.engine.search.study import Study
from glad_ray.results import Look, write_look
from glad_ray.spec import (
    DM,
    Evaluation,
    FloatRange,
    Layers,
    Network,
    Rung,
    Search,
)
from tests.engine import tiny

BASE = tiny.BASE.replace(algorithm=DM(iterations=9), space="f2", generator=tiny.GENERATOR, init=None)
EVALUATION = Evaluation(networks=(Network(), Network(name="vgg11"), Network(name="vit")), repeats=2, epochs=50)
RUNGS = (Rung(share=1 / 9, epochs=5), Rung(share=1 / 3, epochs=5), Rung(share=1, epochs=5, networks=2))
RATE = "algorithm.learning_rates.f"
SEARCH = Search(
    name="s",
    base=BASE,
    vary={"space": Layers(), RATE: FloatRange(low=0.1, high=10, log=True)},
    trials=12,
    rungs=RUNGS,
    evaluation=EVALUATION,
    finalists=3,
    controls=2,
)


def opened(search, storage, where=None, alone=False, told=None):
    return Study(search, storage, where, alone, (told if told is not None else []).append)


def accuracy(stop):
    """The deeper layer is better, and of each the rate near 1; pixels are worst."""
    run = stop.run
    return 0.1 + 0.1 * (run.layer or 0) + 0.01 / (1 + abs(run.algorithm.learning_rates.f - 1)) + 0.001 * stop.step


def evaluations_of(stop):
    return {
        network.key: Look(accuracies=(accuracy(stop),) * stop.evaluation.repeats, seconds=1.0)
        for network in stop.evaluation.networks
    }


def keep(storage, stop):
    """As the task of a rung evaluation does, before anybody is told."""
    for key, evaluation in evaluations_of(stop).items():
        write_look(storage, storage.look_path(stop.run.run_id, stop.step, stop.evaluation.content_id, key), evaluation)


def finish(study):
    """Evaluate all that it wants; returns that."""
    stops = []
    while (stop := study.next()) is not None:
        stops.append(stop)
        keep(study.storage, stop)
        study.seen(stop, evaluations_of(stop))
    assert study.finished
    return stops


def rungs(stops, rung):
    return [stop for stop in stops if stop.rung == rung]
