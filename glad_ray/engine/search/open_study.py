"""The study of a search, opened: made with its first trials, or found to be the same search's."""

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Literal

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from glad_ray.engine.search.samplers import pruner_for
from glad_ray.engine.search.study_storage import open_study_storage
from glad_ray.errors import UserError
from glad_ray.spec.search_space import Label, first_points, grid_points
from glad_ray.spec.searches.search import Grid, Objective, Search
from glad_ray.storage import Storage

_DIRECTIONS: Mapping[Objective, Literal["maximize", "minimize"]] = {
    "accuracy": "maximize",
    "seconds": "minimize",
    "bytes": "minimize",
}
_SEARCH = "search"
"""attribute of a study: what it searches"""
# A study goes on with other budgets, not with other runs or another measure of them.
_LASTING = ("base", "vary", "objectives", "rungs", "evaluation")


def open_study(search: Search, storage: Storage, where: str | None) -> tuple[optuna.Study, BaseStorage]:
    """The study of a search at `where`, with its first trials in the queue, and where Optuna keeps it; raises
    `UserError` if it cannot be opened, or is another search's.
    """
    kept_in, pruner = open_study_storage(storage, where, search.name), pruner_for(search)
    if search.name in optuna.get_all_study_names(kept_in):
        # Only read: it may be another program's.
        study = optuna.load_study(study_name=search.name, storage=kept_in, pruner=pruner)
    else:
        directions = [_DIRECTIONS[objective] for objective in search.objectives]
        study = optuna.create_study(
            study_name=search.name, storage=kept_in, directions=directions, pruner=pruner, load_if_exists=True
        )
    content = search.model_dump(mode="json", include=set(_LASTING))
    # Before the attribute is asked for: a driver that opens it just now sets that before it begins a trial.
    begun = any(trial.state != TrialState.WAITING for trial in study.get_trials(deepcopy=False))
    kept = study.user_attrs.get(_SEARCH)
    if kept is None and begun:
        raise UserError(
            f"The study {search.name} was made by another program: name another file or database with --study, or give "
            "the search another name."
        )
    if kept is None:
        points: Iterable[Mapping[str, Label]] = first_points(search)
        if isinstance(search.sampler, Grid):
            points = islice(grid_points(search, search.sampler.points), search.trials)
        for point in points:
            study.enqueue_trial(dict(point), skip_if_exists=True)
        # Last: whoever finds a study without it does all of this again.
        study.set_user_attr(_SEARCH, json.dumps(content, sort_keys=True))
    elif wrong := _changed(search, json.loads(kept)):
        raise UserError(
            f"The study {search.name} was made for another search ({', '.join(wrong)} differ): name another storage or "
            "study, give the search another name, or take the change back."
        )
    return study, kept_in


def _changed(search: Search, kept: Mapping[str, Any]) -> list[str]:
    """Which lasting parts of a search decide otherwise than those that its study was made for."""
    content = search.model_dump(mode="json", include=set(_LASTING))
    now, then = search.identity, search.replace(**kept).identity
    return [name for name in _LASTING if kept[name] != content[name] and now[name] != then[name]]
