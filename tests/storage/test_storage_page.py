"""docs/storage.md lists every path that a storage names, and every file that a sweep leaves."""

import inspect
import re
from pathlib import Path

from glad_ray.cli import main
from glad_ray.storage import Storage
from glad_ray.storage_layout import StorageLayout
from tests.generator_training.trainings import assignments, training_of

PAGE = (Path(__file__).parents[2] / "docs/storage.md").read_text()
LISTED = re.findall(r"^\| `([^`]+)` \|.*\|.*\|$", PAGE.partition("## The ledger")[0], re.MULTILINE)
ENTRIES = re.findall(r"^\| `([^`]+)` \|", PAGE.partition("## The ledger")[2], re.MULTILINE)

SWEEP = """
from glad_ray import DM, MTT, Evaluation, Experts, LearningRates, Network, Run, Sweep

def sweep():
    fast = DM(iterations=2, real_batch_size=4, learning_rates=LearningRates(pixels=1e30, f=1.0, w=1.0))
    mtt = MTT(iterations=3, synthetic_steps=1, expert_epochs=1, experts=Experts(count=1, epochs=2))
    base = Run(algorithm=mtt, resolution=32, backbone=Network(width=4), held_out=4, checkpoint_every=1)
    evaluation = Evaluation(networks=[Network(width=4)], repeats=1, epochs=1, test_images=20)
    return Sweep(name="small", evaluations=evaluation, runs=[base, base.replace(algorithm=fast)])
"""


def pattern(listed):
    return re.compile(re.sub(r"<[^>]+>", "[^/]+", re.sub(r"[.]", r"\\.", listed)))


def is_listed(path, names=LISTED):
    return any(pattern(name).fullmatch(path) for name in names)


def test_every_path_that_storage_names_is_listed():
    constants = {value for name, value in vars(StorageLayout).items() if name.isupper()}
    folders = {name.partition("/")[0] for name in LISTED}
    assert all(is_listed(value) or value in folders for value in constants)
    methods = [
        name for name, value in vars(StorageLayout).items() if isinstance(value, staticmethod) and "_path" in name
    ]
    assert len(methods) > 10
    for name in methods:
        parameters = inspect.signature(getattr(Storage, name)).parameters
        values = [1 if each.annotation in (int, "int") else each.name for each in parameters.values()]
        assert is_listed(getattr(Storage, name)(*values)), name


SEARCH = """
from glad_ray import DM, Choice, Evaluation, Network, Run, Rung, Search

def search():
    base = Run(algorithm=DM(iterations=2, real_batch_size=4), resolution=32, backbone=Network(width=4), held_out=4)
    evaluation = Evaluation(networks=[Network(width=4)], repeats=1, epochs=1, test_images=20)
    vary = {"algorithm.learning_rates.pixels": Choice(values=[0.1, 1.0])}
    return Search(name="few", base=base, vary=vary, rungs=[Rung(share=1, epochs=1)], evaluation=evaluation, seeds=1)
"""


def test_every_file_of_a_sweep_search_or_evaluation_is_listed_and_every_one_listed_is_written(tmp_path, monkeypatch):
    (tmp_path / "small.py").write_text(SWEEP)
    (tmp_path / "few.py").write_text(SEARCH)
    written, write, upload = set(), Storage.write_bytes, Storage.upload
    monkeypatch.setattr(Storage, "write_bytes", lambda self, path, data: (written.add(path), write(self, path, data)))
    monkeypatch.setattr(Storage, "upload", lambda self, source, path: (written.add(path), upload(self, source, path)))
    words = ["sweep", str(tmp_path / "small.py"), "--storage", str(tmp_path / "results"), "--in-process", "--profile"]
    assert main([*words, "--device", "cpu"]) == 1
    words = ["search", str(tmp_path / "few.py"), "--storage", str(tmp_path / "search"), "--in-process"]
    assert main([*words, "--device", "cpu"]) == 0
    (made, *_) = (tmp_path / "results").rglob("synthetic_set.safetensors")
    words = ["evaluate", str(made), "--storage", str(tmp_path / "scored"), "--network", "alexnet", "--repeats", "1"]
    assert main([*words, "--epochs", "1", "--set", "evaluation.test_images=20", "--device", "cpu"]) == 0
    assert main(["report", str(tmp_path / "results"), str(tmp_path / "search")]) == 0
    training = training_of()
    words = ["generator", "train", "--dataset", training.dataset, "--resolution", "16", "--in-process"]
    words += ["--storage", str(tmp_path / "generators"), "--device", "cpu", *assignments(training)]
    assert [main([*words, "--hours", "0"]), main(words)] == [3, 0]
    written = {path for path in written if not path.startswith(".")}
    assert [path for path in written if not is_listed(path)] == []
    # Only a sweep on a cluster has replicas, and the journal is Optuna's to write.
    unwritten = {name for name in LISTED if not any(is_listed(path, [name]) for path in written)}
    assert unwritten == {Storage.REPLICAS, Storage.SEARCH_STUDY}
    assert (tmp_path / "search" / Storage.SEARCH_STUDY).exists()
    entries = {Path(path).stem for path in written if "/ledger/" in path}
    assert [name for name in entries if not is_listed(name, ENTRIES)] == []
    assert [name for name in ENTRIES if not any(is_listed(each, [name]) for each in entries)] == []
