"""What a user writes down: runs, sweeps, and how to evaluate them. Pure data: no torch, no Ray."""

from glad_ray.spec.algorithms import REAL_BATCH_BYTES, Algorithm, AlgorithmSettings, LearningRates, Matching
from glad_ray.spec.algorithms.baselines import Herding, KMeans, RandomReal, WholeDataset
from glad_ray.spec.algorithms.custom import CustomAlgorithm
from glad_ray.spec.algorithms.datm import DATM
from glad_ray.spec.algorithms.dc import DC
from glad_ray.spec.algorithms.dm import DM
from glad_ray.spec.algorithms.el2n import EL2N
from glad_ray.spec.algorithms.ftd import FTD
from glad_ray.spec.algorithms.idc import DREAM, IDC
from glad_ray.spec.algorithms.k_center import KCenter
from glad_ray.spec.algorithms.mtt import MTT
from glad_ray.spec.algorithms.ncfm import NCFM
from glad_ray.spec.algorithms.rded import RDED
from glad_ray.spec.algorithms.trajectories import MatchingTrajectories
from glad_ray.spec.datasets import DATASETS, DatasetFacts, NamedDataset, dataset_facts
from glad_ray.spec.experts import Experts, ExpertSet, Flatness
from glad_ray.spec.generators import (
    CustomGenerator,
    DiffusersAutoencoder,
    GeneratorRecord,
    RandomStyleGAN,
    StyleGANFile,
)
from glad_ray.spec.images.augmentation import DSA, Mixing, Views
from glad_ray.spec.images.formation import Formation
from glad_ray.spec.network import Network
from glad_ray.spec.optimisers import SGD, AdamW
from glad_ray.spec.resources import Bundle, Resources, Share, Unit
from glad_ray.spec.run import Run
from glad_ray.spec.searches.search import (
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
from glad_ray.spec.sweep import REGIMES, Evaluation, Labels, Looks, Regime, Schedule, Selection, Sweep, grid, regime_of

__all__ = [
    "CMAES",
    "DATASETS",
    "DATM",
    "DC",
    "DM",
    "DREAM",
    "DSA",
    "EL2N",
    "FTD",
    "GP",
    "IDC",
    "MTT",
    "NCFM",
    "RDED",
    "REAL_BATCH_BYTES",
    "REGIMES",
    "SGD",
    "TPE",
    "AdamW",
    "Algorithm",
    "AlgorithmSettings",
    "Bundle",
    "Choice",
    "CustomAlgorithm",
    "CustomGenerator",
    "DatasetFacts",
    "DiffusersAutoencoder",
    "Evaluation",
    "ExpertSet",
    "Experts",
    "Flatness",
    "FloatRange",
    "Formation",
    "GeneratorRecord",
    "Grid",
    "Halving",
    "Herding",
    "Hyperband",
    "IntRange",
    "KCenter",
    "KMeans",
    "Labels",
    "Layers",
    "LearningRates",
    "Looks",
    "Matching",
    "MatchingTrajectories",
    "Median",
    "Mixing",
    "NamedDataset",
    "Network",
    "Never",
    "Random",
    "RandomReal",
    "RandomStyleGAN",
    "Regime",
    "Resources",
    "Run",
    "Rung",
    "Schedule",
    "Search",
    "Selection",
    "Share",
    "StyleGANFile",
    "Sweep",
    "Unit",
    "Views",
    "WholeDataset",
    "dataset_facts",
    "grid",
    "regime_of",
]
