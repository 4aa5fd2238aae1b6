"""Table 2, which is the supplement's Table 3: ten images per class at 128 pixels, ImageNet-A to E, DC and DM.

Claim: the prior still helps at ten images per class.

    glad-ray plan sweeps/paper/table2.py
    glad-ray sweep sweeps/paper/table2.py
"""

import glad_ray
from glad_ray import Evaluation, Sweep
from glad_ray.paper import FIVE, UNSEEN, pixels_and_latents


def sweep() -> Sweep:
    """Twenty distillations."""
    return Sweep(
        name="table2",
        description=__doc__ or "",
        runs=pixels_and_latents(FIVE, ("dc", "dm"), resolution=128, images_per_class=10),
        evaluations=Evaluation(networks=UNSEEN),
    )


if __name__ == "__main__":
    glad_ray.main()
