"""H-PD, of runs in a space of several layers: its paper and its released code."""

from glad_ray.spec.profiles.difference import DISTILLING, Difference, layered

SEVERAL_LAYERS: tuple[Difference, ...] = (
    Difference(
        item="H-PD: steps per layer, of DC or MTT",
        paper="those of the run, as many in each layer", code="101 (100 are meant)", follows="profile",
        field="algorithm.iterations", algorithms=("dc", "mtt"), applies=layered,
        code_value=lambda run: 101 * len(run.spaces),
    ),
    Difference(
        item="H-PD: steps per layer, of DM",
        paper="those of the run, as many in each layer", code="11 (10 are meant)", follows="profile",
        field="algorithm.iterations", algorithms=("dm",), applies=layered,
        code_value=lambda run: 11 * len(run.spaces),
    ),
    Difference(
        item="H-PD: what a layer leaves to the next",
        paper="the step with the smallest feature distance",
        code="its last step: the nearest is kept as a reference to tensors that change", follows="profile",
        field="schedule.choice", algorithms=DISTILLING, applies=layered, code_value=lambda run: "last",
    ),
    Difference(
        item="H-PD: feature distance",
        paper="weighted by class activation maps",
        code="not weighted; a new network at each step; of the last map the first draw alone", follows="profile",
        reason="Weighted in neither profile: in `paper`, one network sees real and synthetic images at all steps of a "
        "layer.",
        field="schedule.distance", algorithms=DISTILLING, applies=layered, code_value=lambda run: "released",
    ),
    Difference(
        item="H-PD: start",
        paper="mean codes of a class", code="a code per image", follows="code",
        reason="init=average is the paper's.", algorithms=DISTILLING,
        applies=layered,
    ),
)  # fmt: skip
