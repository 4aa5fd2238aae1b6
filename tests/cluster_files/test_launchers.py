"""The launcher files as Ray reads them, offline.

What Ray does with credentials before it starts a machine (`bootstrap_config` of a provider) is left out: it asks the
cloud. What AWS and Google Cloud take of a machine Ray does not know; Azure's is checked against the template that ships
with Ray.
"""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import ray.autoscaler
import yaml
from jsonschema import ValidationError
from ray.scripts.scripts import start
from ray.util.accelerators import accelerators

from glad_ray.engine.cluster.connection import OF_NEW_CLUSTER
from tests.cluster_files.files import (
    CLOUDS,
    CLUSTER,
    CONSTRAINTS,
    LAUNCHERS,
    PYPROJECT,
    ROOT,
    as_ray_reads,
    commands,
    every_file,
    images,
    launcher,
    node_types,
    ray_cluster,
)

AUTOSCALER = Path(ray.autoscaler.__file__).parent
GIB = 2**30
ACCELERATORS = {f"accelerator_type:{name}" for key, name in vars(accelerators).items() if key.isupper()}


@pytest.mark.parametrize("name", LAUNCHERS)
def test_ray_accepts_a_launcher_file(name):
    prepared = as_ray_reads(launcher(name))
    assert prepared["provider"]["type"] == name
    assert prepared["max_workers"] > 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: c.update(idle_timeout=5),
        lambda c: c.update(max_workers="16"),
        lambda c: c.update(head_node_type="chief"),
        lambda c: c.update(initialization_commands="sleep 15"),
        lambda c: c["auth"].update(port=2222),
        lambda c: c["docker"].update(images="x"),
        lambda c: c["docker"].pop("container_name"),
        lambda c: c["available_node_types"]["gpu"].pop("resources"),
        lambda c: c["available_node_types"]["gpu"].update(max_worker=3),
        lambda c: c["available_node_types"]["gpu"]["resources"].update(CPU=0.5),
        lambda c: c["available_node_types"]["gpu"].update(min_workers=17),
    ],
)
@pytest.mark.parametrize("name", CLOUDS)
def test_ray_refuses_a_file_that_is_not_one(name, spoil):
    config = launcher(name)
    spoil(config)
    with pytest.raises((ValidationError, ValueError, AssertionError)):
        as_ray_reads(config)


def test_ray_refuses_node_types_on_premises():
    config = launcher("local") | {"available_node_types": launcher("aws")["available_node_types"]}
    with pytest.raises(Exception, match="available_node_types is not supported"):
        as_ray_reads(config)


@pytest.mark.parametrize("name", [*CLOUDS, "kuberay"])
def test_node_types_say_what_they_have(name):
    types = node_types(name)
    assert list(types) == ["head", "gpu", "gpu-spot", "cheap"]
    head = types.pop("head")["resources"]
    assert (head["CPU"], head["GPU"]) == (0, 0)
    for kind, fields in types.items():
        resources = dict(fields["resources"])
        assert fields["min_workers"] == 0 < fields["max_workers"]
        assert resources.pop("CPU") > 0 < resources.pop("GPU")
        assert resources["memory"] % GIB == 0 < resources.pop("memory") < 1024 * GIB
        (accelerator,) = resources.keys() & ACCELERATORS
        own = {"gpu": set(), "gpu-spot": {"spot"}, "cheap": {"spot", "cheap"}}[kind]
        assert resources == dict.fromkeys({accelerator} | own, 1)
    assert types["gpu-spot"]["resources"] == types["gpu"]["resources"] | {"spot": 1}


@pytest.mark.parametrize("name", [*CLOUDS, "kuberay"])
def test_a_node_type_is_spot_where_it_says_so(name):
    market = {
        "aws": lambda node: node.get("InstanceMarketOptions", {}).get("MarketType") == "spot",
        "gcp": lambda node: node.get("scheduling", {}).get("provisioningModel") == "SPOT",
        "azure": lambda node: node["azure_arm_parameters"].get("priority") == "Spot",
        "kuberay": lambda group: any("spot" in label for label in group["template"]["spec"]["nodeSelector"]),
    }[name]
    if name == "kuberay":
        nodes = {group["groupName"]: group for group in ray_cluster()["spec"]["workerGroupSpecs"]}
    else:
        nodes = {kind: fields["node_config"] for kind, fields in launcher(name)["available_node_types"].items()}
    spot = {kind for kind, fields in node_types(name).items() if "spot" in fields["resources"]}
    assert {kind for kind, node in nodes.items() if market(node)} == spot == {"gpu-spot", "cheap"}


