"""Table 1: one image per class at 128 pixels, ten subsets of ImageNet, MTT, DC and DM with and without the prior.

Claim: latents of StyleGAN-XL generalise better to unseen networks than pixels do, for every algorithm.

Expected: mean accuracy of the four unseen networks on ImageNet-A, pixels and latents, in percent: MTT 33.4 and 39.9
(f12), DC 38.7 and 41.8 (f16), DM 27.2 and 31.6 (f20).

Cost, by `glad-ray plan`: 179 GPU hours at 20 TFLOP/s, 14 of them for experts, which take 39 GB.

    glad-ray plan sweeps/paper/table1.py
    glad-ray sweep sweeps/paper/table1.py
"""

import glad_ray
from glad_ray import Evaluation, Sweep
from glad_ray.paper import UNSEEN, table1_runs


def sweep() -> Sweep:
    """Sixty distillations."""
    return Sweep(
        name="table1",
        description=__doc__ or "",
        runs=table1_runs(),
        evaluations=Evaluation(networks=UNSEEN),
    )


if __name__ == "__main__":
    glad_ray.main()
