"""Supplement, Table 4: every network on the whole of ImageNet-A to E at 128 pixels, the upper bound.

glad-ray plan sweeps/paper/supplement_table4.py
glad-ray sweep sweeps/paper/supplement_table4.py
"""

import glad_ray
from glad_ray import Evaluation, Run, Sweep, WholeDataset
from glad_ray.paper import FIVE


def sweep() -> Sweep:
    """Nothing is distilled."""
    return Sweep(
        name="supplement_table4",
        description=__doc__ or "",
        runs=tuple(Run(algorithm=WholeDataset(), dataset=dataset, resolution=128) for dataset in FIVE),
        evaluations=Evaluation(),
    )


if __name__ == "__main__":
    glad_ray.main()
