"""Optuna's samplers and pruners by what a search says of them."""

import random

import optuna

from glad_ray.spec.search import CMAES, GP, TPE, Halving, Hyperband, Median, Search


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
            most = keep ** (len(search.looks) - 1)
            return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=most, reduction_factor=keep)
        case Median(startup=startup):
            return optuna.pruners.MedianPruner(n_startup_trials=startup)
        case _:
            return optuna.pruners.NopPruner()
