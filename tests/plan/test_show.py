"""What a plan tells people."""

import io

import pytest
from rich.console import Console

from glad_ray.plan import make_plan
from glad_ray.plan.cost import estimate, expert_flops
from glad_ray.plan.show import plan_tables
from glad_ray.plan.total import total
from glad_ray.spec import DC, DM, MTT, Evaluation, RandomStyleGAN, Run, Sweep, WholeDataset
from tests.data.hub import parquet
from tests.data.trees import write_classes


def sweep_of(*runs, **evaluation):
    return Sweep(name="shown", runs=runs, evaluations=Evaluation(**evaluation))


def told(sweep, done=frozenset()):
    console = Console(file=io.StringIO(), width=300, soft_wrap=True)
    for part in plan_tables(make_plan(sweep), done):
        console.print(part)
    return console.file.getvalue()


MATCHED = Run(algorithm=MTT(), dataset="imagenet-a")
WHOLE = Run(algorithm=WholeDataset(), dataset="imagenet-a")


def test_what_real_images_take_is_told_of_algorithms_that_match_them():
    sentence = "Real images of dc and dm go through the backbone in parts of at most 2 GiB of activations"
    assert told(sweep_of(Run(algorithm=DM()), Run(algorithm=DC()), Run(algorithm=DM(), seed=1))).count(sentence) == 1
    assert "activations" not in told(sweep_of(MATCHED, WHOLE))


def test_every_layer_of_a_space_is_told_what_it_takes():
    generator = RandomStyleGAN(image_channels=1, num_layers=4)
    text = told(sweep_of(Run(algorithm=DM(), space="f1>..>f3", generator=generator)))
    assert "several in this order, as w+>f0." in text
    assert [f"  {space}: a gradient takes" in text for space in ("f0", "f1", "f2", "f3", "f4")] == [
        False, True, True, True, False,
    ]  # fmt: skip
    assert "dm" in text
    assert "f1>..>f3" in text


class TestWhitening:
    run = Run(algorithm=MTT(), dataset="cifar10", whitening="zca", held_out=5)

    def test_what_is_whitened_and_what_fitting_takes(self):
        text = told(sweep_of(self.run, self.run.replace(seed=1), Run(algorithm=DM(), dataset="cifar10")))
        assert text.count("Whitening of CIFAR-10 at 32 pixels: fitted once") == 1
        assert "without 5 held out per class" in text
        assert "75.5 MB" in text  # two matrices of 3072 x 3072 float32, and the mean
        assert "cifar10 32px, whitened" in text
        assert "ConvNet on cifar10 whitened" in text

    def test_no_word_where_nothing_is_whitened(self):
        assert "hiten" not in told(sweep_of(self.run.replace(whitening="none")))

    def test_it_is_counted_once_and_by_the_image(self):
        sweep = sweep_of(self.run)
        twice = [self.run, self.run.replace(seed=1)]
        assert total(twice, sweep).whitening_flops == total(twice[:1], sweep).whitening_flops > 2 * 49_950 * 3072**2
        plain = self.run.replace(whitening="none")
        assert total([plain], sweep).whitening_flops == 0
        whitened, others = (expert_flops(run.expert_set) for run in (self.run, plain))
        # Every expert sees every training image once an epoch.
        assert whitened - others == pytest.approx(2 * 3072**2 * 49_950 * 15 * 100)


class TestAbout:
    def test_times_of_experts_rest_on_the_number_of_images(self):
        (line,) = (line for line in told(sweep_of(MATCHED)).splitlines() if "100 experts" in line)
        assert "about 28 days" in line

    def test_so_do_those_of_training_on_the_whole_dataset(self):
        (line,) = (
            line for line in told(sweep_of(WHOLE)).splitlines() if "whole" in line and "imagenet-a 128px" in line
        )
        assert "about 57 days" in line

    def test_it_is_explained_once(self):
        other = MATCHED.replace(dataset="imagenet-b")
        text = told(sweep_of(MATCHED, WHOLE, other))
        assert text.count("12,812") == 1
        assert "About: ImageNet's mean of 12,812 training images is counted for ImageNet-A, ImageNet-B; their" in text

    @pytest.mark.parametrize(
        "run",
        [
            Run(algorithm=DC(), dataset="imagenet-a"),
            MATCHED.replace(dataset="imagenette"),
            WHOLE.replace(dataset="cifar10"),
        ],
        ids=["takes batches of them", "is published", "is known"],
    )
    def test_nothing_is_about_where_no_estimate_matters(self, run):
        text = told(sweep_of(run))
        assert "About" not in text
        assert "about " not in text.partition("runs to do: about")[0]


def test_epochs_on_the_whole_dataset_are_told():
    assert "each trained 5 times for 1,000 epochs, 30 on the whole dataset." in told(sweep_of(WHOLE))
    assert "each trained 5 times for 1,000 epochs." in told(sweep_of(MATCHED))


class TestTheTotal:
    def test_experts_are_counted_once(self):
        sweep = sweep_of(MATCHED, MATCHED.replace(seed=1), repeats=2)
        (expert_set,) = make_plan(sweep).expert_sets
        cost = total(sweep.runs, sweep)
        of_runs = [estimate(run, sweep.evaluations) for run in sweep.runs]
        assert cost.run_flops == sum(of.distill_flops + of.evaluate_flops for of in of_runs)
        assert (cost.expert_flops, cost.expert_bytes) == (expert_flops(expert_set), expert_set.kept_bytes)
        assert cost.flops == cost.run_flops + cost.expert_flops
        assert cost.gpu_hours == pytest.approx(cost.flops / 20e12 / 3600)

    def test_it_is_of_what_is_left(self):
        sweep = sweep_of(MATCHED, Run(algorithm=DM(), dataset="imagenet-a"))
        assert "Experts take 1.4 of these hours, and 3.9 GB." in told(sweep)
        left = told(sweep, done={MATCHED.run_id})
        assert "1 of 2 runs to do" in left
        assert "Experts take" not in left


def test_a_path_is_told_as_it_is(tmp_path):
    write_classes(tmp_path / "[old]", {"train": {"a": 1, "b": 1}, "test": {"a": 1, "b": 1}}, (8, 8))
    name = f"folder:{tmp_path / '[old]'}"
    text = told(sweep_of(Run(algorithm=MTT(), dataset=name)))
    assert f"ConvNet on {name}" in text
    assert f"{name} 8px" in text


def test_what_is_not_read_of_a_users_own_dataset_is_told_once(tmp_path):
    parquet(tmp_path, {"train.parquet": 3, "test.parquet": 2, "validation.parquet": 2})
    run = Run(algorithm=DM(), dataset=f"hf:{tmp_path}")
    text = told(sweep_of(run, run.replace(seed=1)))
    assert text.count("not read: split validation") == 1
