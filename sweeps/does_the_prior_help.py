"""Whether a prior helps: pixels against latents of three generators, on four networks that did not distil.

Question. Do images distilled into latents of a trained generator train unseen networks better than images distilled as
pixels do, and is it the training of the generator that does it?

Measure. Mean test accuracy of AlexNet, VGG11, ResNet18 and ViT, each trained once for 400 epochs with hard labels on
one image per class, tested on all 10,000 test images of Fashion-MNIST. Five distillation seeds. Of each setting the
difference from pixels of the same algorithm and seed; its mean and the 95 % interval of Student's t over the seeds.

Settings. Pixels, and two layers of each generator (random weights, the autoencoder's, the bundled one), with layers and
learning rates by `sweeps/search_prior.py`, which tried nine settings of pixels and nine of each generator on held-out
training images with another seed.

Decision, written down before this ran. A generator helps an algorithm if the interval of its first layer, the one that
the search ranked higher, lies above 0; it harms if the interval lies below 0; else it is undecided. The second layer is
shown and decides nothing. Training the generator is what helps if the bundled one's first layer is above that of random
weights in the same sense.

    apt-get install dataset-fashion-mnist   # of Debian
    glad-ray sweep sweeps/does_the_prior_help.py
    python benchmarks/prior.py compare runs/does-the-prior-help
"""

import json
from typing import Any

import search_prior

import glad_ray
from glad_ray import RandomReal, Run, Sweep

SEEDS = range(1, 6)
"""the search had seed 0"""
CHOSEN: list[dict[str, Any]] = json.loads((search_prior.CONTROLS / "chosen.json").read_text())
"""written by `python benchmarks/prior.py choose STORAGE` from what the search found, the better layer first"""


def setting(chosen: dict[str, Any]) -> dict[str, Any]:
    """What a run takes from what was chosen."""
    algorithm, rate = search_prior.ALGORITHMS[chosen["algorithm"]], chosen["learning_rate"]
    if chosen["generator"] is None:
        rates = {"pixels": rate}
        where = {"space": "pixel"}
    else:
        rates = {"f": rate, "w": rate * search_prior.W_OF_F}
        file, init = search_prior.GENERATORS[chosen["generator"]]
        where = {"generator": file, "space": chosen["space"], "init": init}
    return {"algorithm": algorithm.replace(learning_rates=algorithm.learning_rates.replace(**rates)), **where}


def runs(seed: int) -> list[Run]:
    """Random real images, and every setting."""
    baseline = search_prior.base(algorithm=RandomReal(), seed=seed)
    return [baseline, *(search_prior.base(seed=seed, **setting(chosen)) for chosen in CHOSEN)]


def sweep() -> Sweep:
    """Seed by seed, so that what there is of it can be compared at any time."""
    return Sweep(
        name="does-the-prior-help",
        description=__doc__ or "",
        runs=tuple(run for seed in SEEDS for run in runs(seed)),
        evaluations=search_prior.EVALUATION,
        first=tuple(f"seed={seed}" for seed in SEEDS),
    )


if __name__ == "__main__":
    glad_ray.main()
