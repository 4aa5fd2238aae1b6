"""Table 3: CIFAR-10 at one image per class, by unseen network; pixels, StyleGAN-XL of CIFAR-10, and a random one.

Claim: the prior helps at low resolution, and much of its help is there without training. The table does not say images
per class and layer: one, and f2 (Figure 5 shows it for MTT).

    glad-ray plan sweeps/paper/table3.py
    glad-ray sweep sweeps/paper/table3.py
"""

import glad_ray
from glad_ray import Evaluation, Run, Sweep, grid
from glad_ray.paper import ALGORITHMS, RANDOM_32, UNSEEN, prior


def sweep() -> Sweep:
    """Three algorithms, three parameterisations."""
    return Sweep(
        name="table3",
        description=__doc__ or "",
        runs=grid(
            Run(algorithm=ALGORITHMS["dc"], dataset="cifar10"),
            algorithm=ALGORITHMS.values(),
            where=[
                {"space": "pixel"},
                {"space": "f2", "generator": prior("cifar10", 32)},
                {"space": "f2", "generator": RANDOM_32},
            ],
        ),
        evaluations=Evaluation(networks=UNSEEN),
    )


if __name__ == "__main__":
    glad_ray.main()
