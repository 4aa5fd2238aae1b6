"""Two algorithms in pixel space and in a space of a generator that two runs share; a network lies beside this file."""

import glad_ray
from glad_ray import DM, MTT, Evaluation, Experts, Network, RandomStyleGAN, Run, Sweep, grid

BACKBONE = Network(name="convnet", width=8)
GENERATOR = RandomStyleGAN(
    resolution=32, image_channels=1, num_layers=4, channel_base=64, channel_max=8, w_dim=8, z_dim=8
)
EXPERTS = Experts(count=2, epochs=2, batch_size=256)


def sweep() -> Sweep:
    base = Run(
        algorithm=DM(iterations=60, real_batch_size=16),
        resolution=32,
        backbone=BACKBONE,
        held_out=5,
        snapshots=2,
        checkpoint_every=10,
    )
    return Sweep(
        name="job",
        runs=grid(
            base,
            algorithm=[base.algorithm, MTT(iterations=60, synthetic_steps=2, expert_epochs=1, experts=EXPERTS)],
            where=[{"space": "pixel"}, {"space": "f3", "init": "sampled", "generator": GENERATOR}],
        ),
        evaluations=Evaluation(
            networks=(BACKBONE, Network(name="linear:linear")), repeats=2, epochs=4, test_images=100
        ),
    )


if __name__ == "__main__":
    glad_ray.main()
