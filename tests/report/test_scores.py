import pytest

from glad_ray.report.scores import (
    augmentation_robust_score,
    hard_label_recovery,
    improvement_over_random,
    label_robust_score,
)
from glad_ray.report.tables.accuracy import sections
from glad_ray.report.tables.ranking import lacking, ranked
from glad_ray.spec import DSA, Evaluation, Experts
from tests.report.rows import row


def test_hlr_and_ior_are_differences():
    assert hard_label_recovery(real=0.9, synthetic=0.6) == pytest.approx(0.3)
    assert improvement_over_random(synthetic=0.6, random=0.4) == pytest.approx(0.2)


def test_lrs_by_hand():
    # alpha = 0.5 * 0.2 - 0.5 * 0.3 = -0.05; e^-0.05 = 0.951229, e^-1 = 0.367879, e = 2.718282:
    # (0.951229 - 0.367879) / (2.718282 - 0.367879) = 0.583350 / 2.350403 = 0.248192
    assert label_robust_score(ior=0.2, hlr=0.3) == pytest.approx(0.248192, abs=1e-6)
    # alpha = 0.8 * 0.2 - 0.2 * 0.3 = 0.1; e^0.1 = 1.105171: 0.737292 / 2.350403 = 0.313687
    assert label_robust_score(ior=0.2, hlr=0.3, weight=0.8) == pytest.approx(0.313687, abs=1e-6)


def test_ars_by_hand():
    # beta = 0.5 * 0.2 + 0.5 * 0.1 = 0.15; e^0.15 = 1.161834: 0.793955 / 2.350403 = 0.337795
    assert augmentation_robust_score(0.2, 0.1) == pytest.approx(0.337795, abs=1e-6)
    # beta = 0.25 * 0.2 + 0.75 * 0.1 = 0.125; e^0.125 = 1.133148: 0.765269 / 2.350403 = 0.325591
    assert augmentation_robust_score(0.2, 0.1, weight=0.25) == pytest.approx(0.325591, abs=1e-6)


def test_the_ends_of_the_scale():
    assert label_robust_score(ior=1, hlr=-1) == pytest.approx(1)
    assert label_robust_score(ior=-1, hlr=1) == pytest.approx(0)


HARD = {"evaluation_id": "hard"}
SOFT = {"evaluation_id": "soft", "labels": "teacher"}
PLAIN = {"evaluation_id": "plain", "augmentation": ""}
WHOLE = {"run_id": "w", "algorithm": "whole", "ipc": None, "evaluation_epochs": 30}
RANDOM = {"run_id": "r", "algorithm": "random"}
SET = {"run_id": "s", "algorithm": "dm"}
ALL = (
    row("vit", 0.4, **HARD, **RANDOM), row("vit", 0.6, **HARD, **SET), row("vit", 0.9, **HARD, **WHOLE),
    row("vit", 0.5, **SOFT, **RANDOM), row("vit", 0.75, **SOFT, **SET), row("vit", 0.9, evaluation_id="soft", **WHOLE),
    row("vit", 0.35, **PLAIN, **RANDOM), row("vit", 0.45, **PLAIN, **SET), row("vit", 0.8, **PLAIN, **WHOLE),
)  # fmt: skip


def scores_of(rows, evaluations=None):
    """(IOR, HLR, LRS, ARS) on the mean of the unseen networks, by evaluation."""
    made = sections(rows, {of["run_id"]: "" for of in rows})
    found = {}
    for section in made:
        one = next(one for one in ranked(section, made, evaluations or {}) if one.network is None)
        found[section.evaluation_id] = one
    return found


def approx(one):
    return pytest.approx(one, abs=1e-12)


def test_every_score_takes_what_it_is_made_of():
    found = scores_of(ALL)
    hard, soft, plain = found["hard"], found["soft"], found["plain"]
    assert (hard.ior, soft.ior, plain.ior) == approx((0.2, 0.25, 0.1))
    # HLR has hard labels, wherever it is told: a set with soft labels takes it from the evaluation with hard ones.
    assert (hard.hlr, soft.hlr, plain.hlr) == approx((0.3, 0.3, 0.35))
    assert (hard.lrs, soft.lrs) == approx((label_robust_score(0.2, 0.3), label_robust_score(0.25, 0.3)))
    # ARS of hard labels takes both evaluations with hard labels; with soft ones there is only one.
    assert (hard.ars, plain.ars) == approx((augmentation_robust_score(0.2, 0.1),) * 2)
    assert soft.ars is None


def test_a_score_without_its_ingredients_is_left_out_and_what_to_add_is_said():
    (of,) = scores_of([of for of in ALL if of["evaluation_id"] == "hard" and of["algorithm"] != "random"]).values()
    assert (of.ior, of.lrs, of.ars) == (None, None, None)
    assert of.hlr == approx(0.3)
    phrases = lacking([of])
    assert [phrase.partition(",")[0] for phrase in phrases] == [
        "baselines(runs)", 'an evaluation with augmentation="" that is otherwise the same',
    ]  # fmt: skip


def test_soft_labels_alone_have_no_hlr():
    soft = scores_of([of for of in ALL if of["evaluation_id"] == "soft"])["soft"]
    assert soft.hlr is None
    assert soft.ior == approx(0.25)
    assert any("an evaluation with hard labels" in phrase for phrase in lacking([soft]))


def test_evaluations_that_differ_in_more_are_no_pair():
    shorter = [of | {"evaluation_epochs": 300} if of["evaluation_id"] == "plain" else of for of in ALL]
    assert scores_of(shorter)["hard"].ars is None
    # What rows do not tell, such as momentum, the records do.
    base = Evaluation(networks=("vit",))
    records = {"hard": base, "plain": base.replace(augmentation="", momentum=0.0)}
    assert scores_of(ALL, records)["hard"].ars is None
    records["plain"] = base.replace(augmentation="")
    assert scores_of(ALL, records)["hard"].ars is not None
    records["soft"] = base.replace(labels="soft", teacher=Experts(count=3))
    assert scores_of(ALL, records)["soft"].hlr is not None


def test_a_teacher_at_every_step_has_the_hlr_of_hard_labels_too():
    base = Evaluation(networks=("vit",))
    records = {"hard": base, "soft": base.replace(labels="online", temperature=4, teacher=Experts(count=3))}
    online = [of | {"labels": "online"} if of["labels"] == "teacher" else of for of in ALL]
    found = scores_of([of for of in online if of["evaluation_id"] in records], records)
    assert (found["soft"].ior, found["soft"].hlr) == approx((0.25, 0.3))


def test_sets_of_other_seeds_are_no_pair():
    rows = [*ALL, row("vit", 0.6, **HARD, **SET | {"run_id": "t", "seed": 1})]
    assert scores_of(rows)["hard"].ars is None


def test_the_names_of_what_is_missing_follow_the_augmentation():
    plain = scores_of([of for of in ALL if of["augmentation"] != DSA])["plain"]
    assert any("augmentation (DSA)" in phrase for phrase in lacking([plain]))
