"""glad_ray: a sweep engine for dataset distillation.

What a sweep file needs is here; it loads neither torch nor Ray.
"""

from glad_ray.spec import (
    CMAES,
    DC,
    DM,
    GP,
    MTT,
    TPE,
    Choice,
    CustomGenerator,
    DatasetFacts,
    DiffusersAutoencoder,
    Evaluation,
    Experts,
    FloatRange,
    Grid,
    Halving,
    Herding,
    Hyperband,
    IntRange,
    KMeans,
    Layers,
    LearningRates,
    Median,
    Network,
    Never,
    Random,
    RandomReal,
    RandomStyleGAN,
    Resources,
    Run,
    Rung,
    Search,
    Share,
    StyleGANFile,
    Sweep,
    WholeDataset,
    baselines,
    grid,
)
from glad_ray.version import __version__


def main() -> None:
    """Make a sweep file a script, or a search file: `python sweeps/x.py ...` does what `glad-ray sweep sweeps/x.py ...`
    does, or `glad-ray search ...`.
    """
    import sys

    from glad_ray.cli import main

    command = "search" if hasattr(sys.modules["__main__"], "search") else "sweep"
    sys.exit(main([command, *sys.argv]))


__all__ = [
    "CMAES",
    "DC",
    "DM",
    "GP",
    "MTT",
    "TPE",
    "Choice",
    "CustomGenerator",
    "DatasetFacts",
    "DiffusersAutoencoder",
    "Evaluation",
    "Experts",
    "FloatRange",
    "Grid",
    "Halving",
    "Herding",
    "Hyperband",
    "IntRange",
    "KMeans",
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
    "Share",
    "StyleGANFile",
    "Sweep",
    "WholeDataset",
    "__version__",
    "baselines",
    "grid",
    "main",
]
