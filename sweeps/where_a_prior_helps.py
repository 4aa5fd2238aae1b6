"""Where a prior helps, and where it does not: one condition of `does_the_prior_help.py` changed at a time.

That sweep compares at 60 to 80 steps, with one image per class, latents that begin at real images, and networks that
are small. Here, with the layers and learning rates that were chosen for it and two of its seeds, in pixels and in the
first layers of the autoencoder and of the bundled generator:

- four times as many steps: pixels may fit the network that distils better and better, and others worse;
- ten images per class (one seed): there is more to say than one typical image of each;
- latents that begin at samples of the generator, in place of real images.

What counts is the mean of the networks that did not distil, as there. Two seeds show large differences and decide no
small ones. DM and MTT in the bundled generator were ahead of pixels with both when they began at samples; so these have
the three other seeds of that sweep too, which were not looked at before.

    apt-get install dataset-fashion-mnist   # of Debian
    glad-ray sweep sweeps/where_a_prior_helps.py
    python benchmarks/prior.py compare runs/does-the-prior-help runs/where-a-prior-helps
"""

from collections.abc import Sequence
from typing import Any

import does_the_prior_help
import search_prior

import glad_ray
from glad_ray import RandomReal, Run, Sweep

SEEDS = (1, 2)
OTHER_SEEDS = (3, 4, 5)
TIMES_THE_STEPS = 4
COMPARED = (None, "autoencoder", "bundled")


def first_choices(*algorithms: str, compared: Sequence[str | None] = COMPARED) -> list[dict[str, Any]]:
    """The first layer of what is compared, for some algorithms."""
    chosen: dict[tuple[str, str | None], dict[str, Any]] = {}
    for each in does_the_prior_help.CHOSEN:
        if each["algorithm"] in algorithms and each["generator"] in compared:
            chosen.setdefault((each["algorithm"], each["generator"]), does_the_prior_help.setting(each))
    return list(chosen.values())


def runs(seed: int) -> list[Run]:
    """All conditions."""
    base = search_prior.base(algorithm=RandomReal(), seed=seed)
    longer = [
        base.replace(**setting | {"algorithm": algorithm.replace(iterations=TIMES_THE_STEPS * algorithm.iterations)})
        for setting in first_choices("dc", "dm")
        for algorithm in (setting["algorithm"],)
    ]
    more = [base.replace(images_per_class=10, **setting) for setting in first_choices("dm") if seed == SEEDS[0]]
    return [*longer, *more, *sampled(seed, "dc", "dm", "mtt")]


def sampled(seed: int, *algorithms: str, compared: Sequence[str | None] = COMPARED) -> list[Run]:
    """Latents that begin at samples."""
    base = search_prior.base(algorithm=RandomReal(), seed=seed)
    chosen = [setting for setting in first_choices(*algorithms, compared=compared) if "generator" in setting]
    return [base.replace(**setting | {"init": "sampled"}) for setting in chosen]


def sweep() -> Sweep:
    """Seed by seed."""
    return does_the_prior_help.sweep().replace(
        name="where-a-prior-helps",
        description=__doc__ or "",
        runs=(
            *(run for seed in SEEDS for run in runs(seed)),
            *(run for seed in OTHER_SEEDS for run in sampled(seed, "dm", "mtt", compared=["bundled"])),
        ),
        first=tuple(f"seed={seed}" for seed in SEEDS),
    )


if __name__ == "__main__":
    glad_ray.main()
