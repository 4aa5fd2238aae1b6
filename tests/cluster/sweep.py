"""Every kind of unit of work, in pixel space and in a space of a generator that two runs share; lasts a minute."""

import glad_ray
from glad_ray import DC, DM, MTT, Evaluation, Experts, Network, RandomReal, RandomStyleGAN, Run, Sweep

BACKBONE = Network(name="convnet", width=8)
GENERATOR = RandomStyleGAN(
    resolution=32, image_channels=1, num_layers=4, channel_base=64, channel_max=8, w_dim=8, z_dim=8
)
BASE = Run(algorithm=RandomReal(), resolution=32, backbone=BACKBONE, held_out=5, snapshots=2, checkpoint_every=10)
SHARED = {"space": "f3", "init": "sampled", "generator": GENERATOR}


def sweep() -> Sweep:
    experts = Experts(count=2, epochs=2, batch_size=256)
    return Sweep(
        name="hosts",
        runs=(
            BASE,
            BASE.replace(algorithm=DM(iterations=100, real_batch_size=32)),
            BASE.replace(algorithm=MTT(iterations=100, synthetic_steps=4, expert_epochs=1, experts=experts)),
            BASE.replace(algorithm=DC(iterations=50, real_batch_size=8), **SHARED),
            BASE.replace(algorithm=DM(iterations=50, real_batch_size=8), **SHARED),
        ),
        evaluations=Evaluation(networks=(BACKBONE, Network(width=8, depth=1)), repeats=2, epochs=4, test_images=100),
    )


if __name__ == "__main__":
    glad_ray.main()
