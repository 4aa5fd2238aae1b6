"""Table 4: DC at 256 pixels with priors of ImageNet, FFHQ and Pokemon, and a random one.

Claim: even a generator of other data, or of none, generalises better than pixels, about as well as ImageNet's. The
table does not say the layer: f16, as at 128 pixels.

Expected: mean accuracy of the four unseen networks on ImageNet-B, in percent: pixels 32.8, ImageNet 41.5, random 40.3,
Pokemon 39.4, FFHQ 40.2.

Cost, by `glad-ray plan`: 36 GPU hours at 20 TFLOP/s; no experts.

    glad-ray plan sweeps/paper/table4.py
    glad-ray sweep sweeps/paper/table4.py
"""

import glad_ray
from glad_ray import DC, Evaluation, Run, Sweep, grid
from glad_ray.paper import FIVE, FOUR_PRIORS, UNSEEN


def sweep() -> Sweep:
    """Five datasets, pixels and four priors."""
    return Sweep(
        name="table4",
        description=__doc__ or "",
        runs=grid(
            Run(algorithm=DC(), dataset="imagenet-a", resolution=256),
            dataset=FIVE,
            where=[
                {"space": "pixel"},
                *({"space": "f16", "generator": each} for each in FOUR_PRIORS),
            ],
        ),
        evaluations=Evaluation(networks=UNSEEN),
    )


if __name__ == "__main__":
    glad_ray.main()
