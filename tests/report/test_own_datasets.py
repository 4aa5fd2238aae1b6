"""What was made of a user's own images is read, reported and exported where the images are not."""

import json
import shutil

import pytest

from glad_ray.cli import main
from glad_ray.errors import DataError
from glad_ray.report import write_report
from glad_ray.spec import DM, DSA, DatasetFacts, Run, dataset_facts
from glad_ray.storage import Storage
from tests.data.trees import write_classes

SIDE = 16
CLASSES = {"ape": 3, "zebra": 4}
SWEEP = """
from glad_ray import DM, Evaluation, Network, RandomReal, Run, Sweep, WholeDataset, grid

NETWORK = Network(width=4)

def sweep():
    base = Run(algorithm=RandomReal(), dataset={dataset!r}, backbone=NETWORK)
    runs = (base, base.replace(algorithm=DM(iterations=1)), base.replace(algorithm=WholeDataset()))
    return Sweep(name="own", runs=runs, evaluations=Evaluation(
        networks=(NETWORK,), repeats=1, epochs=1, whole_dataset_epochs=1))
"""


@pytest.fixture(scope="module")
def after(tmp_path_factory):
    """A finished sweep whose images are gone, as another machine has it: its storage and the name of its dataset."""
    folder = tmp_path_factory.mktemp("own")
    name = f"folder:{folder / 'animals'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLAD_RAY_CACHE", str(folder / "cache"))
        write_classes(folder / "animals", {"train": CLASSES, "test": {"ape": 2, "zebra": 3}}, (SIDE, SIDE))
        (folder / "mine.py").write_text(SWEEP.format(dataset=name))
        sweep = ("sweep", str(folder / "mine.py"), "--storage", str(folder / "kept"), "--in-process", "--device", "cpu")
        assert main(sweep) == 0
    shutil.rmtree(folder / "animals")
    shutil.rmtree(folder / "cache")
    with pytest.raises(DataError):
        dataset_facts(name)
    return Storage.open(folder / "kept", create=False), name


def distilled(storage):
    runs = (Run.model_validate_json(storage.read_bytes(f"{path}/run.json")) for path in storage.list(storage.RUNS))
    (run_id,) = (run.run_id for run in runs if run.distils)
    return str(storage.local_path(storage.synthetic_set_path(run_id)))


@pytest.mark.parametrize("plan", [True, False], ids=["from the plan", "from the runs' own records"])
def test_the_report_tells_classes_and_counts(after, plan, tmp_path):
    kept, name = after
    storage = Storage.open(shutil.copytree(kept.uri, tmp_path / "copy"))
    if not plan:
        storage.delete(storage.PLAN)
    page = storage.read_bytes(write_report(storage)).decode()
    assert name in page
    assert "<li>ape</li><li>zebra</li>" in page
    assert "all 5" in page


@pytest.mark.parametrize("form", ["images", "tensors", "huggingface"])
def test_a_set_is_exported(after, form, tmp_path, capsys):
    storage, name = after
    assert main(("export", distilled(storage), "--as", form, "--to", str(tmp_path / "out"))) == 0
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert written
    if form != "tensors":
        assert not any(str(name).encode() in path.read_bytes() for path in written)


def test_evaluation_says_what_it_misses(after, capsys):
    storage, name = after
    assert main(("evaluate", distilled(storage), "--network", "convnet", "--repeats", "1", "--epochs", "1")) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    assert f"{name.removeprefix('folder:')} is no folder with images" in error


class TestTheRecord:
    @pytest.fixture
    def run(self, tmp_path):
        write_classes(tmp_path / "mine", {"train": CLASSES, "test": CLASSES}, (SIDE, SIDE))
        return Run(algorithm=DM(), dataset=f"folder:{tmp_path / 'mine'}")

    def test_it_tells_its_dataset_and_its_id_does_not(self, run):
        said = json.loads(run.model_dump_json())["own_dataset"]
        assert (said["class_names"], said["train_images"]) == (["ape", "zebra"], 7)
        assert "own_dataset" not in run.model_dump(context={"identity": True})

    def test_it_is_read_back_as_it_was(self, run):
        read = Run.model_validate_json(run.model_dump_json())
        assert read == run
        assert isinstance(read.facts, DatasetFacts)
        assert read.run_id == run.run_id

    def test_it_tells_of_the_dataset_that_it_names(self, run):
        read = Run.model_validate_json(run.model_dump_json())
        assert read.replace(augmentation="").facts == run.facts
        assert read.replace(dataset="cifar10").own_dataset is None
        assert run.replace(dataset="cifar10").facts == dataset_facts("cifar10")
        assert run.replace(dataset="cifar10", augmentation=DSA).replace(dataset=run.dataset).facts == run.facts

    def test_records_of_named_datasets_are_what_they_were(self):
        assert "own_dataset" not in Run(algorithm=DM()).model_dump()
