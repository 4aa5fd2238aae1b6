"""Home folders in paths: written out wherever a path is read, and one sentence where there is none."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from glad_ray.cli import main
from glad_ray.data.prepare import CACHE_VARIABLE, cache_folder
from glad_ray.data.readers.files import find_folder
from glad_ray.engine.cluster.connection import node_types
from glad_ray.engine.search.study_storage import open_study_storage
from glad_ray.errors import UserError
from glad_ray.paths import expanded
from glad_ray.spec import DATASETS, DiffusersAutoencoder, StyleGANFile
from glad_ray.storage import Storage

ROOT = Path(__file__).parent.parent
QUICKSTART = str(ROOT / "sweeps/quickstart.py")
NOBODY = 2**31 - 7


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def nameless(tmp_path, monkeypatch):
    """A user of a container that gives neither a name nor a home; the folder of tests, which has a user's name, is
    made before.
    """
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: NOBODY)


def test_a_home_is_written_out(home, monkeypatch):
    assert expanded("~") == home
    assert expanded("~/x/y") == expanded(Path("~/x/y")) == home / "x/y"
    assert expanded("~//x") == home / "x"
    assert expanded("x/~") == Path("x/~")
    assert expanded("./~") == Path("~")
    assert expanded("~root/x") == Path(pwd.getpwnam("root").pw_dir) / "x"
    monkeypatch.setenv("HOME", "/")
    assert expanded("~/x") == Path("/x")


@pytest.mark.parametrize("value", [None, ""])
def test_a_home_that_is_not_set_is_the_users(monkeypatch, value):
    monkeypatch.delenv("HOME", raising=False)
    if value is not None:
        monkeypatch.setenv("HOME", value)
    assert expanded("~/x") == Path(pwd.getpwuid(os.getuid()).pw_dir) / "x"


def test_what_cannot_be_expanded_is_one_sentence(nameless, monkeypatch):
    with pytest.raises(UserError, match=r"~/x names the home folder, and there is none: .* set HOME"):
        expanded("~/x")
    with pytest.raises(UserError, match="this machine has no such user"):
        expanded("~nobody-of-this-name/x")
    monkeypatch.setenv("HOME", "relative")
    with pytest.raises(UserError, match="HOME is 'relative'"):
        expanded("~/x")


@pytest.mark.parametrize(
    "words",
    [
        ["status", "~/x"],
        ["report", "~/x"],
        ["plan", "~/x.py"],
        ["plan", QUICKSTART, "--storage=~/x"],
        ["plan", QUICKSTART, "--cluster=~/x"],
        ["sweep", QUICKSTART, "--storage=~/x", "--in-process"],
        ["search", "~/x.py"],
        ["search", str(ROOT / "sweeps/search_layers.py"), "--storage=~/x", "--in-process"],
        ["distill", "--storage=~/x"],
        ["distill", "--dataset=folder:~/x"],
        ["distill", "--dataset=hf:~/x"],
        ["distill", "--space=f2", "--generator=~/x.pkl"],
        ["evaluate", "~/x"],
        ["evaluate", "x.pt", "--labels=~/x.pt"],
        ["export", "x.safetensors", "--to=~/x"],
        ["experts", "--dataset=mnist", "--storage=~/x", "--in-process"],
        ["experts", "--dataset=mnist", "--storage=x", "--from=~/x.pt", "--in-process"],
        ["generator", "inspect", "~/x.pkl"],
        ["generator", "convert", "x.pkl", "--to=~/x.json"],
    ],
    ids=" ".join,
)
def test_every_option_that_is_a_path(nameless, tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    told = capsys.readouterr().err
    assert "names the home folder, and there is none" in told
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_ray_needs_a_home(nameless, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words in (["sweep", QUICKSTART], ["search", str(ROOT / "sweeps/search_layers.py")]):
        assert main(words) == 2
        assert (
            capsys.readouterr().err == "glad-ray: Ray needs a home folder: set HOME to a folder that can be written.\n"
        )
    assert not list(tmp_path.iterdir())


def test_variables_that_name_a_path(home, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, "~/cache")
    assert cache_folder() == home / "cache"
    monkeypatch.delenv(CACHE_VARIABLE)
    assert cache_folder() == home / ".cache/glad_ray"
    monkeypatch.setenv("GLAD_RAY_DATA", "~/data")
    (home / "data/MNIST/raw").mkdir(parents=True)
    assert find_folder(DATASETS["mnist"], Path.is_dir) == home / "data/MNIST/raw"
    (home / "cluster.yaml").write_text("provider: {type: local}\n")
    monkeypatch.setenv("GLAD_RAY_CLUSTER", "~/cluster.yaml")
    assert node_types("127.0.0.1:1") == ()


def test_without_a_home_the_cache_has_to_be_named(nameless, tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    assert cache_folder() == tmp_path
    for value in ("", "s3://bucket/cache"):
        monkeypatch.setenv(CACHE_VARIABLE, value)
        with pytest.raises(UserError, match=f"There is no place for prepared images.* set {CACHE_VARIABLE} to"):
            cache_folder()
    monkeypatch.delenv("GLAD_RAY_CLUSTER", raising=False)
    assert node_types("127.0.0.1:1") == ()


def test_storages_and_studies(home):
    assert Storage.open("~/results").uri == str(home / "results")
    open_study_storage(Storage.open("~/results"), "~/study.journal", "small")
    assert (home / "study.journal").exists()


def test_paths_in_records_mean_the_same_to_every_user(home):
    assert StyleGANFile(path="~/x.pkl").path == str(home / "x.pkl")
    assert StyleGANFile(path=Path("~/x.pkl")).path == str(home / "x.pkl")
    assert StyleGANFile(path="./x.pkl").path == "./x.pkl"
    assert DiffusersAutoencoder(path="~/x", resolution=64).path == str(home / "x")


def test_a_command_without_any_environment(tmp_path):
    words = [sys.executable, "-m", "glad_ray", "plan", QUICKSTART]
    ended = subprocess.run(
        words, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
