"""The ways of choosing the step whose synthetic set counts. They are never mixed.

The paper's own protocol, the best over evaluations on the test set (section 4.1), is one of them, under a name that
says so.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from glad_ray.results.records import Training
from glad_ray.spec.sweep import Selection


def evaluated_steps(steps: tuple[int, ...], looked: int | None) -> tuple[int, ...]:
    """Those of a run's kept steps evaluated in full, ascending: all, or the one that looks chose and the last."""
    return steps if looked is None else tuple(sorted({looked, max(steps)}))


def select(
    trainings: Mapping[str, Sequence[Training]], backbone_key: str, steps: Sequence[int], looked: int | None = None
) -> dict[Selection, dict[str, int]]:
    """The step that each selection takes, per network; of equally good steps the later one.

    `trainings` are per network key, each with every step of `steps`. `held-out` is there only if the backbone is among
    the networks and has held-out accuracies. Where short looks chose a step, `looked`, that is the one choice beside
    the last step: the others were not evaluated.
    """
    chosen: dict[Selection, dict[str, int]] = {"last": dict.fromkeys(trainings, max(steps))}
    if looked is not None:
        return chosen | {"looks": dict.fromkeys(trainings, looked)}
    backbone = trainings.get(backbone_key, ())
    if backbone and all(training.held_out_accuracy is not None for training in backbone):
        best = _best_step(backbone, steps, lambda training: training.held_out_accuracy or 0.0)
        chosen["held-out"] = dict.fromkeys(trainings, best)
    chosen["best-on-test"] = {
        key: _best_step(of_network, steps, lambda training: training.accuracy) for key, of_network in trainings.items()
    }
    return chosen


def _best_step(trainings: Sequence[Training], steps: Sequence[int], score: Callable[[Training], float]) -> int:
    def mean_score(step: int) -> float:
        scores = [score(training) for training in trainings if training.step == step]
        return math.fsum(scores) / len(scores)

    return max(steps, key=lambda step: (mean_score(step), step))
