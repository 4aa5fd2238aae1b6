"""Figures 6 and 7: DC at 256 pixels from Gaussian F, with four priors.

Claim: latents drawn with the mean and deviation of a layer's features serve as a start where the prior does not know
the classes, or was never trained.

Expected: no number is printed; Table 4 has accuracies of the four priors.

Cost, by `glad-ray plan`: 31 GPU hours at 20 TFLOP/s; no experts.

    glad-ray plan sweeps/paper/figures6_and_7.py
    glad-ray sweep sweeps/paper/figures6_and_7.py
"""

import glad_ray
from glad_ray import DC, Evaluation, Run, Sweep, grid
from glad_ray.paper import FIVE, FOUR_PRIORS, UNSEEN


def sweep() -> Sweep:
    """Five datasets, four priors."""
    return Sweep(
        name="figures6_and_7",
        description=__doc__ or "",
        runs=grid(
            Run(
                algorithm=DC(),
                dataset="imagenet-a",
                resolution=256,
                space="f16",
                generator=FOUR_PRIORS[0],
                init="gaussian",
            ),
            dataset=FIVE,
            generator=FOUR_PRIORS,
        ),
        evaluations=Evaluation(networks=UNSEEN),
    )


if __name__ == "__main__":
    glad_ray.main()
