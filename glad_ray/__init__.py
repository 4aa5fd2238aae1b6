"""glad_ray: a sweep engine for dataset distillation.

What a sweep file needs is here; it loads neither torch nor Ray. Neither does what runs a sweep, before it is called.
"""

from typing import TYPE_CHECKING, Any

from glad_ray import module_path

module_path.arrange_at_import()

from glad_ray.plan.baselines import baselines  # noqa: E402
from glad_ray.spec import (  # noqa: E402
    CMAES,
    DATM,
    DC,
    DM,
    DREAM,
    EL2N,
    FTD,
    GP,
    IDC,
    MTT,
    NCFM,
    RDED,
    SGD,
    TPE,
    AdamW,
    Choice,
    CustomAlgorithm,
    CustomGenerator,
    DatasetFacts,
    DiffusersAutoencoder,
    Evaluation,
    Experts,
    Flatness,
    FloatRange,
    Formation,
    Grid,
    Halving,
    Herding,
    Hyperband,
    IntRange,
    KCenter,
    KMeans,
    Layers,
    LearningRates,
    Looks,
    Median,
    Mixing,
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
    Views,
    WholeDataset,
    grid,
)
from glad_ray.version import __version__  # noqa: E402

if TYPE_CHECKING:
    from glad_ray.api import Results as Results
    from glad_ray.api import distill as distill
    from glad_ray.api import evaluate as evaluate
    from glad_ray.api import load as load
    from glad_ray.api import remove as remove
    from glad_ray.api import run as run
    from glad_ray.api import search as search

# Not in __all__: a sweep file that imports everything would have a function search().
_OF_THE_API = ("Results", "distill", "evaluate", "load", "remove", "run", "search")


def __getattr__(name: str) -> Any:
    if name not in _OF_THE_API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import glad_ray.api

    return getattr(glad_ray.api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_OF_THE_API})


def main() -> None:
    """Make a sweep file a script, or a search file: `python sweeps/x.py ...` does what `glad-ray sweep sweeps/x.py ...`
    does, or `glad-ray search ...`.
    """
    import sys

    from glad_ray.cli import main
    from glad_ray.spec.written.sweep_file import check_main_guard

    check_main_guard()
    file = vars(sys.modules["__main__"])
    command = "search" if "search" in file and "sweep" not in file else "sweep"
    sys.exit(main([command, *sys.argv]))


__all__ = [
    "CMAES",
    "DATM",
    "DC",
    "DM",
    "DREAM",
    "EL2N",
    "FTD",
    "GP",
    "IDC",
    "MTT",
    "NCFM",
    "RDED",
    "SGD",
    "TPE",
    "AdamW",
    "Choice",
    "CustomAlgorithm",
    "CustomGenerator",
    "DatasetFacts",
    "DiffusersAutoencoder",
    "Evaluation",
    "Experts",
    "Flatness",
    "FloatRange",
    "Formation",
    "Grid",
    "Halving",
    "Herding",
    "Hyperband",
    "IntRange",
    "KCenter",
    "KMeans",
    "Layers",
    "LearningRates",
    "Looks",
    "Median",
    "Mixing",
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
    "Views",
    "WholeDataset",
    "__version__",
    "baselines",
    "grid",
    "main",
]
