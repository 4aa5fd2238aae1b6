import pytest

from glad_ray.report.published.comparison import comparisons, context, shortfalls
from glad_ray.report.published.numbers import Published, published_numbers
from glad_ray.report.tables.accuracy import Score, sections
from glad_ray.spec import DC, DM, DSA, MTT, RDED, Network, RandomReal, RandomStyleGAN, Run, WholeDataset
from tests.generators import kinds
from tests.report.rows import row

GENERATOR = RandomStyleGAN(resolution=32, image_channels=1)
UNSEEN = ("alexnet", "vgg11", "resnet18", "vit")
GLAD = "GLaD, CVPR 2023"


def number(**changes):
    fields = {
        "source": "A, B 2021", "table": "", "dataset": "fashion-mnist", "resolution": 28, "ipc": 1, "algorithm": "dm",
        "parameterisation": "pixel", "generator": "", "layer": "", "network": "convnet",
        "score": Score(mean=0.7, std=0.003), "note": "",
    }  # fmt: skip
    return Published(**fields | changes)


def section_of(run, accuracies=(0.6, 0.61), networks=("convnet",), **changes):
    of_run = {
        "run_id": run.run_id, "dataset": run.dataset, "resolution": run.pixels, "ipc": run.ipc, "space": run.space,
        "algorithm": run.algorithm.name, "generator": run.generator_name, "augmentation": run.augmentation,
    }  # fmt: skip
    rows = [
        row(network, accuracy, **of_run | {"repeat": repeat, "seen": network == run.backbone.key} | changes)
        for network in networks
        for repeat, accuracy in enumerate(accuracies)
    ]
    (section,) = sections(rows, {run.run_id: ""})
    return section


def matches(run, published, **changes):
    return comparisons(section_of(run, **changes), {run.run_id: run}, [published])


WHOLE = {"algorithm": "whole dataset", "parameterisation": "real images", "ipc": None}
FULL = Run(algorithm=DM(), dataset="fashion-mnist")
CIFAR = Run(algorithm=MTT(), dataset="cifar10")
OF_MTT = {"source": "MTT, A 2022", "dataset": "cifar10", "resolution": 32, "algorithm": "mtt"}
LATENT = FULL.replace(resolution=32, space="f4", generator=GENERATOR)
FILE = kinds.stylegan_file(GENERATOR.replace(channel_max=2))
TRAINED = LATENT.replace(generator=FILE.replace(trained_on="imagenet"))
WITH_DSA = {"augmentation": DSA}
RANDOM_PRIOR = {"parameterisation": "latent", "layer": "f4", "resolution": 32, "generator": "stylegan-xl random"}


