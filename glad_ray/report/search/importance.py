"""How much each parameter matters for accuracy at the first rung: permutation importance (Breiman, 2001).

A random forest is fitted to accuracies by parameters. A parameter matters as much as the forest goes wrong, on trials
it was not fitted to, once that parameter's values are shuffled among trials.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from glad_ray.report.search.parameters import Parameter
from glad_ray.results import SearchTrial

FEWEST = 10
_FOLDS, _SHUFFLES, _TREES = 5, 20, 100
# Values lie in [0, 1]; a trial without a parameter has one that no other has.
_ABSENT = -1.0


@dataclass(frozen=True, kw_only=True)
class Importance:
    """What a forest tells of parameters; errors are mean absolute ones of accuracies, in [0, 1]."""

    trials: int
    error: float
    """of the forest, on trials that it was not fitted to"""
    guess_error: float
    """of the mean of the trials that it was fitted to"""
    parameters: tuple[tuple[Parameter, float, float], ...]
    """by how much the error grows, and the deviation over shuffles; the most important first"""

    @property
    def tells(self) -> bool:
        """Whether the forest foretells anything."""
        return self.error < self.guess_error


def importance(trials: Sequence[SearchTrial], parameters: Sequence[Parameter]) -> Importance | None:
    """Of the trials that were evaluated; None of fewer than `FEWEST`, or where accuracy or parameters do not vary."""
    seen = [trial for trial in trials if trial.rung_accuracies]
    accuracies = np.array([trial.rung_accuracies[0] for trial in seen])
    values = np.array([[_value(each, trial) for each in parameters] for trial in seen])
    if len(seen) < FEWEST or np.ptp(accuracies) == 0 or not np.ptp(values, axis=0).any():
        return None
    rng = np.random.default_rng(0)
    # Parameters x shuffles x trials x parameters, the unshuffled ones first.
    shuffled = np.broadcast_to(values, (len(parameters), 1 + _SHUFFLES, *values.shape)).copy()
    for number in range(len(parameters)):
        for shuffle in range(1, 1 + _SHUFFLES):
            shuffled[number, shuffle, :, number] = rng.permutation(values[:, number])
    foretold, guessed = _foretold(values, accuracies, shuffled)
    errors = np.abs(foretold - accuracies).mean(axis=-1)
    growth = errors[:, 1:] - errors[:, :1]
    found = zip(parameters, growth.mean(axis=1).tolist(), growth.std(axis=1).tolist(), strict=True)
    return Importance(
        trials=len(seen),
        error=float(errors[0, 0]),
        guess_error=float(np.abs(guessed - accuracies).mean()),
        parameters=tuple(sorted(found, key=lambda each: -each[1])),
    )


def _value(parameter: Parameter, trial: SearchTrial) -> float:
    place = parameter.place(trial)
    return _ABSENT if place is None else place


def _foretold(
    values: Float[np.ndarray, "n p"], accuracies: Float[np.ndarray, " n"], shuffled: Float[np.ndarray, "p s n p"]
) -> tuple[Float[np.ndarray, "p s n"], Float[np.ndarray, " n"]]:
    """Of every trial its accuracy by a forest fitted to others, for each shuffle; and the mean of those others."""
    # Imported late, for scikit-learn takes seconds to load.
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.model_selection import KFold

    foretold, guessed = np.empty(shuffled.shape[:-1]), np.empty_like(accuracies)
    for fitted, others in KFold(_FOLDS, shuffle=True, random_state=0).split(values):
        forest = RandomForestRegressor(_TREES, random_state=0).fit(values[fitted], accuracies[fitted])
        asked = shuffled[:, :, others]
        foretold[:, :, others] = forest.predict(asked.reshape(-1, asked.shape[-1])).reshape(asked.shape[:-1])
        guessed[others] = accuracies[fitted].mean()
    return foretold, guessed
