"""Rows of results made by hand."""

from glad_ray.spec import DSA


def row(network, accuracy, **changes):
    fields = {
        "run_id": "r",
        "evaluation_id": "v",
        "dataset": "d",
        "resolution": 32,
        "ipc": 1,
        "algorithm": "mtt",
        "space": "pixel",
        "generator": "none",
        "set_bytes": 4000,
        "generator_bytes": 0,
        "seed": 0,
        "profile": "paper",
        "selection": "last",
        "step": 100,
        "network": network,
        "seen": network == "convnet",
        "repeat": 0,
        "accuracy": accuracy,
        "labels": "hard",
        "augmentation": DSA,
        "test_images": None,
        "evaluation_epochs": 1000,
        "evaluation_schedule": "cosine",
        "evaluation_learning_rate": 0.01,
        "whitening": None,
    }
    return fields | changes
