"""How DC, DM and MTT match: GLaD's paper and its released code."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from glad_ray.spec.profiles.difference import Difference, layered

if TYPE_CHECKING:
    from glad_ray.spec.run import Run


def _rates(pixels: float, w: float, g: float) -> Callable[["Run"], dict[str, float]]:
    """The code's rates: one for pixels and F; w has its own, but not in the space w+, where it gets that of pixels."""
    return lambda run: {"pixels": pixels, "f": pixels, "w": pixels if run.space == "w+" else w, "g": g}


MATCHING: tuple[Difference, ...] = (
    Difference(
        item="MTT: student steps N",
        paper="10", code="20", follows="profile",
        field="algorithm.synthetic_steps", algorithms=("mtt",), code_value=lambda run: 20,
    ),
    Difference(
        item="MTT: expert epochs M",
        paper="2", code="3", follows="profile",
        field="algorithm.expert_epochs", algorithms=("mtt",), code_value=lambda run: 3,
    ),
    Difference(
        item="MTT: latest start epoch T+",
        paper="2", code="5, itself never drawn", follows="profile",
        reason="Whether T+ itself may be drawn the paper does not say: it is not, in either profile.",
        field="algorithm.max_start_epoch", algorithms=("mtt",), code_value=lambda run: 5,
    ),
    Difference(
        item="MTT: iterations",
        paper="5000", code="1000", follows="profile",
        field="algorithm.iterations", algorithms=("mtt",), applies=lambda run: not layered(run),
        code_value=lambda run: 1000,
    ),
    Difference(
        item="DM: iterations",
        paper="not said (20000 in the original)", code="1000", follows="profile",
        field="algorithm.iterations", algorithms=("dm",), applies=lambda run: not layered(run),
        code_value=lambda run: 1000,
    ),
    Difference(
        item="DC: distance of gradients",
        paper="one cosine over all parameters (equation 1)", code="a cosine per output row of each weight",
        follows="code",
        reason="One cosine gives gradients some 300 to 600 times smaller (ConvNet, width 32 and 128); the original's "
        "rates were made for the other. algorithm.matching=cosine is the paper's.",
        algorithms=("dc",),
    ),
    Difference(
        item="DC: outer loops",
        paper="not said (original: by ipc, 10 at 10)", code="1 at every ipc", follows="profile",
        field="algorithm.outer_loops", algorithms=("dc",), code_value=lambda run: 1,
    ),
    Difference(
        item="DC: inner loops",
        paper="not said (original: by ipc, 50 at 10)", code="1 at every ipc", follows="profile",
        field="algorithm.inner_loops", algorithms=("dc",), code_value=lambda run: 1,
    ),
    Difference(
        item="DC: learning rates of pixels, F, w",
        paper="the original's 0.1; w a tenth of F's", code="1, 1, 0.001 (w+: 1)", follows="profile",
        field="algorithm.learning_rates", algorithms=("dc",), code_value=_rates(1.0, 0.001, 1e-4),
    ),
    Difference(
        item="DM: learning rates of pixels, F, w",
        paper="the original's 1; w a tenth of F's", code="10, 10, 0.01 (w+: 10)", follows="profile",
        field="algorithm.learning_rates", algorithms=("dm",), code_value=_rates(10.0, 0.01, 1e-4),
    ),
    Difference(
        item="MTT: learning rates of pixels, F, w",
        paper="the original's 1000; w a tenth of F's", code="10000, 10000, 10 (w+: 10000)", follows="profile",
        field="algorithm.learning_rates", algorithms=("mtt",), code_value=_rates(10000.0, 10.0, 0.1),
    ),
    Difference(
        item="pixel space: start",
        paper="not said (real images in DSA, DM and MTT)", code="noise", follows="profile",
        field="init", applies=lambda run: run.space == "pixel", code_value=lambda run: "noise",
    ),
    Difference(
        item="MTT: norm of the experts",
        paper="instance norm", code="batch norm, the student instance norm", follows="profile",
        field="algorithm.experts.norm", algorithms=("mtt",), code_value=lambda run: "batchnorm",
    ),
    Difference(
        item="MTT: epochs of the experts",
        paper="15", code="200 (15 in its readme)", follows="paper",
    ),
    Difference(
        item="MTT: experts see DSA",
        paper="not said", code="yes", follows="code",
        reason="algorithm.experts.augmentation changes it.",
    ),
    Difference(
        item="MTT: learned step size",
        paper="not said", code="may become negative", follows="own",
        reason="It stays at 1e-6 or above.",
        algorithms=("mtt", "ftd", "datm"),
    ),
    Difference(
        item="DC: rate of the inner network",
        paper="not said (0.01 in the original)", code="that of the network evaluated last", follows="own",
        reason="algorithm.network_lr, 0.01.",
    ),
)  # fmt: skip
