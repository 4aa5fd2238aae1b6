from pathlib import Path

import pytest

from glad_ray.report import wording
from glad_ray.report.tables.accuracy import sections
from glad_ray.report.tables.identity import identities, space_order, variants
from glad_ray.spec import DM, RandomStyleGAN, Run, StyleGANFile
from tests.generators import kinds
from tests.generators.kinds import write_stylegan
from tests.report.rows import row


def test_the_mean_of_the_unseen_is_the_papers():
    # Table 3 of the paper: MTT in pixel space on CIFAR-10, and its mean of the four unseen networks, 24.1 +- 0.8.
    paper = {"alexnet": (26.8, 0.6), "resnet18": (23.4, 1.3), "vgg11": (24.9, 0.8), "vit": (21.2, 0.4)}
    rows = [
        row(network, (mean + sign * std) / 100)
        for network, (mean, std) in {**paper, "convnet": (99.0, 9.0)}.items()
        for sign in (1, -1)
    ]
    (section,) = sections(rows, {"r": ""})
    unseen = section.tables[0].rows[0].unseen
    assert f"{100 * unseen.mean:.1f} {100 * unseen.std:.1f}" == "24.1 0.8"


def test_spaces_stand_in_the_order_of_the_generator():
    order = ["pixel", "w+", "f0", "f2", "f10", "f0>f2", "f0>f10", "z", "z+"]
    assert sorted(["z+", "f10", "f0>f10", "w+", "f2", "f0>f2", "z", "pixel", "f0"], key=space_order) == order


class TestVariants:
    generator = RandomStyleGAN(image_channels=1)

    def told(self, *runs):
        records = {run.run_id: run for run in runs}
        labels = variants(identities([], records), records)
        return [labels[run.run_id] for run in runs]

    def test_a_run_alone_needs_no_label(self):
        assert self.told(Run(algorithm=DM())) == [""]

    def test_the_seed_is_no_setting(self):
        assert self.told(Run(algorithm=DM()), Run(algorithm=DM(), seed=1)) == ["", ""]

    def test_whitening_is_always_told(self):
        whitened = Run(algorithm=DM(), whitening="zca")
        assert self.told(whitened) == ["whitening zca"]
        assert self.told(Run(algorithm=DM()), whitened) == ["", "whitening zca"]
        assert self.told(whitened, whitened.replace(held_out=5)) == [
            "held_out 0, whitening zca", "held_out 5, whitening zca",
        ]  # fmt: skip

    def test_only_what_differs_is_told(self):
        run = Run(algorithm=DM(iterations=10))
        other = run.replace(algorithm=DM(iterations=20), held_out=5)
        assert self.told(run, other) == ["iterations 10, held_out 0", "iterations 20, held_out 5"]

    def test_other_spaces_are_other_rows_and_not_compared(self):
        assert self.told(Run(algorithm=DM()), Run(algorithm=DM(iterations=3), images_per_class=10)) == ["", ""]

    def test_generators_are_told_apart(self):
        run = Run(algorithm=DM(), space="f4", generator=self.generator)
        other = run.replace(generator=self.generator.replace(seed=7))
        assert self.told(run, other) == ["generator.seed 0", "generator.seed 7"]

    def test_generators_in_files_are_told_apart_by_their_names(self):
        small = self.generator.replace(channel_max=2)
        files = [kinds.stylegan_file(small.replace(seed=seed)) for seed in (0, 1)]
        runs = [Run(algorithm=DM(), space="f4", generator=file) for file in files]
        assert self.told(*runs) == [Path(file.path).name for file in files]

    def test_files_of_the_same_name_are_told_apart_by_what_they_hold(self, tmp_path):
        small = self.generator.replace(channel_max=2)
        folders = [tmp_path / "one", tmp_path / "other"]
        for seed, folder in enumerate(folders):
            folder.mkdir()
            write_stylegan(folder / "prior", small.replace(seed=seed))
        files = [StyleGANFile(path=str(folder / "prior.json")) for folder in folders]
        runs = [Run(algorithm=DM(), space="f4", generator=file) for file in files]
        assert self.told(*runs) == [f"generator.file prior.json ({file.sha256[:8]})" for file in files]

    def test_a_name_stands_for_all_that_generators_of_other_kinds_have(self):
        file = kinds.stylegan_file(self.generator.replace(channel_max=2))
        runs = [
            Run(algorithm=DM(), space="f4", generator=self.generator),
            Run(algorithm=DM(), space="f4", generator=self.generator.replace(seed=7)),
            Run(algorithm=DM(), space="f4", generator=file),
        ]
        assert self.told(*runs) == [
            "random StyleGAN-XL, generator.seed 0",
            "random StyleGAN-XL, generator.seed 7",
            f"{Path(file.path).name}",
        ]

    def test_generators_of_several_kinds_are_named(self):
        runs = [
            Run(algorithm=DM(), space="pixel", resolution=32),
            Run(algorithm=DM(), space="f4", generator=self.generator),
            Run(algorithm=DM(), space="z", generator=kinds.BLOBS),
        ]
        assert self.told(*runs) == ["", "random StyleGAN-XL", "tests.generators.own_generators:blobs"]

    def test_rates_of_latents_that_a_space_has_not_are_left_out(self):
        rates = DM().learning_rates
        faster = DM(learning_rates=rates.replace(pixels=3.0, f=5.0))
        assert self.told(Run(algorithm=DM()), Run(algorithm=faster)) == [
            "learning_rates.pixels 1", "learning_rates.pixels 3",
        ]  # fmt: skip
        idle = DM(learning_rates=rates.replace(f=5.0))
        assert self.told(Run(algorithm=DM()), Run(algorithm=idle)) == ["learning_rates.f 1", "learning_rates.f 5"]

    def test_a_run_without_a_record_is_told_by_its_id(self):
        run = Run(algorithm=DM())
        rows = [row("vit", 0.5, run_id="lost", algorithm="dm", dataset=run.dataset, resolution=28)]
        records = {run.run_id: run}
        assert variants(identities(rows, records), records)["lost"] == "run lost"

    def test_augmentation_is_told_in_words(self):
        assert self.told(Run(algorithm=DM()), Run(algorithm=DM(), augmentation="")) == [
            "augmentation DSA", "augmentation none",
        ]  # fmt: skip