class TestTheFile:
    def test_numbers_are_typed(self):
        numbers = published_numbers()
        assert len(numbers) == 283 + 311
        assert all(0 < of.score.mean < 1 for of in numbers)
        assert {of.parameterisation for of in numbers} == {"pixel", "latent", "real images", "other"}
        glad = next(of for of in numbers if of.dataset == "imagenet-a" and of.algorithm == "mtt")
        assert (glad.source, glad.table, glad.resolution, glad.ipc) == ("GLaD, CVPR 2023", "Table 1", 128, 1)
        assert (glad.score.mean, glad.score.std) == (pytest.approx(0.334), pytest.approx(0.015))

    def test_dc_says_whether_it_is_augmented_where_its_source_has_both(self):
        dc = [of for of in published_numbers() if (of.algorithm, of.parameterisation) == ("dc", "pixel")]
        notes = {of.note for of in dc if not of.source.startswith(("GLaD", "NCFM"))}
        assert notes == {"without augmentation", "DC with DSA"}
        # NCFM's table quotes DC and says no more.
        assert {of.augmentation for of in dc if of.source.startswith("NCFM")} == {None}
        assert {of.augmentation for of in dc if of.source.startswith("GLaD")} == {DSA}

    def test_what_later_methods_are_of_is_read_from_their_lines(self):
        def said(field, **fields):
            return {
                getattr(of, field)
                for of in published_numbers()
                if all(getattr(of, name).startswith(value) for name, value in fields.items())
            }

        assert said("regime", algorithm="rded") == {"teacher"}
        assert said("regime", algorithm="datm") == {"fixed-soft"}
        assert said("regime", source="NCFM", table="Table 1", algorithm="ncfm") == {None}
        assert said("regime", algorithm="idc") == said("regime", algorithm="mtt") == {"hard"}
        assert said("formation", source="IDC-I") == {1}
        assert said("formation", source="IDC, IDC readme", dataset="cifar10") == {2}
        assert said("formation", source="IDC, IDC readme", dataset="fashion-mnist") == {None}
        assert said("formation", source="NCFM", table="Table 1", algorithm="ncfm") == {2}
        assert said("of_pixels", algorithm="idc") == said("of_pixels", algorithm="ncfm") == {True}
        assert said("of_pixels", source="FreD") == {False}
        assert said("of_schedule", source="H-GLaD") == {True}
        assert said("whitening", algorithm="datm", note="ZCA") == {"zca"}
        assert said("whitening", algorithm="ftd", dataset="cifar10") == {None}
        assert said("whitening", algorithm="mtt", source="GLaD") == {"none"}
        networks = said("network", source="RDED", dataset="cifar10")
        assert networks == {"convnet-batchnorm", "resnet18-batchnorm", "resnet101"}
        assert "resnet18" not in said("network", source="RDED")
        assert said("network", source="RDED", dataset="imagenet-1k", table="") >= {"convnet-batchnorm"}


@pytest.mark.parametrize(
    ("run", "published", "changes"),
    [
        (FULL, number(), {}),
        (FULL.replace(algorithm=MTT()), number(algorithm="mtt"), {}),
        (FULL.replace(algorithm=DC()), number(algorithm="dc", note="DC with DSA"), {}),
        (FULL.replace(algorithm=DC(), augmentation=""), number(algorithm="dc", note="without augmentation"), {}),
        (FULL.replace(algorithm=RandomReal()), number(algorithm="random selection"), {}),
        (FULL.replace(algorithm=WholeDataset()), number(**WHOLE), {}),
        (FULL, number(network="mean of 4 unseen"), {"networks": ("convnet", *UNSEEN)}),
        (FULL.replace(whitening="zca"), number(note="ZCA whitening, learned step size"), {"whitening": "zca"}),
        (LATENT, number(**RANDOM_PRIOR), {}),
        (TRAINED, number(**RANDOM_PRIOR | {"generator": "stylegan-xl imagenet"}), {}),
        (LATENT, number(**RANDOM_PRIOR | {"layer": ""}), {}),
        (FULL, number(ipc=None, source=GLAD), {}),
        (FULL.replace(images_per_class=10), number(ipc=None, source=GLAD), {}),
        (FULL, number(network="not stated"), {}),
        (FULL, number(network="not stated"), {"networks": UNSEEN}),
    ],
)  # fmt: skip
def test_the_same_thing_matches(run, published, changes):
    (found,) = matches(run, published, **changes)
    assert found.ours.mean == pytest.approx(0.605)
    assert found.ours.std == pytest.approx(0.005)
    assert found.difference == pytest.approx(-0.095)
    assert found.deviations == pytest.approx(-0.095 / (0.005**2 + 0.003**2) ** 0.5)
    assert found.apart


