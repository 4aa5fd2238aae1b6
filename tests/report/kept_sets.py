"""Sets that a run kept on its way, as files of the engine's form."""

import json

import numpy as np
from safetensors.numpy import save


def write_kept_sets(storage, run, rng, side=8):
    """Images of noise and one row per class, after every kept step."""
    for step in run.snapshot_steps:
        classes = run.facts.classes
        tensors = {
            "images": rng.normal(size=(classes, run.facts.channels, side, side)).astype(np.float32),
            "labels": np.arange(classes),
        }
        normalisation = json.dumps({"mean": [0.5] * run.facts.channels, "std": [0.25] * run.facts.channels})
        data = save(tensors, metadata={"normalisation": normalisation})
        storage.write_bytes(storage.set_path(run.run_id, step), data)
