"""What a search may vary, and the runs that it makes."""

import pytest

from glad_ray.errors import UserError
from glad_ray.spec import DC, DM, MTT, Experts, RandomReal, RandomStyleGAN, Run
from glad_ray.spec.search_space import combinations, first_points, grid_points, representatives
from glad_ray.spec.searches.check import check_search
from glad_ray.spec.searches.search import Choice, FloatRange, Grid, IntRange, Layers, Rung, Search

GENERATOR = RandomStyleGAN(
    resolution=32, image_channels=1, num_layers=4, channel_base=64, channel_max=8, w_dim=8, z_dim=8
)
OTHER = GENERATOR.replace(seed=1, num_layers=5)
BASE = Run(algorithm=DM(), space="f2", generator=GENERATOR, held_out=10)
MATCHING = Run(algorithm=MTT(experts=Experts(epochs=12)), held_out=10)
RATES = {
    "algorithm.learning_rates.f": FloatRange(low=0.1, high=100, log=True),
    "algorithm.learning_rates.w": FloatRange(low=0.01, high=10, log=True),
    "algorithm.learning_rates.pixels": FloatRange(low=0.1, high=10),
}


def search(vary, **fields):
    return Search(name="s", base=fields.pop("base", BASE), vary=vary, **fields)


def all_of(made, low=True):
    """Every run that choices lead to, numbers at one end, and the names of its parameters."""

    def values_of(parameter):
        if isinstance(parameter.range, Choice):
            return parameter.range.values
        return (parameter.range.low if low else parameter.range.high,)

    return [(run, tuple(parameter.name for parameter, _ in drawn)) for run, drawn in combinations(made, values_of)]


def test_every_layer_and_pixels():
    made = search({"space": Layers()})
    runs = [run for run, _ in all_of(made)]
    assert [run.space for run in runs] == ["pixel", *GENERATOR.spaces]
    assert runs[0].generator is None
    assert {run.pixels for run in runs} == {32}, "the generator's, whatever the dataset's own is"
    assert all(run.generator == GENERATOR for run in runs[1:])
    assert "pixel" not in [run.space for run, _ in all_of(search({"space": Layers(pixel=False)}))]


def test_a_run_has_the_rates_of_its_latents_alone():
    made = search({**RATES, "space": Choice(values=("pixel", "w+", "f2"))})
    asked = {run.space: {name.rpartition(".")[2] for name in names} - {"space"} for run, names in all_of(made)}
    assert asked == {"pixel": {"pixels"}, "w+": {"w"}, "f2": {"f", "w"}}
    (run,) = [run for run, _ in all_of(made, low=False) if run.space == "f2"]
    assert (run.algorithm.learning_rates.f, run.algorithm.learning_rates.w) == (100, 10)


def test_fields_of_one_algorithm():
    made = search({"algorithm": Choice(values=(DM(), MTT())), "algorithm.synthetic_steps": IntRange(low=5, high=20)})
    asked = {run.algorithm.name: names for run, names in all_of(made)}
    assert asked == {"dm": ("algorithm",), "mtt": ("algorithm", "algorithm.synthetic_steps")}


def test_layers_of_each_generator():
    made = search({"space": Layers(pixel=False), "generator": Choice(values=(GENERATOR, OTHER))})
    found = all_of(made)
    assert {(run.generator, run.space) for run, _ in found} == {
        (generator, space) for generator in (GENERATOR, OTHER) for space in generator.spaces
    }
    names = {run.generator: names[1] for run, names in found}
    assert len(set(names.values())) == 2, "what may be drawn differs, so must the parameter"


def test_ways_to_begin_are_those_of_the_space():
    made = search({"space": Choice(values=("pixel", "f2")), "init": Choice(values=("real", "noise", "average"))})
    found = {(run.space, run.init) for run, _ in all_of(made)}
    assert found == {("pixel", "real"), ("pixel", "noise"), ("f2", "average")}


