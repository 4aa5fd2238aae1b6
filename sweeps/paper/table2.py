"""Table 2, which is the supplement's Table 3: ten images per class at 128 pixels, ImageNet-A to E, DC and DM.

Claim: the prior still helps at ten images per class. The table does not say the network: this sweep scores the four
unseen ones, as Table 1 does, and supplement_table3.py the one that distilled.

Expected: accuracy on ImageNet-A, pixels and latents, in percent: DC 52.3 and 53.1, DM 52.6 and 52.8.

Cost, by `glad-ray plan`: 830 GPU hours at 20 TFLOP/s; no experts.

    glad-ray plan sweeps/paper/table2.py
    glad-ray sweep sweeps/paper/table2.py
"""

import glad_ray
from glad_ray import Evaluation, Sweep
from glad_ray.paper import UNSEEN, table2_runs


def sweep() -> Sweep:
    """Twenty distillations."""
    return Sweep(
        name="table2",
        description=__doc__ or "",
        runs=table2_runs(),
        evaluations=Evaluation(networks=UNSEEN),
    )


if __name__ == "__main__":
    glad_ray.main()
