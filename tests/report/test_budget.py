"""What a budget says: whose protocol an evaluation varies, where it falls short of that, what was distilled."""

import pytest

from glad_ray.report.budget import budgets, distillations, profiles, real_images
from tests.report.rows import row

SEQUENTIAL = "sequential:flip_color_crop_scale_rotate"


@pytest.mark.parametrize(
    ("network", "narrower"),
    [
        ("convnet", False),
        ("convnet-w32", True),
        ("convnet-w32-d2", True),
        ("convnet-d2", False),
        ("torchvision.models.resnet50-width_per_group=128", False),
    ],
)
def test_narrower_networks_are_those_of_a_width_of_their_own(network, narrower):
    (budget,) = budgets([row(network, 0.5, repeat=repeat) for repeat in range(5)], {})
    assert budget.smaller == (("narrower networks",) if narrower else ())


@pytest.mark.parametrize(
    ("changes", "protocol", "smaller"),
    [
        ({}, "the protocol of GLaD", ("99 evaluation epochs (GLaD: 1,000)", "1 repeat (GLaD: 5)")),
        (
            {"augmentation": ""},
            "the protocol of the original DC, without augmentation",
            ("99 evaluation epochs (the original DC, without augmentation: 300)",),
        ),
        (
            {
                "labels": "online",
                "augmentation": "",
                "evaluation_schedule": "slow-cosine",
                "evaluation_optimiser": "adamw",
                "evaluation_mixing": "cutmix",
            },
            "the protocol of RDED",
            ("99 evaluation epochs (RDED: 300)",),
        ),
        ({"labels": "online"}, "the protocol of RDED", ("99 evaluation epochs (RDED: 300)",)),
        (
            {"augmentation": SEQUENTIAL, "evaluation_schedule": "halving", "evaluation_optimiser": "adamw"},
            "the protocol of NCFM",
            ("99 evaluation epochs (NCFM: 2,000)", "1 repeat (NCFM: 10)"),
        ),
        ({"evaluation_schedule": "fifths"}, "the protocol of IDC", ("99 evaluation epochs (IDC: 1,000)",)),
        (
            {"labels": "own", "algorithm": "datm"},
            "the protocol of DATM",
            ("99 evaluation epochs (DATM: 1,000)",),
        ),
        ({"labels": "own"}, "no published protocol compared here", ()),
        ({"labels": "teacher"}, "no published protocol compared here", ()),
        ({"evaluation_optimiser": "adamw"}, "no published protocol compared here", ()),
        ({"augmentation": "", "evaluation_mixing": "mixup"}, "no published protocol compared here", ()),
        ({"augmentation": "", "evaluation_views": "flip"}, "no published protocol compared here", ()),
        ({"augmentation": SEQUENTIAL}, "no published protocol compared here", ()),
        ({"evaluation_schedule": "slow-cosine"}, "no published protocol compared here", ()),
    ],
)
def test_an_evaluation_is_set_beside_the_protocol_that_it_varies(changes, protocol, smaller):
    (budget,) = budgets([row("vit", 0.5, evaluation_epochs=99, **changes)], {})
    assert (budget.protocols, budget.smaller) == (protocol, smaller)


def test_sets_without_a_protocol_stand_beside_those_of_one():
    rows = [
        row("vit", 0.5, labels="own", algorithm="datm", evaluation_epochs=99),
        row("vit", 0.5, run_id="s", labels="teacher", evaluation_epochs=99),
        row("vit", 0.5, run_id="w", labels="hard", algorithm="whole", ipc=None, evaluation_epochs=30),
    ]
    (budget,) = budgets(rows, {})
    assert budget.protocols == "the protocol of DATM for its sets, of no published one for the others"
    assert budget.smaller == ("99 evaluation epochs (DATM: 1,000)",)


def test_what_was_distilled_is_said_once_for_all_evaluations():
    rows = [
        row("vit", 0.5, evaluation_id=evaluation, run_id=run, algorithm=algorithm, step=step, profile=profile)
        for evaluation in ("v", "o")
        for run, algorithm, step, profile in (
            ("r", "mtt", 100, "paper"), ("t", "mtt", 200, "reference-code"), ("d", "dc", 1, "paper"),
            ("b", "random", 0, "paper"), ("k", "kcenter", 0, "paper"),
        )
    ]  # fmt: skip
    assert distillations(rows, {}) == (("dc", "1 step"), ("mtt", "100 steps or 200 steps"))
    assert profiles(rows) == ("paper", "reference-code")
    assert real_images(rows) == (("K-center greedy", "images that leave none of their class far away"),)