def test_a_way_to_begin_that_a_space_has_not_is_not_drawn():
    made = search({"space": Choice(values=("pixel", "w+", "f2")), "init": Choice(values=("gaussian", "average"))})
    found = {(run.space, run.init) for run, _ in all_of(made)}
    assert found == {("pixel", "real"), ("w+", "average"), ("f2", "gaussian"), ("f2", "average")}


def test_spaces_of_several_layers():
    """A schedule is drawn for these alone, and rates of all kinds of latents that their layers have."""
    choices = {"space": Choice(values=("w+", "w+>f2", "f0 > .. > f2")), "init": Choice(values=("gaussian", "average"))}
    made = search({**choices, "schedule.choice": Choice(values=("last", "nearest")), **RATES})
    check_search(made)
    asked = {}
    for run, names in all_of(made):
        rates = {name.rpartition(".")[2] for name in names if name in RATES}
        asked.setdefault(run.space, set()).add((run.init, run.schedule.choice, *sorted(rates)))
    assert asked == {
        "w+": {("average", "nearest", "w")},
        "w+>f2": {("average", choice, "f", "w") for choice in ("last", "nearest")},
        "f0>..>f2": {(init, choice, "f", "w") for init in ("gaussian", "average") for choice in ("last", "nearest")},
    }
    with pytest.raises(UserError, match=r"can draw space=f2>f0.*cannot be handed over to f0: name one of f3, f4"):
        check_search(search({"space": Choice(values=("f2>f0", "f0"))}))


def test_when():
    rate = FloatRange(low=1, high=2, when={"images_per_class": (10,)})
    made = search({"images_per_class": Choice(values=(1, 10)), "algorithm.learning_rates.f": rate})
    asked = {run.images_per_class: len(names) for run, names in all_of(made)}
    assert asked == {1: 1, 10: 2}


