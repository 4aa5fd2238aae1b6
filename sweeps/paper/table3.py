"""Table 3: CIFAR-10 at one image per class, by unseen network; pixels, StyleGAN-XL of CIFAR-10, and a random one.

Claim: the prior helps at low resolution, and much of its help is there without training. The table does not say images
per class and layer: one, as in Table 1, and f2 (Figure 5 shows it for MTT).

Expected: mean accuracy of the four unseen networks, of pixels, the trained prior and the random one, in percent: MTT
24.1, 28.0 and 27.1; DC 26.0, 26.3 and 26.6; DM 22.6, 23.8 and 22.8.

Cost, by `glad-ray plan`: 5.1 GPU hours at 20 TFLOP/s, 0.3 of them for experts, which take 2.0 GB.

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
