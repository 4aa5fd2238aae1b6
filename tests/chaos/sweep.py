"""The sweep: runs of seconds, of every algorithm, in pixels and in a space of one generator, with experts to train."""

import os

from glad_ray.spec import DC, DM, MTT, Experts, Run, Sweep
from tests.engine import tiny

RUNS = "CHAOS_RUNS"
_SEEDS = 4
_DM, _DC = DM(iterations=100, real_batch_size=8), DC(iterations=25, real_batch_size=8)
_LATENT = {"space": "f3", "init": "sampled", "generator": tiny.GENERATOR}


def sweep(runs: int | None = None) -> Sweep:
    """So many runs; None: as many as the environment says."""
    runs = int(os.environ[RUNS]) if runs is None else runs
    every = [run for seed in range(_SEEDS) for run in _with_seed(seed)]
    return Sweep(name="chaos", runs=tuple(every[:runs]), evaluations=(tiny.EVALUATION,))


def _with_seed(seed: int) -> list[Run]:
    """Every second seed has experts of its own."""
    experts = Experts(count=2, epochs=4, batch_size=256, lr=0.01 if seed < _SEEDS // 2 else 0.02)
    base = tiny.BASE.replace(seed=seed, checkpoint_every=5)
    mtt = MTT(iterations=50, synthetic_steps=2, expert_epochs=1, experts=experts)
    return [
        base.replace(algorithm=_DM, **_LATENT),
        base.replace(algorithm=mtt),
        base.replace(algorithm=_DC, **_LATENT),
        base.replace(algorithm=_DM),
        base.replace(algorithm=mtt, **_LATENT),
        base.replace(algorithm=_DC),
    ]
