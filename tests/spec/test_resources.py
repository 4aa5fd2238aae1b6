"""What units of work take: shares as records, and as files had them before."""

import pytest

from glad_ray.errors import UserError
from glad_ray.spec import Bundle, Resources, Share, Sweep
from glad_ray.spec.written.overrides import override_sweep
from tests.engine import tiny

SHARES = Resources(
    trial=Share(gpus=0.25, memory_gib=3),
    evaluation=Share(cpus=2, nodes="cheap"),
    by_name={"mtt": Share(gpus="auto", accelerator="A100"), "vit": Share(nodes=None)},
)
FLAT = {
    "trial_gpus": 0.25,
    "trial_memory_gib": 3,
    "trial_accelerator": None,
    "evaluation_cpus": 2,
    "evaluation_nodes": "cheap",
    "shares": {"mtt": {"cpus": None, "gpus": "auto", "accelerator": "A100", "nodes": None}},
    "generator_replicas": 2,
}


def test_what_is_said_by_name_is_taken_and_the_rest_is_that_of_the_unit():
    assert SHARES.share_of("trial", "mtt").bundle == Bundle(1, 1, 3, ("accelerator_type:A100",))
    assert SHARES.share_of("trial", "mtt").measured
    assert SHARES.share_of("evaluation", "vit").bundle == Bundle(2, 0, 0)
    assert SHARES.share_of("evaluation", "convnet").bundle == Bundle(2, 0, 0, ("cheap",))


def test_what_was_not_said_is_not_said_when_it_is_read_again():
    read = Resources.model_validate_json(SHARES.model_dump_json())
    assert read == SHARES
    assert read.share_of("trial", "mtt") == SHARES.share_of("trial", "mtt")


@pytest.mark.parametrize("by_name", ["mtt", "dm"])
def test_files_of_before_are_read(by_name):
    earlier = Resources.model_validate(FLAT)
    for unit in ("trial", "evaluation", "expert"):
        assert earlier.share_of(unit, by_name) == SHARES.share_of(unit, by_name)


def test_one_way_at_a_time():
    with pytest.raises(UserError, match=r"has trial_gpus and trial: say trial=Share\(gpus=\.\.\.\) alone"):
        Resources(trial=Share(cpus=1), trial_gpus=1)


@pytest.mark.parametrize(
    "wrong", [{"shares": 3}, {"shares": {"mtt": 3}}, {"by_name": 3}, {"trial": 3}, {"trial_gpus": "many"}]
)
def test_what_is_no_share_is_told_in_a_sentence(wrong):
    with pytest.raises(UserError):
        Resources(**wrong)


def test_either_way_sets_a_field_of_a_sweep():
    sweep = Sweep(name="s", runs=(tiny.RUNS["dm"],), resources=SHARES)
    changed = override_sweep(sweep, ["resources.trial_gpus=0.5", "resources.evaluation.cpus=4"]).resources
    by_name = override_sweep(sweep, ['resources.shares={"dm": {"gpus": 1}}']).resources.by_name
    assert by_name == {"dm": Share(gpus=1)}
    assert (changed.trial, changed.evaluation) == (Share(gpus=0.5, memory_gib=3), Share(cpus=4, nodes="cheap"))