@pytest.mark.parametrize(
    ("vary", "fields", "sentence"),
    [
        ({}, {}, "Nothing varies"),
        ({"algorithm.lr": FloatRange(low=1, high=2)}, {}, "Unknown field of a run in vary 'algorithm.lr'"),
        ({"space": Choice(values=("f2", "f9"))}, {}, "The generator has no layer f9"),
        ({"space": Layers(when={"ipc": (1,)})}, {}, "Unknown field in when of space 'ipc'"),
        ({"space": Layers()}, {"base": BASE.replace(held_out=0)}, "set held_out of the base run"),
        ({"space": Layers()}, {"base": Run(algorithm=RandomReal(), held_out=1)}, "Baseline random has nothing"),
        ({"space": Layers()}, {"base": Run(algorithm=DC(), held_out=1)}, "the base run has no generator"),
        ({"space": Layers()}, {"rungs": (Rung(share=0.5),)}, "Rungs ascend and end with share=1"),
        ({"images_per_class": IntRange(low=0, high=3)}, {}, "images_per_class is 0"),
        ({"seed": IntRange(low=0, high=3)}, {}, "seed cannot vary"),
        (
            {"algorithm": Choice(values=(DM(), RandomReal()))},
            {"base": Run(algorithm=DM(), held_out=1)},
            "Baseline random has nothing to search",
        ),
        ({"images_per_class": FloatRange(low=1, high=3)}, {}, "use IntRange(low=1, high=3)"),
        ({"images_per_class": FloatRange(low=2, high=2)}, {}, "use IntRange(low=2, high=2)"),
        ({"images_per_class": FloatRange(low=1.2, high=50, log=True)}, {}, "IntRange(low=2, high=50, log=True)"),
        ({"images_per_class": FloatRange(low=1.2, high=1.4)}, {}, "an IntRange with other bounds"),
        ({"algorithm.outer_loops": FloatRange(low=1, high=3)}, {"base": MATCHING}, "use IntRange(low=1, high=3)"),
        ({"backbone.width": FloatRange(low=8, high=64)}, {}, "use IntRange(low=8, high=64)"),
        ({"generator.z_dim": FloatRange(low=8, high=64)}, {}, "use IntRange(low=8, high=64)"),
        ({"learn_generator": FloatRange(low=0, high=1)}, {}, "learn_generator=0.5, of which no run can be made"),
        ({"generator.resolution": IntRange(low=32, high=64)}, {}, "generator.resolution=33, of which no run"),
        ({"algorithm.iterations": Choice(values=(5, 5.5))}, {}, "algorithm.iterations=5.5, of which no run"),
        ({"backbone": Choice(values=("convnet", "convne"))}, {}, "backbone=convne, of which no run"),
        ({"generator_classes": Choice(values=(1j, ()))}, {}, "neither a number, a text, a list nor a record"),
        ({"generator_classes": Choice(values=([1, 2], (1, 2)))}, {}, "names one value twice"),
        ({"checkpoint_every": IntRange(low=1, high=9)}, {}, "checkpoint_every cannot vary: it decides no result"),
        ({"backbone": Layers()}, {}, "Layers are spaces and backbone is none"),
        # Each end is possible, and so is every value by itself.
        (
            {"space": Choice(values=("f2", "pixel")), "resolution": Choice(values=(32, 64))},
            {},
            "space=f2, resolution=64, of which no run",
        ),
        (
            {"space": Choice(values=("f1", "f5")), "generator": Choice(values=(OTHER, GENERATOR))},
            {},
            "has no layer f5",
        ),
        (
            {"algorithm.max_start_epoch": IntRange(low=1, high=8), "algorithm.expert_epochs": IntRange(low=1, high=8)},
            {"base": MATCHING},
            "algorithm.max_start_epoch=8, algorithm.expert_epochs=8, of which no run",
        ),
        (
            {"images_per_class": IntRange(low=1, high=2, when={"space": ("f9",)}), "space": Layers()},
            {},
            "asks for space='f9', which is not in the range of space",
        ),
        (
            {"algorithm": Choice(values=(DM(), MTT())), "seed": Choice(values=(1,), when={"algorithm": ("mtt",)})},
            {},
            "seed cannot vary",
        ),
        (
            {
                "algorithm": Choice(values=(DM(), MTT())),
                "images_per_class": IntRange(low=1, high=2, when={"algorithm": ("mtt",)}),
            },
            {},
            "asks for algorithm='mtt', which is not in the range of algorithm",
        ),
        (
            {"images_per_class": IntRange(low=1, high=2, when={"space": ()}), "space": Layers()},
            {},
            "names no value of space",
        ),
        (
            {
                "images_per_class": IntRange(low=1, high=2, when={"snapshots": (1,)}),
                "snapshots": IntRange(low=1, high=2, when={"images_per_class": (1,)}),
            },
            {},
            "waits for a field that waits for it",
        ),
        (
            {"space": Choice(values=("pixel", "f2")), "resolution": IntRange(low=32, high=34)},
            {"sampler": Grid(points=3)},
            "space=f2, resolution=33, of which no run",
        ),
        ({"space": Layers()}, {"objectives": ("seconds",)}, "Objectives are accuracy, alone or with"),
        ({"space": Layers()}, {"objectives": ("accuracy", "accuracy")}, "each once, not accuracy, accuracy"),
    ],
)
def test_mistakes_are_one_sentence(vary, fields, sentence):
    with pytest.raises(UserError) as caught:
        check_search(search(vary, **fields))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: FloatRange(low=2, high=1), "from 2 to 1 is empty"),
        (lambda: IntRange(low=0, high=5, log=True), "begins above 0"),
        (lambda: Choice(values=()), "has no values"),
        (lambda: Choice(values=(1, 1)), "names a value twice"),
    ],
)
def test_empty_ranges_are_one_sentence(make, sentence):
    with pytest.raises(UserError) as caught:
        make()
    assert sentence in str(caught.value)


