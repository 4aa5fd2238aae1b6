"""The files for Kubernetes: what is Kubernetes' own by its schemas, what is KubeRay's by the facts of its API."""

import copy

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

from tests.cluster_files.files import CLUSTER, ray_cluster, ray_job
from tests.cluster_files.kuberay_schema import RAY_CLUSTER, RAY_JOB

KUBERNETES = "1.33"
WORKERS = ("gpu", "gpu-spot", "cheap")


def check(document):
    """Raise `ValidationError` if a document, or one inside it, has a field or value that it cannot have."""
    if not document["apiVersion"].startswith("ray.io/"):
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
        return
    schema = {"RayCluster": RAY_CLUSTER, "RayJob": RAY_JOB}[document["kind"]]
    Draft202012Validator(schema).validate(document)
    spec = document["spec"].get("rayClusterSpec", document["spec"])
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pods = {
            "apiVersion": "v1",
            "kind": "PodTemplate",
            "metadata": document["metadata"],
            "template": group["template"],
        }
        kubernetes_validate.validate(pods, KUBERNETES, strict=True)


def documents():
    return [each for path in sorted(CLUSTER.glob("kuberay/*.yaml")) for each in yaml.safe_load_all(path.read_text())]


@pytest.mark.parametrize("document", documents(), ids=lambda document: document["kind"])
def test_every_field_is_one(document):
    check(document)


def head(document):
    return document["spec"]["headGroupSpec"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.update(apiVersion="ray.io/v1alpha1"),
        lambda d: d["metadata"].update(named="x"),
        lambda d: d["spec"].update(maxWorkers=3),
        lambda d: d["spec"].pop("headGroupSpec"),
        lambda d: d["spec"]["autoscalerOptions"].update(upscalingMode="Fast"),
        lambda d: head(d)["rayStartParams"].update({"num-cpus": 0}),
        lambda d: head(d).pop("template"),
        lambda d: head(d)["template"]["spec"].update(serviceAccount_name="x"),
        lambda d: head(d)["template"]["spec"]["containers"][0].update(images="x"),
        lambda d: head(d)["template"]["spec"]["containers"][0]["env"][0].update(value=60000),
        lambda d: d["spec"]["workerGroupSpecs"][0].update(minReplicas="0"),
        lambda d: d["spec"]["workerGroupSpecs"][0].pop("groupName"),
        lambda d: d["spec"]["workerGroupSpecs"][1]["template"]["spec"]["nodeSelector"].update(spot=True),
    ],
)
def test_what_is_not_one_is_refused(spoil):
    document = copy.deepcopy(ray_cluster())
    spoil(document)
    with pytest.raises(ValidationError):
        check(document)


def test_ray_refuses_a_group_whose_resources_it_cannot_read():
    cluster = ray_cluster()
    cluster["metadata"]["namespace"] = "default"
    cluster["spec"]["workerGroupSpecs"][0]["rayStartParams"]["resources"] = '{"spot": 1}'
    with pytest.raises(ValueError, match=r"Expecting|Extra"):
        _derive_autoscaling_config_from_ray_cr(cluster)


def test_a_job_has_the_cluster_of_the_cluster_file():
    assert ray_job()["spec"]["rayClusterSpec"] == ray_cluster()["spec"]


def test_a_job_ends_with_its_cluster_and_is_tried_again():
    spec = ray_job()["spec"]
    assert spec["shutdownAfterJobFinishes"]
    assert spec["backoffLimit"] > 0
    assert spec["entrypoint"].startswith("glad-ray sweep /home/ray/glad-ray/sweeps/")


def test_what_pods_name_is_there():
    names = {kind: {d["metadata"]["name"] for d in documents() if d["kind"] == kind} for kind in
             ("ServiceAccount", "PersistentVolumeClaim")}  # fmt: skip
    spec = ray_cluster()["spec"]
    pods = [group["template"]["spec"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]
    assert {pod["serviceAccountName"] for pod in pods} == names["ServiceAccount"]
    volumes = [volume for pod in pods for volume in pod.get("volumes", [])]
    assert {volume["persistentVolumeClaim"]["claimName"] for volume in volumes} == names["PersistentVolumeClaim"]
    for pod in pods:
        mounted = {mount["name"] for mount in pod["containers"][0].get("volumeMounts", [])}
        assert mounted == {volume["name"] for volume in pod.get("volumes", [])}


def test_gpus_are_asked_of_kubernetes_and_its_machines_taken():
    groups = {group["groupName"]: group["template"]["spec"] for group in ray_cluster()["spec"]["workerGroupSpecs"]}
    assert tuple(groups) == WORKERS
    for pod in groups.values():
        resources = pod["containers"][0]["resources"]
        assert resources["limits"] == resources["requests"]
        assert resources["limits"]["nvidia.com/gpu"] == 1
        assert {"key": "nvidia.com/gpu", "operator": "Exists"} in pod["tolerations"]
