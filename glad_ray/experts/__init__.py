"""Expert trajectories: networks trained on the real data, their parameters kept after every epoch.

MTT (Cazenavette et al., 2022) matches segments of them; settings as the paper's supplement, section E.
"""

from glad_ray.experts.files import (
    ExpertFiles,
    FlatArray,
    Shapes,
    parameter_shapes,
    read_only_tensor,
    write_trajectory,
)
from glad_ray.experts.train import groups, missing_groups, train_experts, try_expert_epoch
from glad_ray.results import missing_experts

__all__ = [
    "ExpertFiles",
    "FlatArray",
    "Shapes",
    "groups",
    "missing_experts",
    "missing_groups",
    "parameter_shapes",
    "read_only_tensor",
    "train_experts",
    "try_expert_epoch",
    "write_trajectory",
]
