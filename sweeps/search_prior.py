"""Layers and learning rates for the question whether a prior helps: nine settings of pixels, nine of every generator.

For each of DC, DM and MTT: pixels with nine rates, and of each generator (random weights, the autoencoder's, the
bundled one) three layers with three rates each, all by the mean accuracy of the four networks that did not distil, on
held-out training images. No test image decides, and nothing wins by having been tried more often. All four, because
AlexNet and VGG11 hardly notice images that drifted far from real ones, from which a ViT learns nothing
(docs/results/does_the_prior_help.md).

    apt-get install dataset-fashion-mnist   # of Debian
    glad-ray search sweeps/search_prior.py
"""

from itertools import product
from pathlib import Path
from typing import Any

import quickstart

import glad_ray
from glad_ray import Choice, FloatRange, Run, Rung, Search

CONTROLS = Path(__file__).parent / "prior"
GENERATORS = {
    "random weights": (str(CONTROLS / "random-weights.json"), "sampled"),
    "autoencoder": (str(CONTROLS / "autoencoder.json"), "real"),
    "bundled": ("fashion-mnist-prior", "real"),
}
"""what `make prior` trained, the last of all stages and what it is compared with, each with where its latents begin: at
real images, as pixels do, where there is an encoder
"""
LAYERS = ("f1", "f3", "f5")
"""maps of 8, 16 and 32 pixels"""
ALGORITHMS = {algorithm.name: algorithm for algorithm in quickstart.ALGORITHMS}
# AlexNet and ViT learn from ten images in 400 epochs; in 130 they did from some sets and not from others.
EVALUATION = quickstart.EVALUATION.replace(repeats=1, epochs=400)

PIXELS, F, W = (f"algorithm.learning_rates.{part}" for part in ("pixels", "f", "w"))
W_OF_F = 0.01
"""the rate of codes beside that of maps, for their steps move the images far more"""
SPREAD = 5.0
"""the highest rate over the middle one, which is that of the quickstart"""


def base(**fields: Any) -> Run:
    """A run on all of Fashion-MNIST, one image per class."""
    return Run(
        dataset="fashion-mnist",
        resolution=32,
        backbone=quickstart.BACKBONE,
        snapshots=1,
        checkpoint_every=20,
        **fields,
    )


def points() -> list[dict[str, Any]]:
    """Every setting, by the fields that vary."""
    made: list[dict[str, Any]] = []
    for algorithm in ALGORITHMS.values():
        middle = algorithm.learning_rates
        pixels = [middle.pixels * SPREAD ** (number / 4) for number in range(-4, 5)]
        made += [{"algorithm": algorithm, "space": "pixel", PIXELS: rate} for rate in pixels]
        rates = [middle.f * SPREAD**number for number in (-1, 0, 1)]
        made += [
            {"algorithm": algorithm, "generator": file, "init": init, "space": layer, F: rate, W: rate * W_OF_F}
            for (file, init), layer, rate in product(GENERATORS.values(), LAYERS, rates)
        ]
    return made


def search() -> Search:
    """All settings, each distilled to its end."""
    tried = points()
    return Search(
        name="search-prior",
        description=__doc__ or "",
        base=base(
            algorithm=ALGORITHMS["dm"], space="f1", generator=GENERATORS["bundled"][0], init="real", held_out=100
        ),
        vary={
            "algorithm": Choice(values=tuple(ALGORITHMS.values())),
            "generator": Choice(values=tuple(file for file, _ in GENERATORS.values())),
            "init": Choice(values=("real", "sampled")),
            "space": Choice(values=("pixel", *LAYERS)),
            PIXELS: FloatRange(low=1e-3, high=1e5, log=True),
            F: FloatRange(low=1e-3, high=1e5, log=True),
            W: FloatRange(low=1e-5, high=1e3, log=True),
        },
        first=tuple(tried),
        trials=len(tried),
        sampler="random",
        rungs=(Rung(share=1.0, epochs=200, networks=4),),
        stopping="never",
        finalists=1,
        controls=0,
        seeds=1,
        evaluation=EVALUATION,
    )


if __name__ == "__main__":
    glad_ray.main()
