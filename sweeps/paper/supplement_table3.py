"""Supplement, Table 3, which prints Table 2 again: its runs on the network that distilled.

Claim: the prior still helps at ten images per class. The table does not say the network, in either place: this sweep is
to table2.py what supplement_table2.py is to table1.py.

Expected: accuracy on ImageNet-A, pixels and latents, in percent: DC 52.3 and 53.1, DM 52.6 and 52.8.

Cost, by `glad-ray plan`: 817 GPU hours at 20 TFLOP/s; no experts. With `--storage runs/table2`, where table2.py has
run, nothing is distilled again.

    glad-ray plan sweeps/paper/supplement_table3.py
    glad-ray sweep sweeps/paper/supplement_table3.py
"""

import glad_ray
from glad_ray import Evaluation, Sweep
from glad_ray.paper import table2_runs


def sweep() -> Sweep:
    """The runs of table2.py, evaluated on the ConvNet."""
    return Sweep(
        name="supplement_table3",
        description=__doc__ or "",
        runs=table2_runs(),
        evaluations=Evaluation(networks=("convnet",)),
    )


if __name__ == "__main__":
    glad_ray.main()