class TestBaselines:
    def table(self, *rows):
        (section,) = sections(rows, {row["run_id"]: "" for row in rows})
        return section.last

    def test_the_whole_dataset_stands_last_in_every_section(self):
        rows = [
            row("vit", 0.9, run_id="w", algorithm="whole", ipc=None),
            row("vit", 0.5, run_id="a", ipc=1),
            row("vit", 0.6, run_id="b", ipc=10),
        ]
        made = sections(rows, {"w": "", "a": "", "b": ""})
        assert [(s.ipc, [r.algorithm for r in s.rows]) for s in made] == [(1, ["mtt", "whole"]), (10, ["mtt", "whole"])]

    def test_the_whole_dataset_alone_has_a_section(self):
        (section,) = sections([row("vit", 0.9, algorithm="whole", ipc=None)], {"r": ""})
        assert section.ipc is None

    def test_the_order_is_baselines_distilled_whole(self):
        names = ("whole", "mtt", "kmeans", "random", "herding", "dc")
        table = self.table(*(row("vit", 0.5, run_id=name, algorithm=name) for name in names))
        assert [row.algorithm for row in table.rows] == ["random", "herding", "kmeans", "dc", "mtt", "whole"]

    def test_hard_is_never_set_against_soft(self):
        table = self.table(
            row("vit", 0.5, run_id="r", algorithm="random", labels="teacher"),
            row("vit", 0.6, run_id="own", labels="own"),
            row("vit", 0.9, run_id="w", algorithm="whole", labels="hard", ipc=None),
        )
        random, own, whole = table.rows
        assert table.over_random(own) == pytest.approx(0.1)
        assert table.over_random(whole) is None
        assert table.over_random(random) is None

    def test_labels_are_never_pooled(self):
        table = self.table(row("vit", 0.5, labels="teacher"), row("vit", 0.7, labels="own", run_id="s", seed=1))
        assert sorted(row.unseen.mean for row in table.rows) == [0.5, 0.7]

    def test_random_images_are_those_trained_with_the_same_augmentation(self):
        table = self.table(
            row("vit", 0.5, run_id="r", algorithm="random"),
            row("vit", 0.3, run_id="p", algorithm="random", augmentation="", evaluation_epochs=300),
            row("vit", 0.6, run_id="a"),
            row("vit", 0.6, run_id="b", algorithm="dc", augmentation="", evaluation_epochs=300),
        )
        over = {row.run_ids: table.over_random(row) for row in table.rows}
        assert (over["a",], over["b",]) == (pytest.approx(0.1), pytest.approx(0.3))

    def test_whitened_images_are_set_against_whitened_ones_and_never_pooled_with_others(self):
        table = self.table(
            row("vit", 0.5, run_id="r", algorithm="random"),
            row("vit", 0.7, run_id="a", whitening="zca"),
            row("vit", 0.6, run_id="b", seed=1),
        )
        over = {row.run_ids: table.over_random(row) for row in table.rows}
        assert (over["a",], over["b",]) == (None, pytest.approx(0.1))
        table = self.table(
            row("vit", 0.5, run_id="r", algorithm="random"),
            row("vit", 0.4, run_id="z", algorithm="random", whitening="zca"),
            row("vit", 0.7, run_id="a", whitening="zca"),
        )
        assert {row.run_ids: table.over_random(row) for row in table.rows}["a",] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("size", "text"),
    [(784, "784 B"), (7840, "7.8 kB"), (10_000, "10 kB"), (3_136_000, "3.1 MB"), (47_040_000, "47 MB")],
)
def test_sizes(size, text):
    assert wording.size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.0421, "0.042 s"), (3.46, "3.5 s"), (9.96, "10 s"), (61.4, "61 s"), (100, "1 min 40 s"),
     (7199, "119 min 59 s"), (11520, "3 h 12 min")],
)  # fmt: skip
def test_durations(seconds, text):
    assert wording.duration(seconds) == text


def test_memory():
    assert wording.memory(512 * 2**20) == "512 MiB"
    assert wording.memory(3.1 * 2**30) == "3.1 GiB"


@pytest.mark.parametrize(
    ("key", "name", "detail"),
    [("resnet18", "ResNet18", ""), ("resnet18-w16", "ResNet18", "width 16"),
     ("convnet-w32-d2-batchnorm", "ConvNet", "width 32, depth 2, batchnorm"), ("mine-w2", "mine-w2", "")],
)  # fmt: skip
def test_network_names(key, name, detail):
    assert (wording.network_name(key), wording.network_detail(key)) == (name, detail)


def test_descriptions_are_reflowed_but_for_what_is_indented():
    text = """A claim that is
    wrapped.

        glad-ray sweep x.py

    The end.
    """
    assert wording.paragraphs(text) == [
        (False, "A claim that is wrapped."),
        (True, "glad-ray sweep x.py"),
        (False, "The end."),
    ]
