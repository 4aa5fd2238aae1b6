"""Three algorithms in pixel space and two latent spaces, on real images, in minutes and without a GPU.

Shows: every set beats random real images, by eight to fifteen points on the network that distilled and by six to
eleven on the mean of four networks that never saw the distillation. On those four the better of two latent spaces of
the bundled generator, which was trained on Fashion-MNIST, is within two or three points of pixels: DC 48 % in f1, 48 in
f3, 50 in pixels; DM 48, 51, 51; MTT 51, 46, 50. The worse one is behind pixels everywhere, and which it is differs. It
is one seed and a tiny budget (a sample of Fashion-MNIST, one image per class, narrow networks, few epochs, after which
AlexNet and ViT have learned from some sets and not from others): changes of rounding alone moved DC and MTT in f1 and
f3 by two to three points. Compare rows with one another, not with published tables.

Cost: four to five minutes on two quiet CPU cores, the first row after one; under 6 GiB of memory.

    glad-ray sweep sweeps/quickstart.py
"""

import glad_ray
from glad_ray import (
    DC,
    DM,
    MTT,
    Evaluation,
    Experts,
    LearningRates,
    Network,
    RandomReal,
    Run,
    Sweep,
    grid,
)

BACKBONE = Network(name="convnet", width=32)

# Trained on Fashion-MNIST, and bundled: see docs/generator_training.md. Its encoder lets latents start from real
# images, as pixels do.
GENERATOR = "fashion-mnist-prior"

# Rates of latents: at ten times these, images drift to deviations of 20 to 80 where real ones have 1, and networks then
# diverge on them; w wants about a hundredth of F's rate, for its steps move the images far more.
ALGORITHMS = [
    DC(
        iterations=60,
        real_batch_size=64,
        matching="layerwise",
        learning_rates=LearningRates(pixels=0.3, f=1, w=0.01),
    ),
    DM(iterations=80, real_batch_size=64, learning_rates=LearningRates(pixels=1, f=1, w=0.01)),
    MTT(
        iterations=50,
        synthetic_steps=10,
        expert_epochs=1,
        max_start_epoch=2,
        experts=Experts(count=4, epochs=3, batch_size=64),
        learning_rates=LearningRates(pixels=300, f=500, w=5),
    ),
]

EVALUATION = Evaluation(
    networks=(
        BACKBONE,
        Network(name="alexnet", width=48),
        Network(name="vgg11", width=16),
        Network(name="resnet18", width=8),
        Network(name="vit", width=32),
    ),
    repeats=2,
    epochs=130,
    learning_rates={"convnet": 0.01, "alexnet": 0.005, "vgg11": 0.01, "resnet18": 0.05, "vit": 0.05},
)


def sweep() -> Sweep:
    """The random baseline and nine distillations."""
    base = Run(algorithm=RandomReal(), resolution=32, backbone=BACKBONE, snapshots=1, checkpoint_every=10)
    return Sweep(
        name="quickstart",
        description=__doc__ or "",
        runs=(
            base,
            *grid(
                base,
                algorithm=ALGORITHMS,
                where=[
                    {"space": "pixel"},
                    {"space": "f1", "generator": GENERATOR, "init": "real"},
                    {"space": "f3", "generator": GENERATOR, "init": "real"},
                ],
            ),
        ),
        evaluations=EVALUATION,
        first=("algorithm=random", "algorithm=dm"),
    )


if __name__ == "__main__":
    glad_ray.main()