def test_azure_knows_its_parameters():
    template = json.loads((AUTOSCALER / "_private/_azure/azure-vm-template.json").read_text())["parameters"]
    made_by_ray = {"vmName", "vmTags", "vmCount", "msi", "nsg", "subnet", "adminUsername", "publicKey"}
    needed = {name for name, field in template.items() if "defaultValue" not in field} - made_by_ray
    types = {"string": str, "int": int, "object": dict}
    for fields in launcher("azure")["available_node_types"].values():
        parameters = fields["node_config"]["azure_arm_parameters"]
        assert needed <= parameters.keys() <= template.keys() - made_by_ray
        for name, value in parameters.items():
            assert isinstance(value, types[template[name]["type"]]), name


def test_workers_have_an_identity_and_no_key():
    for fields in launcher("aws")["available_node_types"].values():
        assert fields["node_config"]["IamInstanceProfile"] == {"Name": "glad-ray"}
    gcp = launcher("gcp")
    for kind, fields in gcp["available_node_types"].items():
        if kind != gcp["head_node_type"]:  # Ray gives the head its own.
            (account,) = fields["node_config"]["serviceAccounts"]
            assert account["email"].endswith(f"@{gcp['provider']['project_id']}.iam.gserviceaccount.com")
    assert launcher("azure")["provider"].keys() >= {"msi_name", "msi_resource_group"}


def test_clouds_differ_only_in_machines():
    files = [launcher(name) for name in CLOUDS]
    for key in ("cluster_name", "max_workers", "docker", "auth", "file_mounts", "rsync_exclude", "setup_commands"):
        assert all(each[key] == files[0][key] for each in files), key
    for key in ("head_start_ray_commands", "worker_start_ray_commands", "idle_timeout_minutes", "upscaling_speed"):
        assert all(each[key] == files[0][key] for each in files), key


def test_the_head_of_a_local_cluster_keeps_work_off_itself():
    assert "--num-cpus=0 --num-gpus=0" in " ".join(launcher("local")["head_start_ray_commands"])


@pytest.mark.parametrize("name", LAUNCHERS)
def test_what_is_installed_is_mounted_and_here(name):
    mounts = launcher(name)["file_mounts"]
    (home,) = {remote.removesuffix("/pyproject.toml") for remote, local in mounts.items() if local == "pyproject.toml"}
    assert mounts.pop(f"{Path(home).parent}/.ray/auth_token") == "~/.ray/auth_token"
    assert {remote.removeprefix(f"{home}/") for remote in mounts} == set(mounts.values())
    assert all((ROOT / local).exists() for local in mounts.values())
    assert set(mounts.values()) >= _needed_to_build()
    (install,) = [each for each in launcher(name)["setup_commands"] if "pip install" in each]
    assert f"--constraint {home}/constraints.txt" in install
    assert shlex.split(install)[-1] == f"{home}[cluster]"


def test_the_image_has_what_is_installed():
    text = (CLUSTER / "Dockerfile").read_text()
    copied = {word for line in re.findall(r"^COPY --chown=ray (.*)", text, re.M) for word in line.split()[:-1]}
    assert copied >= _needed_to_build()
    kept = re.findall(r"^!(.*)", (CLUSTER / "Dockerfile.dockerignore").read_text(), re.M)
    assert set(kept) == copied
    assert "pip install --no-cache-dir --constraint constraints.txt '.[cluster]'" in text
    version = re.search(r'__version__ = "(.*)"', (ROOT / PYPROJECT["tool"]["hatch"]["version"]["path"]).read_text())[1]
    named = {tag for path in every_file() for tag in re.findall(r"/glad-ray:([\d.]+)", path.read_text())}
    assert named == {version}


def _needed_to_build():
    project = PYPROJECT["project"]
    packages = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    outside = [each for each in project["license-files"] if not each.startswith(tuple(packages))]
    return {"pyproject.toml", "constraints.txt", project["readme"], *packages, *outside}


def test_the_package_has_the_extra_that_is_installed():
    (ray_of_cluster,) = PYPROJECT["project"]["optional-dependencies"]["cluster"]
    assert set(re.findall(r"\w+", ray_of_cluster.partition("[")[2].partition("]")[0])) >= {"default", "tune"}


