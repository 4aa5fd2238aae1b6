"""Which machines a cluster may have, read from its launcher file: of Ray's launcher, or of KubeRay."""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from glad_ray.errors import UserError
from glad_ray.paths import expanded
from glad_ray.plan.machines import NodeType

CLUSTER_VARIABLE = "GLAD_RAY_CLUSTER"
"""names the launcher file of the cluster that work goes to, in the environment"""

_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_UNITS |= {f"{letter}i": 1024.0**power for power, letter in enumerate("KMGT", 1)}
_QUANTITY = re.compile(r"([0-9.]+)([A-Za-z]*)")


def read_node_types(path: str | Path) -> tuple[NodeType, ...]:
    """The kinds of machines in a launcher file, the head's first; none if it does not say what they have.

    Raises `UserError` if it cannot be read, or is no launcher file.
    """
    try:
        documents = [each for each in yaml.safe_load_all(expanded(path).read_text()) if isinstance(each, dict)]
        for document in documents:
            if "provider" in document:
                return tuple(_of_launcher(document))
            if document.get("kind") in ("RayCluster", "RayJob"):
                spec = document["spec"]
                return tuple(_of_kuberay(spec.get("rayClusterSpec", spec)))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise UserError(
            f"{path} cannot be read ({reason}): name a launcher file by --cluster, or in ${CLUSTER_VARIABLE}."
        ) from error
    except (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is no launcher file that can be understood; ray up or kubectl say why.") from error
    raise UserError(
        f"{path} is no launcher file: it needs a provider (ray up) or kind: RayCluster or RayJob (KubeRay)."
    )


def _of_launcher(document: Mapping[str, Any]) -> Iterator[NodeType]:
    types, head = document.get("available_node_types") or {}, document.get("head_node_type")
    for name in sorted(types, key=lambda name: name != head):
        resources = {key: float(value) for key, value in (types[name].get("resources") or {}).items()}
        at_most = 1 if name == head else types[name].get("max_workers", document.get("max_workers", 0))
        # Of machines that no file describes, Ray itself finds out what they have.
        if resources and at_most:
            yield NodeType(name, resources, int(at_most))


def _of_kuberay(spec: Mapping[str, Any]) -> Iterator[NodeType]:
    yield NodeType("head", _of_group(spec["headGroupSpec"]), 1)
    for group in spec.get("workerGroupSpecs", ()):
        yield NodeType(group["groupName"], _of_group(group), int(group.get("maxReplicas", group.get("replicas", 1))))


def _of_group(group: Mapping[str, Any]) -> dict[str, float]:
    """What Ray counts on a pod: what it is told at its start, else the limits of its first container."""
    limits = group["template"]["spec"]["containers"][0].get("resources", {}).get("limits", {})
    found = {
        "CPU": _quantity(limits.get("cpu", 0)),
        "GPU": sum(_quantity(value) for key, value in limits.items() if key.endswith("/gpu")),
        "memory": _quantity(limits.get("memory", 0)),
    }
    told = group.get("rayStartParams") or {}
    found |= {key: float(told[name]) for key, name in _STARTED_WITH.items() if name in told}
    found |= _custom(told.get("resources", "{}"))
    found |= {key: _quantity(value) for key, value in (group.get("resources") or {}).items()}
    return found


_STARTED_WITH = {"CPU": "num-cpus", "GPU": "num-gpus", "memory": "memory"}


def _custom(text: str) -> dict[str, float]:
    """Custom resources: JSON, in quotes once more for the shell that it passes through."""
    with contextlib.suppress(ValueError):
        text = inner if isinstance(inner := json.loads(text), str) else text
    return {key: float(value) for key, value in json.loads(text).items()}


def _quantity(value: Any) -> float:
    """A quantity in Kubernetes' words."""
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        raise ValueError(value)
    return float(match[1]) * _UNITS[match[2]]
