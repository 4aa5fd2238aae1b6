"""The files under test, what they are compared with, and how Ray reads them."""

import copy
import re
import tomllib
from pathlib import Path

import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
CLOUDS = ("aws", "gcp", "azure")
LAUNCHERS = (*CLOUDS, "local")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONSTRAINTS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())


def every_file():
    return sorted(path for path in CLUSTER.rglob("*") if path.is_file())


def launcher(name):
    return yaml.safe_load((CLUSTER / f"{name}.yaml").read_text())


def as_ray_reads(config):
    """What `ray up` makes of a launcher file before it asks the cloud; raises what Ray raises."""
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    return prepared


def ray_cluster():
    return yaml.safe_load((CLUSTER / "kuberay/raycluster.yaml").read_text())


def ray_job():
    return yaml.safe_load((CLUSTER / "kuberay/rayjob.yaml").read_text())


def node_types(name):
    """The node types of a launcher file, or of KubeRay's, as Ray's autoscaler reads them, the head's as `head`."""
    if name != "kuberay":
        return as_ray_reads(launcher(name))["available_node_types"]
    cluster = ray_cluster()
    cluster["metadata"]["namespace"] = "default"
    types = _derive_autoscaling_config_from_ray_cr(cluster)["available_node_types"]
    return {"head": types.pop("headgroup"), **types}


def commands(config):
    """Every shell command of a launcher file."""
    return [command for key, values in config.items() if key.endswith("_commands") for command in values]


def images(path):
    """Images of Ray that a file names."""
    return re.findall(r"rayproject/ray:(\S+)", path.read_text())