def test_possible_ranges_are_taken():
    for vary in (
        {
            "images_per_class": IntRange(low=1, high=300),
            "algorithm.real_batch_size": IntRange(low=1, high=512, log=True),
        },
        {"algorithm.outer_loops": Choice(values=(None, 1, 2)), "algorithm": Choice(values=(DC(), DM()))},
        {"space": Layers(), "resolution": Choice(values=(32, 64), when={"space": ("pixel",)})},
        {**RATES, "space": Layers(), "algorithm": Choice(values=(DC(), DM(), MTT()))},
        {"learn_generator": Choice(values=(False,))},
        {"algorithm.learning_rates.f": IntRange(low=1, high=100)},
    ):
        check_search(search(vary))


def test_only_the_run_that_is_drawn_has_to_be_possible():
    base = MATCHING.replace(algorithm=MTT(experts=Experts(epochs=4), max_start_epoch=3, expert_epochs=2))
    # With the first alone, epoch 6 would be needed of experts that have 4.
    vary = {"algorithm.expert_epochs": Choice(values=(4,)), "algorithm.max_start_epoch": Choice(values=(1,))}
    ((run, _),) = combinations(search(vary, base=base), lambda parameter: parameter.range.values)
    assert (run.algorithm.expert_epochs, run.algorithm.max_start_epoch) == (4, 1)


def test_a_condition_may_name_a_field_that_is_listed_later():
    rate = FloatRange(low=1, high=2, when={"images_per_class": (10,)})
    made = search({"algorithm.learning_rates.f": rate, "images_per_class": Choice(values=(1, 10))})
    assert {run.images_per_class: len(names) for run, names in all_of(made)} == {1: 1, 10: 2}


def test_the_papers_choices_come_first_where_they_are_in_range():
    deep = GENERATOR.replace(resolution=64, num_layers=20)
    vary = {"space": Layers(), "algorithm": Choice(values=(DC(), DM())), **RATES}
    points = first_points(search(vary, base=BASE.replace(generator=deep, images_per_class=1)))
    assert [(point["space"], point["algorithm.learning_rates.f"]) for point in points] == [("f16", 0.1), ("f20", 1.0)]
    assert [point["algorithm"].split()[0] for point in points] == ["dc", "dm"]


def test_where_the_papers_layer_is_none_of_the_generator_the_base_space_stands_in():
    (point,) = first_points(search({"space": Layers(), "algorithm.learning_rates.f": FloatRange(low=5, high=50)}))
    assert point == {"space": "f2"}, "the paper's rate of 1 is out of range, and is drawn"


def test_own_first_points_come_before_the_papers():
    points = first_points(search({"space": Layers()}, first=({"space": "w+"},)))
    assert points == [{"space": "w+"}, {"space": "f2"}]


@pytest.mark.parametrize(
    ("point", "sentence"),
    [({"space": "f9"}, "space='f9', which is out of its range"), ({"seed": 1}, "Unknown field in first 'seed'")],
)
def test_first_points_out_of_range(point, sentence):
    with pytest.raises(UserError, match=sentence):
        check_search(search({"space": Layers()}, first=(point,)))


def test_grid_points():
    made = search(
        {
            "space": Choice(values=("w+", "f2")),
            "algorithm.learning_rates.f": FloatRange(low=1, high=100, log=True),
            "images_per_class": IntRange(low=1, high=2),
        }
    )
    assert [tuple(point.values()) for point in grid_points(made, 3)] == [
        ("w+", 1),
        ("w+", 2),
        *(("f2", rate, ipc) for rate in (1, pytest.approx(10), 100) for ipc in (1, 2)),
    ]


def test_representatives_need_what_any_run_does():
    made = search(
        {
            "space": Layers(),
            "generator": Choice(values=(GENERATOR, OTHER)),
            "algorithm": Choice(values=(DM(), MTT())),
            "images_per_class": IntRange(low=1, high=50),
        }
    )
    runs = representatives(made)
    assert {run.generator for run in runs} == {None, GENERATOR, OTHER}
    assert {run.expert_set is not None for run in runs} == {True, False}
    assert max(run.images_per_class for run in runs) == 50
    assert {(run.generator, run.space) for run in runs} == {(run.generator, run.space) for run, _ in all_of(made)}
