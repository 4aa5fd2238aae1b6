"""Which layer, which learning rates: a search over every space of a small generator, by distribution matching.

Varied: the space (pixels, w+, every f<n>), and the learning rates of F and of w, each over three orders of magnitude.
Trials are evaluated at rungs after a tenth, a third and all of their steps, by short trainings of two networks that did
not distil, on held-out training images; of those that reach a rung the best third goes on. The best are evaluated in
full, two that were stopped too, which tells how well the rungs rank trials; the winner is tested with fresh seeds. The
budget is tiny (a sample of Fashion-MNIST, one image per class, an untrained generator): compare configurations with one
another, not with published tables.

    glad-ray search sweeps/search_layers.py
"""

import glad_ray
from glad_ray import (
    DM,
    Evaluation,
    FloatRange,
    Layers,
    LearningRates,
    Network,
    RandomStyleGAN,
    Run,
    Rung,
    Search,
)

BACKBONE = Network(name="convnet", width=32)
GENERATOR = RandomStyleGAN(
    resolution=32, image_channels=1, num_layers=6, channel_base=256, channel_max=16, w_dim=64, z_dim=64
)


def search() -> Search:
    """The spaces and two learning rates of distribution matching."""
    return Search(
        name="search-layers",
        description=__doc__ or "",
        base=Run(
            algorithm=DM(iterations=100, real_batch_size=64, learning_rates=LearningRates(pixels=1, f=1, w=0.01)),
            space="f2",
            generator=GENERATOR,
            init="gaussian",
            backbone=BACKBONE,
            held_out=40,
            checkpoint_every=50,
        ),
        vary={
            "space": Layers(),
            "algorithm.learning_rates.f": FloatRange(low=0.1, high=100, log=True),
            "algorithm.learning_rates.w": FloatRange(low=0.001, high=1, log=True),
        },
        trials=32,
        rungs=tuple(Rung(share=share, epochs=60, networks=2) for share in (0.1, 0.33, 1.0)),
        evaluation=Evaluation(
            # At this budget AlexNet and ViT learn from some sets and not from others, by chance.
            networks=(BACKBONE, Network(name="vgg11", width=16), Network(name="resnet18", width=8)),
            repeats=3,
            epochs=130,
            learning_rates={"convnet": 0.01, "vgg11": 0.01, "resnet18": 0.05},
        ),
    )


if __name__ == "__main__":
    glad_ray.main()
