"""FTD and DATM: their released code. What their papers say was not compared."""

from typing import TYPE_CHECKING

from glad_ray.spec.images.whitening import MOST_NUMBERS
from glad_ray.spec.profiles.difference import Difference

if TYPE_CHECKING:
    from glad_ray.spec.run import Run


def _can_be_whitened(run: "Run") -> bool:
    side = run.resolution or (run.generator.resolution if run.generator else run.facts.resolution)
    return run.facts.channels * side**2 <= MOST_NUMBERS


TRAJECTORIES: tuple[Difference, ...] = (
    Difference(
        item="FTD and DATM: training of flat experts",
        paper="not compared", code="rho 0.01, alpha 0.3 in DATM's command; 2, 0.4 in its defaults", follows="code",
        reason="Those of the command: algorithm.experts.flat. With DATM for 100 epochs, with FTD for as many as MTT.",
        algorithms=("ftd", "datm"),
    ),
    Difference(
        item="FTD: all but the experts",
        paper="not compared", code="settings by dataset; scores a moving average of the images too", follows="own",
        reason="MTT's settings, so that the two differ by their experts alone; the average is left out.",
        algorithms=("ftd",),
    ),
    Difference(
        item="DATM: iterations",
        paper="not compared (10000 here)", code="10001: 0 to 10000", follows="profile",
        field="algorithm.iterations", algorithms=("datm",), code_value=lambda run: 10001,
    ),
    Difference(
        item="DATM: batches that do not divide the images evenly",
        paper="not compared", code="taken from the end: the smaller rest first", follows="profile",
        field="algorithm.rest_first", algorithms=("datm",), code_value=lambda run: True,
    ),
    Difference(
        item="FTD and DATM: whitening",
        paper="not compared", code="ZCA", follows="profile",
        reason="None in the profile paper, so that rows stand beside those of the other algorithms.",
        field="whitening", algorithms=("ftd", "datm"), applies=_can_be_whitened, code_value=lambda run: "zca",
    ),
    Difference(
        item="DATM: order of the experts",
        paper="not compared", code="all files in random order, and all experts of a file", follows="own",
        reason="Every iteration draws one of all experts, so that a run can go on from any of them.",
        algorithms=("datm",),
    ),
    Difference(
        item="DATM: label of an image that no expert classifies correctly",
        paper="not compared", code="no number", follows="own",
        reason="The mean logits of all experts, with that of the class and the largest one exchanged.",
        algorithms=("datm",),
    ),
    Difference(
        item="DATM: start of CIFAR-100 at 50 images per class",
        paper="not compared", code="images by chance, the labels of one expert", follows="own",
        reason="As everywhere: images that experts classify correctly. init=real has the other images.",
        algorithms=("datm",),
    ),
    Difference(
        item="DATM: evaluations",
        paper="not compared", code="every 500 steps (1000 from 500 images per class on), the best on the test set",
        follows="profile",
        reason="Which step counts is in the rows, as with the others.",
        field="snapshots", algorithms=("datm",),
        code_value=lambda run: run.steps // (1000 if run.images_per_class >= 500 else 500),
    ),
)  # fmt: skip
