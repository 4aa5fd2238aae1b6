"""Supplement, Table 2: the runs of Table 1 on the network that distilled.

Claim: what the prior costs on the backbone is small, and often nothing.

Expected: accuracy of the ConvNet on ImageNet-A, pixels and latents, in percent: MTT 51.7 and 50.7, DC 43.2 and 44.1, DM
39.4 and 41.0.

Cost, by `glad-ray plan`: 175 GPU hours at 20 TFLOP/s, 14 of them for experts, which take 39 GB. With
`--storage runs/table1`, where table1.py has run, nothing is distilled again.

    glad-ray plan sweeps/paper/supplement_table2.py
    glad-ray sweep sweeps/paper/supplement_table2.py
"""

import glad_ray
from glad_ray import Evaluation, Sweep
from glad_ray.paper import table1_runs


def sweep() -> Sweep:
    """The runs of table1.py, evaluated on the ConvNet."""
    return Sweep(
        name="supplement_table2",
        description=__doc__ or "",
        runs=table1_runs(),
        evaluations=Evaluation(networks=("convnet",)),
    )


if __name__ == "__main__":
    glad_ray.main()