@pytest.mark.parametrize(
    ("run", "published", "changes"),
    [
        (FULL.replace(dataset="fashion-mnist-sample"), number(), {}),
        (FULL.replace(resolution=32), number(), {}),
        (FULL, number(ipc=10), {}),
        (FULL, number(ipc=None), {}),
        (FULL.replace(images_per_class=2), number(ipc=None, source=GLAD), {}),
        (FULL, number(algorithm="kip"), {}),
        (FULL.replace(whitening="zca"), number(), {"whitening": "zca"}),
        (FULL, number(note="ZCA whitening"), {}),
        (FULL.replace(whitening="zca", algorithm=WholeDataset()), number(**WHOLE), {"whitening": "zca"}),
        (FULL, number(parameterisation="other"), {}),
        (FULL, number(parameterisation="latent", layer="f4"), {}),
        (FULL.replace(backbone=Network(width=32)), number(network="not stated"), {"networks": ("convnet-w32",)}),
        (FULL, number(network="not stated"), {"networks": ("resnet18", "vit")}),
        (FULL.replace(algorithm=DC(), augmentation=""), number(algorithm="dc", note="DC with DSA"), {}),
        (FULL.replace(algorithm=DC()), number(algorithm="dc", note="without augmentation"), {}),
        (FULL.replace(augmentation=""), number(), {}),
        # Distilled with DSA and trained without it, or the other way round.
        (FULL.replace(algorithm=DC()), number(algorithm="dc", note="DC with DSA"), {"augmentation": ""}),
        (FULL.replace(algorithm=DC(), augmentation=""), number(algorithm="dc", note="without augmentation"), WITH_DSA),
        (FULL, number(), {"labels": "teacher"}),
        (FULL, number(), {"networks": ("convnet-w32",)}),
        (FULL.replace(backbone=Network(width=32)), number(), {}),
        (FULL, number(network="mean of 4 unseen"), {"networks": ("convnet", *UNSEEN[:3])}),
        (FULL, number(network="mean of 4 unseen"), {"networks": ("convnet", *UNSEEN[:3], "vit-w128")}),
        (FULL.replace(backbone=Network(name="resnet18")), number(network="mean of 4 unseen"), {"networks": UNSEEN}),
        (LATENT, number(**RANDOM_PRIOR | {"generator": "stylegan-xl imagenet"}), {}),
        (LATENT, number(**RANDOM_PRIOR | {"layer": "f5"}), {}),
        (LATENT.replace(learn_generator=True), number(**RANDOM_PRIOR), {}),
        (TRAINED, number(**RANDOM_PRIOR), {}),
        (TRAINED.replace(generator=FILE), number(**RANDOM_PRIOR | {"generator": "stylegan-xl imagenet"}), {}),
        (TRAINED.replace(generator=FILE), number(**RANDOM_PRIOR | {"generator": ""}), {}),
        (TRAINED, number(**RANDOM_PRIOR | {"layer": ""}), {}),
        (FULL.replace(algorithm=WholeDataset()), number(**WHOLE | {"algorithm": "dm"}, source=GLAD), {}),
    ],
)  # fmt: skip
def test_another_thing_does_not_match(run, published, changes):
    assert matches(run, published, **changes) == ()


@pytest.mark.parametrize(
    ("run", "published", "networks", "said"),
    [
        (FULL, number(), ("convnet",), [""]),
        (FULL.replace(algorithm=WholeDataset()), number(**WHOLE), ("convnet",), [""]),
        (FULL, number(ipc=None, source=GLAD), ("convnet",), ["images per class not stated; ours: 1"]),
        (LATENT, number(**RANDOM_PRIOR | {"layer": ""}), ("convnet",), ["layer not stated; ours: f4"]),
        (
            LATENT,
            number(**RANDOM_PRIOR | {"layer": "", "ipc": None, "source": GLAD}),
            ("convnet",),
            ["images per class and layer not stated; ours: 1, f4"],
        ),
        (CIFAR, number(**OF_MTT), ("convnet",), ["whitening not stated; ours: none"]),
        (CIFAR, number(**OF_MTT | {"source": "MTT, C 2022", "note": "ZCA whitening"}), ("convnet",), []),
        (
            FULL,
            number(network="not stated"),
            ("convnet", *UNSEEN),
            ["network not stated; ours: ConvNet", "network not stated; ours: mean of 4 unseen"],
        ),
    ],
)  # fmt: skip
def test_what_print_leaves_unsaid_is_said(run, published, networks, said):
    assert [one.unstated for one in matches(run, published, networks=networks)] == said


