"""What a user writes down: runs, sweeps, and how to evaluate them. Pure data: no torch, no Ray."""

from glad_ray.spec.algorithm import DC, DM, MTT, Algorithm, Herding, KMeans, LearningRates, RandomReal, WholeDataset
from glad_ray.spec.baselines import baselines
from glad_ray.spec.datasets import DATASETS, DatasetFacts, dataset_facts
from glad_ray.spec.experts import DSA, Experts, ExpertSet
from glad_ray.spec.generators import (
    CustomGenerator,
    DiffusersAutoencoder,
    GeneratorRecord,
    RandomStyleGAN,
    StyleGANFile,
)
from glad_ray.spec.network import Network
from glad_ray.spec.run import Run
from glad_ray.spec.search import (
    CMAES,
    GP,
    TPE,
    Choice,
    FloatRange,
    Grid,
    Halving,
    Hyperband,
    IntRange,
    Layers,
    Median,
    Never,
    Random,
    Rung,
    Search,
)
from glad_ray.spec.sweep import Evaluation, Labels, Resources, Selection, Share, Slice, Sweep, Unit, grid

__all__ = [
    "CMAES",
    "DATASETS",
    "DC",
    "DM",
    "DSA",
    "GP",
    "MTT",
    "TPE",
    "Algorithm",
    "Choice",
    "CustomGenerator",
    "DatasetFacts",
    "DiffusersAutoencoder",
    "Evaluation",
    "ExpertSet",
    "Experts",
    "FloatRange",
    "GeneratorRecord",
    "Grid",
    "Halving",
    "Herding",
    "Hyperband",
    "IntRange",
    "KMeans",
    "Labels",
    "Layers",
    "LearningRates",
    "Median",
    "Network",
    "Never",
    "Random",
    "RandomReal",
    "RandomStyleGAN",
    "Resources",
    "Run",
    "Rung",
    "Search",
    "Selection",
    "Share",
    "Slice",
    "StyleGANFile",
    "Sweep",
    "Unit",
    "WholeDataset",
    "baselines",
    "dataset_facts",
    "grid",
]
