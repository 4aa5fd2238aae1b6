"""Every kept set evaluated in full, and short looks that choose one: the same runs, both ways.

Question: do looks rank runs as the whole evaluation does, and come to the same accuracies, for how much of its work?
DC and DM in pixels and two latent spaces, twenty kept sets a run, scored by the backbone and two networks that did not
distil, twice each; the budget is that of the quickstart.

Shows: looks take 15 % of the seconds and come to accuracies that are 1.5 points apart on average, no more than two
trainings of one network on the same set are (docs/results/fewer_trainings.md).

Cost: 40 minutes in one process on one CPU core beside other work.

    glad-ray sweep sweeps/fewer_trainings.py
    python benchmarks/looks.py runs/fewer-trainings
"""

import quickstart

import glad_ray
from glad_ray import Looks, Network, Run, Sweep, grid

IN_FULL = quickstart.EVALUATION.replace(
    networks=(quickstart.BACKBONE, Network(name="vgg11", width=16), Network(name="vit", width=32))
)
LOOKING = IN_FULL.replace(looks=Looks(epochs=30, networks=1))


def sweep() -> Sweep:
    """The runs, with both evaluations."""
    base = Run(
        algorithm=quickstart.ALGORITHMS[0],
        resolution=32,
        backbone=quickstart.BACKBONE,
        held_out=40,
        snapshots=20,
        checkpoint_every=20,
    )
    spaces = [
        {"space": "pixel"},
        *({"space": f, "generator": quickstart.GENERATOR, "init": "real"} for f in ("f1", "f3")),
    ]
    return Sweep(
        name="fewer-trainings",
        description=__doc__ or "",
        runs=grid(base, algorithm=quickstart.ALGORITHMS[:2], where=spaces),
        evaluations=(IN_FULL, LOOKING),
    )


if __name__ == "__main__":
    glad_ray.main()
