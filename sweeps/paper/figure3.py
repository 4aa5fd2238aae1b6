"""Figure 3: every layer of StyleGAN-XL at 128 pixels, for each algorithm, on ImageNet-A to E.

Claim: the best layer differs: f12 for MTT, f16 for DC, f20 for DM; late layers help the network that distilled, earlier
ones the unseen.

Expected: no number is printed; those of the three layers are Table 1's.

Cost, by `glad-ray plan`: 2,484 GPU hours at 20 TFLOP/s, 6.9 of them for experts, which take 20 GB.

    glad-ray plan sweeps/paper/figure3.py
    glad-ray sweep sweeps/paper/figure3.py
"""

import glad_ray
from glad_ray import Evaluation, Run, Sweep, grid
from glad_ray.paper import ALGORITHMS, FIVE, prior


def sweep() -> Sweep:
    """Every space of the prior."""
    return Sweep(
        name="figure3",
        description=__doc__ or "",
        runs=grid(
            Run(algorithm=ALGORITHMS["dc"], dataset="imagenet-a", resolution=128),
            dataset=FIVE,
            algorithm=ALGORITHMS.values(),
            where=[{"space": space, "generator": prior("imagenet", 128)} for space in prior("imagenet", 128).spaces],
        ),
        evaluations=Evaluation(),
    )


if __name__ == "__main__":
    glad_ray.main()
