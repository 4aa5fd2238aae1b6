"""Supplement, Table 4: every network on the whole of ImageNet-A to E at 128 pixels.

Claim: none; it is the upper bound of the other tables.

Expected: accuracy on ImageNet-A in percent: ConvNet 90.6, ResNet18 78.8, VGG11 78.4, AlexNet 81.0, ViT 77.5.

Cost, by `glad-ray plan`: 14 GPU hours at 20 TFLOP/s; no experts.

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
