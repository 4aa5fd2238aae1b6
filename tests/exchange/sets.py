"""A synthetic set as a run leaves it."""

import torch

from glad_ray.spec import DM, Network, Run, dataset_facts
from glad_ray.synthetic_set import SyntheticSet

FACTS = dataset_facts("fashion-mnist-sample")


def made_set(ipc=2, *, soft=False, classes=FACTS.class_names, channels=1, **fields):
    rng = torch.Generator().manual_seed(0)
    count = ipc * len(classes)
    run = Run(algorithm=DM(iterations=3), images_per_class=ipc, backbone=Network(width=4))
    values = {
        # Far outside of what 8 bits hold, so that clipping shows.
        "images": 3 * torch.randn(count, channels, 28, 28, generator=rng),
        "labels": torch.arange(len(classes)).repeat_interleave(ipc),
        "soft_labels": torch.rand(count, len(classes), generator=rng).softmax(1) if soft else None,
        "latents": {},
        "step_size": None,
        "step": 3,
        "class_names": classes,
        "mean": FACTS.mean * channels,
        "std": FACTS.std * channels,
        "run": run.model_dump_json(),
    }
    return SyntheticSet(**(values | fields))
