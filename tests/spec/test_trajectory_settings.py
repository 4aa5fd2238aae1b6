"""FTD and DATM beside MTT: what they are if nothing is said, and what may be said of their windows and experts."""

import pytest

from glad_ray.errors import UserError
from glad_ray.spec import DATM, FTD, MTT, Experts, Flatness, LearningRates, Run
from glad_ray.spec.algorithms import ALGORITHM_NAMES
from glad_ray.spec.algorithms.datm import RELEASED, released
from glad_ray.spec.record import replace_at
from glad_ray.spec.search_space import propose
from glad_ray.spec.searches.check import check_search
from glad_ray.spec.searches.search import Choice, FloatRange, IntRange, Search
from glad_ray.spec.written.code import as_code


def test_ftd_is_mtt_on_flat_experts():
    ftd, mtt = FTD(), MTT(experts=Experts(flat=Flatness()))
    assert ftd.model_dump(exclude={"name"}) == mtt.model_dump(exclude={"name"})
    assert Run(algorithm=ftd).expert_set == Run(algorithm=mtt).expert_set
    assert Run(algorithm=ftd).expert_set.content_id != Run(algorithm=MTT()).expert_set.content_id
    assert Run(algorithm="ftd").expert_set.label.startswith("100 flat experts x 15 epochs")


def test_ftd_has_no_other_experts():
    with pytest.raises(UserError, match=r"add flat=Flatness\(\)"):
        FTD(experts=Experts(count=3))


def test_settings_that_depend_on_the_set_are_those_released_for_it():
    one, ten = (Run(algorithm=DATM(), dataset="cifar10", images_per_class=number).algorithm for number in (1, 10))
    assert one == DATM()
    assert (one.threshold, one.label_lr, one.step_size_lr, one.batch_size) == (1.1, 5, 1e-7, 10)
    assert one.start_epochs(0) == one.start_epochs(9999) == range(4)
    assert (ten.start_epochs(0), ten.start_epochs(10000)) == (range(10), range(20))
    assert ten.learning_rates == LearningRates(pixels=100, f=100, w=10, g=0.01)
    hundred = Run(algorithm=DATM(), dataset="cifar100", images_per_class=120).algorithm
    assert (hundred.start_epochs(0), hundred.label_lr, hundred.batch_size) == (range(30, 70), 10, 1000)
    assert released("fashion-mnist", 5) == RELEASED["cifar10"][1]
    assert all(Run(algorithm="datm", dataset=name, images_per_class=n) for name in RELEASED for n in RELEASED[name])


def test_what_a_run_says_of_a_window_is_all_of_it():
    run = Run(algorithm=DATM(max_start_epoch=7, label_lr=3.0), images_per_class=10)
    assert run.algorithm.start_epochs(0) == range(7)
    assert (run.algorithm.label_lr, run.algorithm.synthetic_steps, run.algorithm.threshold) == (3.0, 80, 1.0)
    assert run.replace(images_per_class=1).algorithm.threshold == 1.1
    assert replace_at(run, "algorithm.experts.flat.rho", 0.5).algorithm.experts.flat.rho == 0.5


@pytest.mark.parametrize(
    "algorithm", [DATM(), DATM(threshold=None, experts=Experts(epochs=30)), FTD(), MTT(threshold=2.0)]
)
@pytest.mark.parametrize("profile", ["paper", "reference-code"])
def test_a_run_is_read_as_it_was_written(algorithm, profile):
    run = Run(algorithm=algorithm, dataset="cifar10", images_per_class=10, profile=profile)
    read = Run.model_validate_json(run.model_dump_json())
    assert (read, read.run_id) == (run, run.run_id)
    assert run.replace(seed=1).replace(seed=0) == run


def test_the_profile_of_the_released_code():
    run = Run(algorithm=DATM(), dataset="cifar10", images_per_class=10, profile="reference-code")
    assert (run.steps, run.algorithm.rest_first, run.whitening, run.init) == (10001, True, "zca", "correct")
    assert run.expert_set.whitening == "zca"
    assert len(run.snapshot_steps) == 20
    large = Run(algorithm=DATM(), dataset="imagenette", resolution=128, profile="reference-code")
    assert large.whitening == "none"
    assert Run(algorithm=FTD(), profile="reference-code").algorithm == FTD()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"min_start_epoch": 4}, "min_start_epoch is 4 and start epochs are below 4"),
        ({"first_max_start_epoch": 5}, "first_max_start_epoch is 5 and grows to max_start_epoch, 4"),
        ({"first_max_start_epoch": 2, "min_start_epoch": 2}, r"below 2 \(first_max_start_epoch\)"),
        ({"experts": Experts(epochs=4)}, "DATM needs expert epoch 5 .* set algorithm.experts.epochs to 5"),
        ({"labels": "sharp"}, "Unknown DATM.labels"),
    ],
)
def test_windows_that_cannot_be(fields, message):
    with pytest.raises(UserError, match=message):
        DATM(**fields)


def test_their_place_in_tables():
    first = ALGORITHM_NAMES.index("mtt")
    assert ALGORITHM_NAMES[first : first + 3] == ("mtt", "ftd", "datm")


def test_small_ones_keep_what_they_are():
    for number in (1, 10):
        run = Run(algorithm=DATM(), images_per_class=number)
        small = run.replace(algorithm=run.algorithm.small())
        settings = small.algorithm
        assert (settings.iterations, settings.experts.count, settings.labels) == (2, 2, "learned")
        assert settings.experts.flat == Flatness()
        assert settings.start_epochs(9) == range(2)
    assert FTD().small().experts.flat == Flatness()


def test_their_options_can_be_searched():
    search = Search(
        name="windows",
        base=Run(algorithm=DATM(), images_per_class=10, held_out=5),
        vary={
            "algorithm": Choice(values=[MTT(), DATM()]),
            "algorithm.threshold": FloatRange(low=0.5, high=2),
            "algorithm.label_lr": FloatRange(low=0.5, high=20, log=True),
            "algorithm.max_start_epoch": IntRange(low=3, high=9),
            "algorithm.experts.flat.rho": Choice(values=[0.01, 1.0]),
            "init": Choice(values=["real", "correct"]),
        },
    )
    check_search(search)

    def drawn(end):
        def ask(parameter):
            among = parameter.range
            return among.values[end] if isinstance(among, Choice) else (among.low, among.high)[end]

        return propose(search, ask).algorithm

    low, high = drawn(0), drawn(1)
    assert (low.name, low.threshold, low.max_start_epoch, low.experts.flat) == ("mtt", 0.5, 3, None)
    assert (high.name, high.label_lr, high.start_epochs(0), high.experts.flat.rho) == ("datm", 20, range(9), 1)


def test_a_record_is_written_as_code():
    for algorithm in (DATM(threshold=None), FTD(experts=Experts(count=3, flat=Flatness(rho=0.5)))):
        run = Run(algorithm=algorithm)
        assert eval(as_code(run), vars(__import__("glad_ray"))) == run  # our own text
