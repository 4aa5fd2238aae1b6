"""Whitening as a field of runs and experts: what carries it, what it leaves as it was, what is refused."""

import pytest

from glad_ray.cli import main
from glad_ray.errors import UserError
from glad_ray.plan import plan_experts
from glad_ray.plan.baselines import baselines
from glad_ray.spec import (
    DC,
    DM,
    MTT,
    Choice,
    Evaluation,
    Experts,
    ExpertSet,
    Network,
    RandomStyleGAN,
    Run,
    Search,
    Sweep,
)
from glad_ray.spec.foreign_set import ForeignSet
from glad_ray.spec.images.whitening import zca_bytes
from glad_ray.spec.searches.check import check_search
from glad_ray.spec.small import small
from glad_ray.spec.written.code import as_code
from glad_ray.spec.written.overrides import only, override_experts, override_search, override_sweep

PLAIN = Run(algorithm=MTT(), dataset="cifar10")
WHITENED = PLAIN.replace(whitening="zca")
EXPERTS = ExpertSet(dataset="cifar10", resolution=32, held_out=0, network=Network(), experts=Experts())


def test_ids_of_what_is_not_whitened_are_what_they_were():
    latent = Run(algorithm=DC(matching="cosine"), space="f2", generator=RandomStyleGAN(image_channels=1, resolution=32))
    assert [run.run_id for run in (Run(algorithm=DM()), PLAIN, latent)] == [
        "9edc121d8bde", "fe63626a2493", "4410fda9ac3e",
    ]  # fmt: skip
    assert PLAIN.expert_set.content_id == "846192562dbb"
    foreign = ForeignSet(dataset="cifar10", resolution=32, images_per_class=1, sha256="0" * 64)
    assert foreign.run_id == "c08f6c86c2f9"
    for record in (PLAIN, PLAIN.expert_set, foreign):
        assert "whitening" not in record.model_dump_json()


def test_whitening_is_part_of_what_is_whitened():
    assert WHITENED.run_id != PLAIN.run_id
    assert WHITENED.expert_set == PLAIN.expert_set.replace(whitening="zca") != PLAIN.expert_set
    assert Run.model_validate_json(WHITENED.model_dump_json()) == WHITENED
    assert 'whitening="zca"' in as_code(WHITENED)
    assert WHITENED.label.endswith(" whitened")
    assert WHITENED.expert_set.label.endswith(" whitened")


def test_what_belongs_to_a_run_is_whitened_with_it():
    assert all(run.whitening == "zca" for run in baselines([WHITENED]))
    teachers = Evaluation(labels="soft").teachers_of(WHITENED.replace(algorithm=DM()))
    assert teachers.whitening == "zca"
    (shrunk,) = small(Sweep(name="s", runs=(WHITENED,))).runs
    assert shrunk.whitening == "zca"


def test_it_is_set_from_outside():
    sweep = Sweep(name="s", runs=(PLAIN, WHITENED))
    for run, value, expected in ((PLAIN, "zca", "zca"), (WHITENED, "none", "none"), (WHITENED, "null", "none")):
        (changed,) = override_sweep(sweep.replace(runs=(run,)), [f"whitening={value}"]).runs
        assert changed.whitening == expected
    assert only(sweep, ["whitening=none"]).runs == (PLAIN,)
    assert only(sweep, ["whitening=zca"]).runs == (WHITENED,)
    assert override_experts(EXPERTS, ["whitening=zca"])[0].whitening == "zca"
    search = Search(name="s", base=PLAIN.replace(held_out=5), vary={"whitening": Choice(values=("none", "zca"))})
    check_search(search)
    assert override_search(search, ["whitening=zca"]).base.whitening == "zca"


@pytest.mark.parametrize("make", [PLAIN.replace, EXPERTS.replace])
def test_an_unknown_whitening_is_told(make):
    with pytest.raises(UserError, match=r"'pca'\. Did you mean 'zca'\? Known: none, zca"):
        make(whitening="pca")


@pytest.mark.parametrize(
    ("make", "side"),
    [
        (lambda: Run(algorithm=DM(), dataset="imagenette", whitening="zca"), 64),
        (lambda: WHITENED.replace(resolution=65), 64),
        (lambda: Run(algorithm=DM(), dataset="mnist", resolution=111, whitening="zca"), 110),
        (lambda: plan_experts(EXPERTS.replace(resolution=128, whitening="zca")), 64),
    ],
)
def test_large_images_are_refused_where_the_run_is_made(make, side):
    with pytest.raises(UserError, match=rf"too large to be whitened.*set resolution to {side} or less") as caught:
        make()
    assert "\n" not in str(caught.value)


def test_the_largest_images_that_are_whitened():
    assert Run(algorithm=DM(), dataset="tiny-imagenet", whitening="zca").pixels == 64
    assert zca_bytes(3, 32) == 4 * (2 * 3072**2 + 3072)


def test_a_sweep_of_large_images_is_refused_by_its_plan(tmp_path, capsys):
    (tmp_path / "large.py").write_text(
        "from glad_ray import DM, Run, Sweep\n\n\ndef sweep():\n"
        "    return Sweep(name='large', runs=[Run(algorithm=DM(), dataset='imagenette')])\n"
    )
    assert main(["plan", str(tmp_path / "large.py"), "--set", "whitening=zca"]) == 2
    assert "too large to be whitened" in capsys.readouterr().err
