"""A sweep that takes seconds: every kind of unit of work, in pixel space and in a space of a generator."""

from glad_ray.plan import Plan, make_plan
from glad_ray.spec import DC, DM, MTT, Evaluation, Experts, Network, RandomReal, RandomStyleGAN, Run, Sweep

BACKBONE = Network(name="convnet", width=8)
GENERATOR = RandomStyleGAN(
    resolution=32, image_channels=1, num_layers=4, channel_base=64, channel_max=8, w_dim=8, z_dim=8
)
BASE = Run(algorithm=RandomReal(), resolution=32, backbone=BACKBONE, held_out=300, snapshots=2, checkpoint_every=2)
EXPERTS = Experts(count=2, epochs=2, batch_size=256)
RUNS = {
    "random": BASE,
    "dm": BASE.replace(algorithm=DM(iterations=10, real_batch_size=8)),
    "dc": BASE.replace(algorithm=DC(iterations=6, real_batch_size=8), space="f2", init=None, generator=GENERATOR),
    "mtt": BASE.replace(algorithm=MTT(iterations=6, synthetic_steps=3, expert_epochs=1, experts=EXPERTS)),
}
EVALUATION = Evaluation(networks=(BACKBONE, Network(name="alexnet", width=8)), repeats=2, epochs=4, test_images=100)


def plan(*names: str) -> Plan:
    """The plan of some runs, of all if none is named."""
    runs = tuple(RUNS[name] for name in names or RUNS)
    return make_plan(Sweep(name="tiny", runs=runs, evaluation=EVALUATION))
