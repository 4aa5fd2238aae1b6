"""Optuna's samplers and pruners by what a search says of them, and what is asked of them."""

import copy
import random
from typing import Any

import optuna
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial, Trial

from glad_ray.spec.search_space import Ask, Parameter
from glad_ray.spec.searches.search import CMAES, GP, TPE, Choice, Halving, Hyperband, IntRange, Median, Search


def sampler_for(search: Search, number: int, parameter: str | None, by_chance: bool) -> optuna.samplers.BaseSampler:
    """The sampler for what is drawn at once for a trial, or for one parameter; another one draws by chance."""
    seed = random.Random(f"{search.seed} {number} {parameter}").getrandbits(31)
    chance = optuna.samplers.RandomSampler(seed=seed)
    match None if by_chance else search.sampler:
        case TPE(startup=startup):
            return optuna.samplers.TPESampler(
                n_startup_trials=startup, multivariate=True, group=True, constant_liar=True, seed=seed
            )
        case GP(startup=startup):
            return optuna.samplers.GPSampler(
                n_startup_trials=startup, seed=seed, independent_sampler=chance, warn_independent_sampling=False
            )
        case CMAES(startup=startup):
            return optuna.samplers.CmaEsSampler(
                n_startup_trials=startup,
                seed=seed,
                independent_sampler=chance,
                warn_independent_sampling=False,
                consider_pruned_trials=True,
            )
        case _:
            return chance


def pruner_for(search: Search) -> optuna.pruners.BasePruner:
    """What decides who goes on, of values reported by `keep` to the power of the rung, or by the rung and one."""
    match search.stopping:
        case Halving(keep=keep):
            return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=keep)
        case Hyperband(keep=keep):
            most = keep ** (len(search.evaluated_rungs) - 1)
            return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=most, reduction_factor=keep)
        case Median(startup=startup):
            return optuna.pruners.MedianPruner(n_startup_trials=startup)
        case _:
            return optuna.pruners.NopPruner()


def open_trial(study: optuna.Study, kept_in: BaseStorage, number: int) -> Trial:
    """A trial that can be asked and told something, of a study in some storage of Optuna's."""
    study_id = kept_in.get_study_id_from_name(study.study_name)
    return Trial(study, kept_in.get_trial_id_from_study_id_trial_number(study_id, number))


def draw(trial: Trial, parameter: Parameter) -> Any:
    """Optuna's value for a parameter."""
    range_ = parameter.range
    if isinstance(range_, Choice):
        return parameter.labels[trial.suggest_categorical(parameter.name, list(parameter.labels))]
    if isinstance(range_, IntRange):
        return trial.suggest_int(parameter.name, range_.low, range_.high, log=range_.log)
    return trial.suggest_float(parameter.name, range_.low, range_.high, log=range_.log)


def drawn_before(trial: FrozenTrial) -> Ask:
    """What a trial has drawn; raises `KeyError` for what it has not."""

    def ask(parameter: Parameter) -> Any:
        label = trial.params[parameter.name]
        return parameter.labels[label] if isinstance(parameter.range, Choice) else label

    return ask


def prunes_again(study: optuna.Study, frozen: FrozenTrial) -> bool:
    """What the pruner says of a trial's last rung, asked as if for the first time: Optuna's lets go on what it was
    asked of before.
    """
    kept_in = InMemoryStorage()
    unasked = optuna.create_study(
        study_name=study.study_name, storage=kept_in, directions=study.directions, pruner=study.pruner
    )
    for trial in study.get_trials(deepcopy=False):
        copied = copy.copy(trial)
        if trial.number == frozen.number:
            copied.system_attrs, copied.intermediate_values = {}, {}
        unasked.add_trial(copied)
    again = open_trial(unasked, kept_in, frozen.number)
    prunes = False
    for step, value in sorted(frozen.intermediate_values.items()):
        again.report(value, step)
        prunes = again.should_prune()
    return prunes
