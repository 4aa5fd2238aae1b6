"""Small runs of every kind, for these tests."""

import torch

from glad_ray.distillation import Inputs, build_space, distill
from glad_ray.generators import build_generator
from glad_ray.spec import (
    DATM,
    DC,
    DM,
    EL2N,
    IDC,
    MTT,
    NCFM,
    RDED,
    Experts,
    Herding,
    KMeans,
    Network,
    RandomReal,
    RandomStyleGAN,
    Run,
    WholeDataset,
)
from tests.generators import kinds

BACKBONE = Network(width=4)
GENERATOR = RandomStyleGAN(image_channels=1, num_layers=4, channel_base=64, channel_max=4, w_dim=8, z_dim=8)
# The other kernels and filters, and codes that know the class.
CONDITIONAL = GENERATOR.replace(kernel_size=1, classes=10, seed=1)
EXPERTS = Experts(count=2, epochs=2, batch_size=1024)
PIXELS = Run(algorithm=RandomReal(), resolution=32, backbone=BACKBONE, held_out=5, checkpoint_every=100)

DC_ONCE = DC(iterations=4, real_batch_size=4, outer_loops=1)
DC_LOOPS = DC(iterations=2, real_batch_size=4, outer_loops=2, inner_loops=1, matching="cosine")
DM_STEPS = DM(iterations=4, real_batch_size=4)
MTT_STEPS = MTT(iterations=4, synthetic_steps=2, expert_epochs=1, batch_size=6, experts=EXPERTS)
SOFT = MTT_STEPS.replace(labels="soft")
IDC_STEPS = IDC(iterations=2, inner_steps=2, real_batch_size=4, network_images=8)
NCFM_STEPS = NCFM(iterations=4, real_batch_size=4, frequencies=48, experts=EXPERTS)
IN_TURN = NCFM_STEPS.replace(iterations=1, classes="in turn", sampling="gaussian")
EXACT = MTT_STEPS.replace(gradient="exact")
LEARNED = DATM(
    iterations=4,
    synthetic_steps=2,
    expert_epochs=1,
    batch_size=4,
    first_max_start_epoch=1,
    max_start_epoch=2,
    growth_iterations=2,
    experts=EXPERTS,
)

DISTILLED = {
    "dc": PIXELS.replace(algorithm=DC_ONCE),
    "dc with loops in f2": PIXELS.replace(algorithm=DC_LOOPS, space="f2", init="gaussian", generator=GENERATOR),
    "dm": PIXELS.replace(algorithm=DM_STEPS, images_per_class=2),
    "dm in w+": PIXELS.replace(algorithm=DM_STEPS, space="w+", generator=CONDITIONAL),
    "dm in f3, learning a file": PIXELS.replace(
        algorithm=DM_STEPS, space="f3", generator=kinds.stylegan_file(CONDITIONAL), learn_generator=True
    ),
    "dm in layers": PIXELS.replace(algorithm=DM_STEPS, space="f2>f3", generator=GENERATOR),
    "dm in an autoencoder": PIXELS.replace(algorithm=DM_STEPS, space="f3", generator=kinds.autoencoder(32)),
    "dm in a generator of one's own": PIXELS.replace(algorithm=DM_STEPS, space="z+", generator=kinds.BLOBS),
    "mtt": PIXELS.replace(algorithm=MTT_STEPS),
    "mtt with soft labels in w+": PIXELS.replace(algorithm=SOFT, space="w+", generator=GENERATOR),
    "idc": PIXELS.replace(algorithm=IDC_STEPS),
    "exact mtt": PIXELS.replace(algorithm=EXACT),
    "datm": PIXELS.replace(algorithm=LEARNED),
    "ncfm": PIXELS.replace(algorithm=NCFM_STEPS),
    "ncfm in turn in w+": PIXELS.replace(algorithm=IN_TURN, space="w+", generator=GENERATOR, formation=1),
}
BASELINES = {
    "random": PIXELS,
    "herding": PIXELS.replace(algorithm=Herding(features=EXPERTS), images_per_class=2),
    "k-means": PIXELS.replace(algorithm=KMeans(features=None), images_per_class=2),
    "rded": PIXELS.replace(algorithm=RDED(images=12, crops=2, factor=2, observer=EXPERTS.replace(count=1))),
    "el2n": PIXELS.replace(algorithm=EL2N(networks=EXPERTS)),
    "whole dataset": PIXELS.replace(algorithm=WholeDataset()),
}
# Few images for experts of a large network to be trained on.
OTHER_BACKBONES = {
    f"{name} with {network}": PIXELS.replace(
        algorithm=algorithm, backbone=Network(name=network, width=8), held_out=300 if name == "mtt" else 5
    )
    for name, algorithm, network in (
        ("dm", DM_STEPS.replace(iterations=2), "alexnet"),
        ("dc", DC_LOOPS.replace(iterations=1), "vgg11"),
        ("dm", DM_STEPS.replace(iterations=2), "resnet18"),
        ("dc", DC_LOOPS.replace(iterations=1), "vit"),
        ("mtt", MTT_STEPS.replace(iterations=2, experts=Experts(count=1, epochs=2, batch_size=256)), "vit"),
    )
}


def distil(run, dataset, experts, storage, on_progress=lambda progress: None, *, keep_graph=True):
    """Distil a run on the first GPU."""
    gpu = torch.device("cuda:0")
    prior = run.generator and build_generator(
        run.generator, device=gpu, keep_graph=keep_graph, learn=run.learn_generator
    )
    experts = experts if run.expert_set else None
    distill(Inputs(run, build_space(run, dataset, prior, gpu, experts), dataset, experts, gpu), storage, on_progress)
