"""Figure 9: DC at 512 pixels with StyleGAN-XL of ImageNet.

Claim: the prior makes high resolutions possible, where pixels give noise.

Expected: no number is printed; the figure shows images.

Cost, by `glad-ray plan`: 48 GPU hours at 20 TFLOP/s; no experts.

    glad-ray plan sweeps/paper/figure9.py
    glad-ray sweep sweeps/paper/figure9.py
"""

import glad_ray
from glad_ray import Evaluation, Sweep
from glad_ray.paper import FIVE, UNSEEN, pixels_and_latents


def sweep() -> Sweep:
    """Five datasets."""
    return Sweep(
        name="figure9",
        description=__doc__ or "",
        runs=pixels_and_latents(FIVE, ("dc",), resolution=512, images_per_class=1),
        evaluations=Evaluation(networks=UNSEEN),
    )


if __name__ == "__main__":
    glad_ray.main()
