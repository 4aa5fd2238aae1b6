"""Table 1: one image per class at 128 pixels, ten subsets of ImageNet, MTT, DC and DM with and without the prior.

Claim: latents of StyleGAN-XL generalise better to unseen networks than pixels do, for every algorithm; mean accuracy of
the four unseen networks, for example MTT on ImageNet-A 33.4 (pixels) and 39.9 (F12).

    glad-ray plan sweeps/paper/table1.py
    glad-ray sweep sweeps/paper/table1.py
"""

import glad_ray
from glad_ray import Evaluation, Sweep
from glad_ray.paper import ALGORITHMS, TEN, UNSEEN, pixels_and_latents


def sweep() -> Sweep:
    """Sixty distillations."""
    return Sweep(
        name="table1",
        description=__doc__ or "",
        runs=pixels_and_latents(TEN, ALGORITHMS, resolution=128, images_per_class=1),
        evaluations=Evaluation(networks=UNSEEN),
    )


if __name__ == "__main__":
    glad_ray.main()
