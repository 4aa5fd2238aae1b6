"""Whether a prior helps networks with half as many channels: the sets of `where_a_prior_helps.py`, taught to those.

There, DM and MTT in the bundled generator are level with pixels where latents begin at its samples. The same runs, over
the same five seeds, beside pixels; the four networks that did not distil, and the one that did, have half the width.

Shows: level with pixels there too, DM by -0.4 ± 1.5 points, MTT by +1.3 ± 2.5 (docs/results/does_the_prior_help.md).

Cost: 33 minutes in one process beside other work.

    apt-get install dataset-fashion-mnist   # of Debian
    glad-ray sweep sweeps/prior_in_small_networks.py
    python benchmarks/prior.py compare runs/prior-in-small-networks
"""

import does_the_prior_help
import search_prior
import where_a_prior_helps

import glad_ray
from glad_ray import Network, RandomReal, Run, Sweep

ALGORITHMS = ("dm", "mtt")
EVALUATION = search_prior.EVALUATION.replace(
    networks=tuple(Network(name=network.name, width=network.width // 2) for network in search_prior.EVALUATION.networks)
)


def runs(seed: int) -> list[Run]:
    """Random real images, pixels, and latents that begin at samples."""
    base = search_prior.base(algorithm=RandomReal(), seed=seed)
    pixels = where_a_prior_helps.first_choices(*ALGORITHMS, compared=[None])
    return [
        base,
        *(base.replace(**setting) for setting in pixels),
        *where_a_prior_helps.sampled(seed, *ALGORITHMS, compared=["bundled"]),
    ]


def sweep() -> Sweep:
    """Seed by seed."""
    return does_the_prior_help.sweep().replace(
        name="prior-in-small-networks",
        description=__doc__ or "",
        runs=tuple(run for seed in does_the_prior_help.SEEDS for run in runs(seed)),
        evaluations=EVALUATION,
    )


if __name__ == "__main__":
    glad_ray.main()
