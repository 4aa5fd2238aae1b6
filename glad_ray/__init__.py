"""glad_ray: a sweep engine for dataset distillation.

What a sweep file needs is here; it loads neither torch nor Ray.
"""

from glad_ray.spec import (
    DC,
    DM,
    MTT,
    CustomGenerator,
    DiffusersAutoencoder,
    Evaluation,
    Experts,
    Herding,
    KMeans,
    LearningRates,
    Network,
    RandomReal,
    RandomStyleGAN,
    Resources,
    Run,
    Share,
    StyleGANFile,
    Sweep,
    WholeDataset,
    baselines,
    grid,
)
from glad_ray.version import __version__


def main() -> None:
    """Make a sweep file a script: `python sweeps/x.py ...` does what `glad-ray sweep sweeps/x.py ...` does."""
    import sys

    from glad_ray.cli import main

    sys.exit(main(["sweep", *sys.argv]))


__all__ = [
    "DC",
    "DM",
    "MTT",
    "CustomGenerator",
    "DiffusersAutoencoder",
    "Evaluation",
    "Experts",
    "Herding",
    "KMeans",
    "LearningRates",
    "Network",
    "RandomReal",
    "RandomStyleGAN",
    "Resources",
    "Run",
    "Share",
    "StyleGANFile",
    "Sweep",
    "WholeDataset",
    "__version__",
    "baselines",
    "grid",
    "main",
]
