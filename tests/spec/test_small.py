"""A small sweep is the same grid at the least budget."""

from glad_ray.paper import FIVE, FOUR_PRIORS
from glad_ray.spec import (
    DC,
    DM,
    MTT,
    NCFM,
    Evaluation,
    Herding,
    Network,
    RandomReal,
    RandomStyleGAN,
    Run,
    Sweep,
    WholeDataset,
    grid,
)
from glad_ray.spec.small import small

BASE = Run(algorithm=RandomReal(), dataset="fashion-mnist", resolution=128, images_per_class=10, held_out=50)
ALGORITHMS = [DC(), DM(), MTT(), NCFM(), Herding(), WholeDataset()]
DEEP = RandomStyleGAN(image_channels=1, num_layers=20)
SWEEP = Sweep(
    name="large",
    runs=[
        *(BASE.replace(algorithm=each, images_per_class=1) for each in ALGORITHMS),
        *grid(BASE.replace(resolution=None), algorithm=[DC(), MTT()], space=["f12"], generator=[DEEP]),
    ],
    evaluations=Evaluation(networks=["convnet", "vit", Network(name="torchvision.models:resnet18")]),
)


def test_the_grid_stays_and_the_budget_goes():
    made = small(SWEEP)
    assert made.name == "large-small"
    assert len(made.runs) == len(SWEEP.runs)
    for run, large in zip(made.runs, SWEEP.runs, strict=True):
        assert (run.dataset, run.pixels, run.space) == ("fashion-mnist-sample", 32, large.space)
        assert type(run.algorithm) is type(large.algorithm)
        assert run.steps <= 3
        assert run.images_per_class <= 2
    (evaluation,) = made.evaluations
    assert [network.key for network in evaluation.networks] == [
        "convnet-w8", "vit-w16", "torchvision.models.resnet18",
    ]  # fmt: skip
    assert (evaluation.repeats, evaluation.epochs) == (1, 2)


def test_every_layer_of_a_space_keeps_a_step():
    spaces = ["f1>..>f12", "f0>f12>f20"]
    base = BASE.replace(resolution=None, algorithm=DM(), space=spaces[1], generator=DEEP, held_out=5)
    runs = [
        base.replace(algorithm=algorithm, space=space, schedule={"choice": choice})
        for algorithm in (DC(), DM(), MTT())
        for space, choice in zip(spaces, ("last", "nearest"), strict=True)
    ]
    made = small(SWEEP.replace(runs=[*runs, base.replace(schedule={"shares": (90, 5, 5)})])).runs
    assert [run.space for run in made] == 3 * spaces
    assert {run.steps for run in made if run.space == spaces[0]} == {12}
    assert {run.steps for run in made if run.space == spaces[1]} <= {3}
    assert {run.schedule.choice for run in made if run.space == spaces[0]} == {"last"}


def test_what_differs_only_by_its_data_becomes_one():
    runs = [BASE.replace(dataset=name) for name in ("fashion-mnist", "fashion-mnist-sample")]
    assert len(small(SWEEP.replace(runs=runs)).runs) == 1


def test_a_prior_that_is_not_there_is_a_random_one_with_its_layers():
    base = Run(
        algorithm=DC(), dataset="imagenet-a", resolution=256, space="f12", generator=FOUR_PRIORS[0], init="gaussian"
    )
    made = small(Sweep(name="priors", runs=grid(base, dataset=FIVE, generator=FOUR_PRIORS))).runs
    assert len(made) == len(FOUR_PRIORS), "five datasets become one"
    assert len({run.generator.seed for run in made}) == len(FOUR_PRIORS)
    for run, prior in zip(made, FOUR_PRIORS, strict=True):
        assert run.generator.spaces == prior.spaces
        assert (run.init, run.space, run.generator_classes) == ("gaussian", "f12", ())


def test_classes_of_imagenet_are_the_generators_own():
    (run, *_) = grid(Run(algorithm=DC(), dataset="imagenet-b", resolution=256, space="f12", generator=FOUR_PRIORS[0]))
    assert run.generator_classes == (129, 916, 90, 275, 995, 874, 102, 259, 685, 139)
    assert run.replace(generator=FOUR_PRIORS[1]).generator_classes == ()
    assert run.replace(dataset="imagenet-a").generator_classes[0] == 255
    assert run.replace(generator_classes=range(10)).generator_classes == tuple(range(10))
