"""What the ids of records follow from: what decides results, and nothing that only says how they are computed."""

import pytest

from glad_ray.errors import UserError
from glad_ray.spec import (
    DC,
    DM,
    MTT,
    Evaluation,
    Experts,
    ExpertSet,
    Herding,
    Network,
    RandomStyleGAN,
    Run,
    Sweep,
)
from glad_ray.spec.experts import merged
from glad_ray.spec.record import field_paths
from glad_ray.spec.written.code import as_code

GENERATOR = RandomStyleGAN(image_channels=1)
WHERE = {
    "pixel": {"space": "pixel"},
    "f4": {"space": "f4", "generator": GENERATOR},
    "w+": {"space": "w+", "generator": GENERATOR},
}
# Of the version before fields that decide no result were left out of ids.
EARLIER_RUNS = {
    ("dc", "pixel"): "276cd62a0191",
    ("dc", "f4"): "f90624f2e15f",
    ("dc", "w+"): "1aefc10d87d9",
    ("dm", "pixel"): "9edc121d8bde",
    ("dm", "f4"): "1f33c5a48a4d",
    ("dm", "w+"): "3e75a53ee9ff",
    ("mtt", "pixel"): "9f7a3d3e001b",
    ("mtt", "f4"): "635abb9c6090",
    ("mtt", "w+"): "2f1272607a46",
    ("random", "pixel"): "081e757d5a58",
    ("herding", "pixel"): "3d3d8dd0d1ae",
    ("kmeans", "pixel"): "5cb7b85d6dcc",
    ("whole", "pixel"): "d9911f461c1b",
}
FORMER = {
    "checkpoints": (Run(algorithm=DM(), checkpoint_every=2), "0174f1524ca6", "9edc121d8bde"),
    "kept epochs": (Run(algorithm=MTT(experts=Experts(keep_until=4))), "60f90f1e0fdc", "9f7a3d3e001b"),
    "epochs": (Run(algorithm=MTT(experts=Experts(epochs=30))), "9da74c9fd67b", "9f7a3d3e001b"),
    "experts": (Run(algorithm=MTT(experts=Experts(count=2))).expert_set, "223c9b18e7e2", "4b8502e360e4"),
    "herding's experts": (Run(algorithm="herding").expert_set, "72ca4ef7e47d", "4b8502e360e4"),
}


@pytest.mark.parametrize(("which", "run_id"), EARLIER_RUNS.items(), ids=" ".join)
def test_defaults_keep_the_ids_of_earlier_versions(which, run_id):
    algorithm, space = which
    # Its form of the loss was another by default.
    run = Run(algorithm=DC(matching="cosine") if algorithm == "dc" else algorithm, **WHERE[space])
    assert (run.run_id, run.former_id) == (run_id, run_id)


def test_settings_keep_the_ids_of_earlier_versions():
    assert Run(algorithm=MTT(labels="soft")).run_id == "0a6f873e9dfa"
    assert Run(algorithm=MTT(experts=Experts(count=2))).run_id == "2aeb25e75b63"
    assert Run(algorithm=DM(), seed=3, held_out=20, snapshots=2).run_id == "af020c4febf2"
    assert Run(algorithm=MTT(), profile="reference-code").run_id == "dc0cc86125d3"
    assert Run(algorithm=MTT()).expert_set.stored_id == "4b8502e360e4"
    assert Evaluation().content_id == "006dfec0a747"


@pytest.mark.parametrize(("record", "former", "now"), FORMER.values(), ids=FORMER)
def test_fields_that_decide_no_result_are_in_former_ids_alone(record, former, now):
    assert (record.content_id, record.former_id, record.stored_id) == (now, former, now)
    assert record.stored_as(former).stored_id == former
    assert record.replace(held_as=("0" * 12,)).stored_id == now


def test_how_many_experts_a_run_draws_from_decides_its_result():
    assert len({Run(algorithm=MTT(experts=Experts(count=count))).run_id for count in (2, 3)}) == 2
    assert len({Run(algorithm=Herding(features=Experts(count=count))).run_id for count in (2, 3)}) == 2


def test_soft_labels_come_from_the_last_epoch():
    soft = {Run(algorithm=MTT(labels="soft", experts=Experts(epochs=epochs))).run_id for epochs in (15, 16)}
    assert len(soft) == 2
    sets = {
        Run(algorithm=MTT(labels="soft", experts=Experts(epochs=epochs))).expert_set.stored_id for epochs in (15, 16)
    }
    assert len(sets) == 1


@pytest.mark.parametrize("change", [{"lr": 0.1}, {"batch_size": 64}, {"dtype": "bfloat16"}, {"norm": "batchnorm"}])
def test_how_experts_are_trained_decides_what_they_are(change):
    sets = [Run(algorithm=MTT(experts=Experts(**fields))).expert_set for fields in ({}, change)]
    assert sets[0].stored_id != sets[1].stored_id


def test_runs_that_differ_only_in_checkpoints_are_the_same():
    runs = [Run(algorithm=DM(), checkpoint_every=every) for every in (2, 5)]
    with pytest.raises(UserError, match="the same"):
        Sweep(name="twice", runs=runs)


def test_a_former_id_goes_where_the_record_goes():
    run = Run(algorithm=MTT(experts=Experts(count=2)), checkpoint_every=2)
    held = run.replace(held_as=(run.former_id, run.expert_set.former_id))
    again = Run.model_validate_json(held.model_dump_json())
    assert again == held
    assert (again.run_id, again.expert_set.stored_id) == held.held_as
    # Another run that is made of it does not take its id.
    assert held.replace(seed=1).run_id == run.replace(seed=1).run_id


def test_no_one_is_asked_for_former_ids():
    held = Run(algorithm=DM(), checkpoint_every=2).stored_as("0174f1524ca6")
    assert "held_as" not in set(field_paths(held))
    assert as_code(held) == as_code(Run(algorithm=DM(), checkpoint_every=2))
    assert "checkpoint_every=2" in as_code(held)
    with pytest.raises(UserError, match="held_as"):
        Run(algorithm=DM(), held_as=("../../elsewhere",))


def test_one_set_of_experts_serves_all_that_need_some_of_it():
    def of(**fields):
        return Run(algorithm=MTT(experts=Experts(**fields))).expert_set

    (both,) = merged([of(count=2, epochs=9), of(count=5, epochs=20, keep_until=4)])
    assert (both.experts.count, both.experts.last_epoch, both.stored_id) == (5, 9, of().stored_id)
    assert merged([of(count=2), of(count=2)]) == (of(count=2),)
    apart = [of(), of(lr=0.1)]
    assert merged(apart) == tuple(apart)
    assert isinstance(both, ExpertSet)
    assert both.network == Network()