def test_versions_are_those_of_the_constraints():
    tags = {tag for path in every_file() for tag in images(path)}
    python = PYPROJECT["project"]["requires-python"].removeprefix(">=").replace(".", "")
    # The recipe of an image has it for CPUs too.
    assert {tag.replace("${DEVICE}", "gpu") for tag in tags} == {f"{CONSTRAINTS['ray']}-py{python}-gpu"}
    assert ray_cluster()["spec"]["rayVersion"] == CONSTRAINTS["ray"]
    assert "python3.11 -m venv" in " ".join(launcher("local")["setup_commands"])


@pytest.mark.parametrize("name", LAUNCHERS)
def test_nothing_is_installed_at_any_version(name):
    for command in commands(launcher(name)):
        words = shlex.split(command)
        if "install" in words and "--constraint" not in words:
            assert all("==" in word for word in words[words.index("install") + 1 :]), command


def test_azure_gets_what_this_ray_was_written_for():
    defaults = yaml.safe_load((AUTOSCALER / "azure/defaults.yaml").read_text())["head_setup_commands"]
    pins = [
        set(re.findall(r"\S+==\S+", " ".join(each))) for each in (defaults, launcher("azure")["head_setup_commands"])
    ]
    assert pins[0] == pins[1] != set()


@pytest.mark.parametrize("name", LAUNCHERS)
def test_commands_are_shell(name):
    for command in commands(launcher(name)):
        subprocess.run(["bash", "-n", "-c", command], check=True)


def test_ray_start_has_the_options_that_are_used():
    known = {option for parameter in start.params for option in (*parameter.opts, *parameter.secondary_opts)}
    used = [command for name in LAUNCHERS for command in commands(launcher(name))]
    used.append((CLUSTER / "slurm.sh").read_text())
    options = {
        option
        for text in used
        if "ray start" in text
        for option in re.findall(r"(--[a-z-]+)", text.split("ray start", 1)[1])
    }
    groups = [ray_cluster()["spec"]["headGroupSpec"], *ray_cluster()["spec"]["workerGroupSpecs"]]
    options |= {f"--{name}" for group in groups for name in group["rayStartParams"]}
    elsewhere = {"--address", "--nodes", "--ntasks", "--exclude", "--noheader", "--jobs", "--format"}
    assert {"--head", "--port", "--num-cpus", "--autoscaling-config", "--dashboard-host"} <= options
    assert options - elsewhere <= known


def test_processes_are_kept_as_in_a_cluster_of_one_machine():
    for name, value in OF_NEW_CLUSTER.items():
        for path in (*(CLUSTER / f"{each}.yaml" for each in LAUNCHERS), CLUSTER / "slurm.sh"):
            assert f"{name}={value}" in path.read_text(), path
        for path in CLUSTER.glob("kuberay/ray*.yaml"):
            assert f'{{name: {name}, value: "{value}"}}' in path.read_text(), path


_PLACEHOLDER = re.compile(r"\bmy-\w|myaccount|192\.0\.2\.|0{12}")


@pytest.mark.parametrize("path", every_file(), ids=lambda path: path.name)
def test_what_is_to_be_changed_is_marked(path):
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        if _PLACEHOLDER.search(line):
            assert any("change:" in each for each in lines[max(0, number - 2) : number + 1]), line


_KEY = re.compile(
    r"AKIA[0-9A-Z]{16}|AIza[\w-]{30}|-----BEGIN|(?i:secret|password|passwd|access_key|api_key|sas)\w*['\"]?\s*[:=]\s*\S|"
    r"\b(?=\w*[0-9])(?=\w*[a-zA-Z])[A-Za-z0-9+]{36,}\b"
)


@pytest.mark.parametrize("path", every_file(), ids=lambda path: path.name)
def test_no_file_has_a_key(path):
    assert not _KEY.search(path.read_text())


@pytest.mark.parametrize(
    "text",
    [
        "AWS_SECRET_ACCESS_KEY=abc",
        "password: x",
        "id: AKIA" + "A1" * 8,
        "-----BEGIN RSA PRIVATE KEY-----",
        "auth_token: " + "0a1b" * 16,
    ],
)
def test_a_key_would_be_found(text):
    assert _KEY.search(text)
