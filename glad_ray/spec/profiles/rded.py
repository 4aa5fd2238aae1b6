"""RDED: its paper and its released code."""

from glad_ray.spec.profiles.difference import Difference

RDED: tuple[Difference, ...] = (
    Difference(
        item="RDED: pixels in 8 bits",
        paper="not said", code="cut off", follows="profile",
        field="algorithm.truncate", algorithms=("rded",), code_value=lambda run: True,
    ),
    Difference(
        item="RDED: kept as",
        paper="not said", code="JPEG, whose losses the students see", follows="profile",
        reason="Bytes are counted as 8-bit pixels in both.",
        field="algorithm.jpeg", algorithms=("rded",), code_value=lambda run: True,
    ),
    Difference(
        item="RDED: normalisation",
        paper="not said", code="mean and deviation of ImageNet for every dataset", follows="own",
        reason="Observer, teacher and students see images as those of the dataset are normalised.",
        algorithms=("rded",),
    ),
    Difference(
        item="RDED: observer",
        paper="batch norm", code="batch norm", follows="own",
        reason="Experts keep parameters and no running statistics: the observer is the backbone, with instance norm.",
        algorithms=("rded",),
    ),
    Difference(
        item="RDED: student's passes of a mini-batch",
        paper="one", code="two, one of them for a log: statistics of batch norm move twice", follows="paper",
        reason="evaluation.seen_twice is the code's.",
        algorithms=("rded",),
    ),
    Difference(
        item="RDED: what is reported",
        paper="not said", code="the best of several epochs on the test set", follows="own",
        reason="The last epoch's network is tested.",
        algorithms=("rded",),
    ),
)  # fmt: skip
