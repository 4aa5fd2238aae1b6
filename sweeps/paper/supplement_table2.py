"""Supplement, Table 2: the runs of Table 1 on the network that distilled.

Claim: what the prior costs on the backbone is small, and often nothing.

    glad-ray plan sweeps/paper/supplement_table2.py
    glad-ray sweep sweeps/paper/supplement_table2.py
"""

import glad_ray
from glad_ray import Evaluation, Sweep
from glad_ray.paper import ALGORITHMS, TEN, pixels_and_latents


def sweep() -> Sweep:
    """The runs of table1.py, evaluated on the ConvNet."""
    return Sweep(
        name="supplement_table2",
        description=__doc__ or "",
        runs=pixels_and_latents(TEN, ALGORITHMS, resolution=128, images_per_class=1),
        evaluations=Evaluation(networks=("convnet",)),
    )


if __name__ == "__main__":
    glad_ray.main()