def test_whitened_images_may_be_what_mtt_printed():
    run = CIFAR.replace(whitening="zca")
    (found,) = matches(run, number(**OF_MTT), whitening="zca")
    assert found.unstated == "whitening not stated; ours: zca"


RDED_RUN = Run(algorithm=RDED(), dataset="cifar10")
OF_RDED = {
    "dataset": "cifar10", "resolution": 32, "algorithm": "rded", "parameterisation": "other",
    "network": "convnet-batchnorm",
}  # fmt: skip
ONLINE = {"labels": "online", "networks": ("convnet-batchnorm",)}


def test_rded_is_set_beside_what_a_teacher_taught_at_every_step():
    (found,) = matches(RDED_RUN, number(**OF_RDED), **ONLINE)
    assert found.unstated == ""
    for labels in ("hard", "teacher", "own"):
        assert matches(RDED_RUN, number(**OF_RDED), **ONLINE | {"labels": labels}) == ()
    assert matches(RDED_RUN, number(**OF_RDED | {"network": "convnet"}), **ONLINE) == ()
    said = shortfalls([found], {RDED_RUN.run_id: RDED_RUN})
    assert "a cosine schedule of the learning rate (theirs: a cosine that ends at one half)" in said
    # Of RDED 300 epochs are enough.
    assert not any("epochs" in each for each in said)
    (short,) = matches(RDED_RUN, number(**OF_RDED), **ONLINE | {"evaluation_epochs": 200})
    assert "200 evaluation epochs (theirs: 300)" in shortfalls([short], {RDED_RUN.run_id: RDED_RUN})


def test_kinds_of_labels_that_are_not_stated_may_be_any():
    unsure = number(note="use of soft labels or fine-tuning not stated")
    (hard,) = matches(FULL, unsure)
    (soft,) = matches(FULL, unsure, labels="teacher")
    assert [hard.unstated, soft.unstated] == [
        "kind of labels not stated; ours: hard labels",
        "kind of labels not stated; ours: fixed soft labels",
    ]


def test_an_augmentation_that_is_not_stated_may_be_either():
    quoted = number(algorithm="dc", source="NCFM, CVPR 2025", note="quoted by the NCFM paper")
    run = FULL.replace(algorithm=DC())
    (with_dsa,) = matches(run, quoted)
    assert with_dsa.unstated == "augmentation not stated; ours: DSA"
    plain = run.replace(augmentation="")
    (without,) = matches(plain, quoted, augmentation="")
    assert without.unstated == "augmentation not stated; ours: no augmentation"
    assert matches(run, quoted, augmentation="") == ()


def test_an_algorithm_with_a_sequential_augmentation_may_be_trained_with_one(monkeypatch):
    monkeypatch.setattr(DM, "usual_augmentation", "sequential:color_crop")
    run = Run(algorithm=DM(), dataset="fashion-mnist")
    assert run.augmentation == "sequential:color_crop"
    for trained in (DSA, "sequential:flip_color_crop"):
        assert len(matches(run, number(), augmentation=trained)) == 1
    assert matches(run, number(), augmentation="flip") == ()
    assert matches(run.replace(augmentation=DSA), number(), augmentation=DSA) == ()


def test_a_walk_through_layers_is_set_beside_no_single_layer():
    walk = number(
        **RANDOM_PRIOR | {"layer": "", "source": "H-GLaD (= H-PD), MGD3 Table 4", "generator": "stylegan-xl random"}
    )
    assert matches(LATENT, walk) == ()
    section = section_of(LATENT, space="f0>f4")
    (found,) = comparisons(section, {LATENT.run_id: LATENT}, [walk])
    assert found.row.space == "f0>f4"
    assert comparisons(section, {LATENT.run_id: LATENT}, [number(**RANDOM_PRIOR | {"layer": ""})]) == ()


