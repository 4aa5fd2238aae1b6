"""What a user writes down: runs, sweeps, and how to evaluate them. Pure data: no torch, no Ray."""

from glad_ray.spec.algorithm import DC, DM, DSA, MTT, Algorithm, Experts, LearningRates, RandomReal
from glad_ray.spec.datasets import DATASETS, DatasetFacts, dataset_facts
from glad_ray.spec.generator import RandomStyleGAN
from glad_ray.spec.network import Network
from glad_ray.spec.run import ExpertSet, Run
from glad_ray.spec.sweep import Evaluation, Resources, Selection, Sweep, grid

__all__ = [
    "DATASETS",
    "DC",
    "DM",
    "DSA",
    "MTT",
    "Algorithm",
    "DatasetFacts",
    "Evaluation",
    "ExpertSet",
    "Experts",
    "LearningRates",
    "Network",
    "RandomReal",
    "RandomStyleGAN",
    "Resources",
    "Run",
    "Selection",
    "Sweep",
    "dataset_facts",
    "grid",
]
