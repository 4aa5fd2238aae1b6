"""The wheel and the source archive: what they have, and that the wheel is whole in an environment of its own."""

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from glad_ray.version import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SUFFIXES = {".css", ".csv", ".j2", ".js", ".json", ".parquet", ".py", ".safetensors", ".txt", ".typed"}
"""of the files of the package; beside them LICENSE has none"""
MOST_BYTES = {".whl": 6_000_000, ".gz": 10_000_000}


def test_the_oldest_packages_that_are_allowed_are_those_that_are_tested():
    lines = (ROOT / "constraints-oldest.txt").read_text(encoding="utf-8").splitlines()
    pinned = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}
    for each in map(Requirement, PROJECT["dependencies"]):
        (oldest,) = each.specifier
        assert oldest.operator == ">="
        assert Version(pinned[canonicalize_name(each.name)]) == Version(oldest.version), each.name


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel, made from the source archive, and that archive; nothing is fetched for it."""
    folder = tmp_path_factory.mktemp("dist")
    words = ["-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    made = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    (wheel,), (archive,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, archive


def files(folder):
    """Paths of the files that lie in a folder of the checkout."""
    paths = (path for path in (ROOT / folder).rglob("*") if path.is_file() and path.parent.name != "__pycache__")
    return {path.relative_to(ROOT).as_posix() for path in paths}


@pytest.mark.full
def test_the_wheel_has_the_package_and_nothing_else(built):
    names = zipfile.ZipFile(built[0]).namelist()
    about = f"glad_ray-{__version__}.dist-info/"
    package = {name for name in names if not name.startswith(about)}
    assert package == files("glad_ray")
    assert {path for path in map(Path, package) if path.suffix not in SUFFIXES and path.name != "LICENSE"} == set()
    assert {"glad_ray/py.typed", "glad_ray/data/fashion_mnist_sample/sample.parquet"} < package
    assert "glad_ray/stylegan/fashion_mnist_prior/generator.safetensors" in package
    licences = {f"{about}licenses/{path}" for path in PROJECT["license-files"]}
    assert {name for name in names if name.startswith(about)} == licences | {
        about + name for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")
    }


@pytest.mark.full
def test_the_source_archive_has_what_its_readme_runs_and_no_tests(built):
    top = f"glad_ray-{__version__}/"
    with tarfile.open(built[1]) as archive:
        names = {each.name.removeprefix(top) for each in archive.getmembers() if each.isfile()}
    beside = {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "SECURITY.md", "constraints.txt"}
    of_building = {"pyproject.toml", "PKG-INFO", ".gitignore"}
    assert names == files("glad_ray") | files("sweeps") | files("cluster") | beside | of_building


@pytest.mark.full
def test_neither_is_large(built):
    assert {path.suffix: path.stat().st_size < MOST_BYTES[path.suffix] for path in built} == dict.fromkeys(
        MOST_BYTES, True
    )


@pytest.mark.full
def test_the_metadata_are_sound_and_say_what_pyproject_does(built):
    with zipfile.ZipFile(built[0]) as wheel:
        text = wheel.read(f"glad_ray-{__version__}.dist-info/METADATA")
    # Every field is checked against the specification.
    said = Metadata.from_email(text, validate=True)
    assert (said.name, str(said.version), said.license_expression) == ("glad-ray", __version__, PROJECT["license"])
    assert said.description == (ROOT / "README.md").read_text(encoding="utf-8")
    of_itself = {str(each) for each in said.requires_dist or () if each.marker is None}
    assert of_itself == {str(Requirement(each)) for each in PROJECT["dependencies"]}
    assert set(said.provides_extra or ()) == set(PROJECT["optional-dependencies"])


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """An environment with the wheel, and all other packages that tests have; outside the checkout."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    # A folder named here is searched, but what installs this checkout in it, another file of this kind, is not read.
    others = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "others.pth").write_text("\n".join(others) + "\n")
    python = folder / "venv" / "bin" / "python"
    words = ["-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(built[0])]
    subprocess.run([sys.executable, *words], check=True)
    return folder


def run(folder, *words):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [folder / "venv" / "bin" / words[0], *words[1:]], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.full
def test_the_wheel_alone_runs_a_first_sweep(installed):
    where = run(installed, "python", "-c", "import glad_ray; print(glad_ray.__file__)")
    assert where.startswith(str(installed))
    assert run(installed, "glad-ray", "--version") == f"glad-ray {__version__}\n"
    run(installed, "glad-ray", "init")
    assert "7 of 7 runs finished" in run(
        installed, "glad-ray", "sweep", "sweep.py", "--small", "--in-process", "--device", "cpu"
    )
    (report,) = installed.rglob("index.html")
    assert "Made by glad_ray" in report.read_text(encoding="utf-8")
    assert "Fashion-MNIST" in run(installed, "glad-ray", "generator", "inspect", "fashion-mnist-prior")