def test_images_that_are_decoded_to_several_are_not_set_beside_others():
    formed = number(parameterisation="other", algorithm="idc", note="multi-formation factor 2")
    single = number(parameterisation="other", algorithm="idc", note="no multi-formation")
    assert (formed.formation, single.formation, formed.of_pixels) == (2, 1, True)


def test_a_distilled_set_of_unknown_augmentation_matches_nothing():
    assert comparisons(section_of(FULL), {}, [number()]) == ()


def test_two_deviations_are_not_more_than_two():
    (close,) = matches(FULL, number(score=Score(mean=0.615, std=0.0)), accuracies=(0.6, 0.61))
    assert close.deviations == pytest.approx(-2)
    (unknown,) = matches(FULL, number(score=Score(mean=0.9, std=None)))
    assert unknown.deviations is None
    assert not unknown.apart


def test_the_protocol_of_the_source_is_shown_beside_the_last_step():
    run = FULL.replace(snapshots=2)
    of_run = {"run_id": run.run_id, "dataset": run.dataset, "resolution": 28, "algorithm": "dm"}
    rows = [
        row("convnet", 0.6, selection="last", step=20, **of_run),
        row("convnet", 0.65, selection="best-on-test", step=10, **of_run),
    ]
    (section,) = sections(rows, {run.run_id: ""})
    glad = comparisons(section, {run.run_id: run}, [number(source="GLaD, CVPR 2023")])
    assert [(of.selection, of.ours.mean) for of in glad] == [("last", 0.6), ("best-on-test", 0.65)]
    assert [of.selection for of in comparisons(section, {run.run_id: run}, [number()])] == ["last"]


def test_peers_without_a_counterpart_are_context():
    matched, peer, other_ipc = number(), number(algorithm="kip"), number(algorithm="kip", ipc=10)
    whole = number(**WHOLE)
    section = section_of(FULL)
    numbers = [matched, peer, other_ipc, whole, number(dataset="cifar10", algorithm="kip")]
    compared = comparisons(section, {FULL.run_id: FULL}, numbers)
    assert context(section, compared, numbers) == (peer, whole)
    unstated = number(algorithm="kip", ipc=None, source=GLAD)
    assert context(section, (), [unstated]) == (unstated,)
    assert context(section_of(FULL.replace(images_per_class=50)), (), [unstated]) == ()
    assert context(section_of(FULL.replace(algorithm=WholeDataset())), (), [unstated]) == ()


def test_a_smaller_budget_is_said():
    run = FULL.replace(algorithm=DM(iterations=100, real_batch_size=64))
    compared = matches(run, number(), evaluation_epochs=150, test_images=500)
    assert shortfalls(compared, {run.run_id: run}) == (
        "150 evaluation epochs (theirs: 1,000)",
        "2 trainings (GLaD: 5)",
        "100 steps of DM (theirs: 20,000)",
        "64 real images per class and step of DM (theirs: 256)",
        "a part of the test images",
        "a cosine schedule of the learning rate (the original algorithms: a tenth after half the epochs)",
    )
    accuracies = (0.6, 0.6, 0.6, 0.6, 0.6)
    assert shortfalls(matches(FULL, number(source="GLaD"), accuracies=accuracies), {FULL.run_id: FULL}) == ()


def test_the_original_dc_trains_for_fewer_epochs():
    run = FULL.replace(algorithm=DC(), augmentation="")
    published = number(algorithm="dc", note="without augmentation", source="GLaD")
    accuracies = (0.6, 0.6, 0.6, 0.6, 0.6)
    assert shortfalls(matches(run, published, evaluation_epochs=300, accuracies=accuracies), {run.run_id: run}) == ()
    assert shortfalls(matches(run, published, evaluation_epochs=299, accuracies=accuracies), {run.run_id: run})
