"""Which machines can take what, from a launcher file or a cluster's own."""

import pytest

from glad_ray.cli import main
from glad_ray.errors import UserError
from glad_ray.plan.cluster_file import read_node_types
from glad_ray.plan.machines import NodeType, check_machines
from glad_ray.spec import Resources, Share
from glad_ray.spec.generators import GIB

LAUNCHER = """
provider: {type: aws, region: us-west-2}
max_workers: 3
head_node_type: head
available_node_types:
  cheap: {resources: {CPU: 4, GPU: 1, memory: 17179869184, "accelerator_type:T4": 1, cheap: 1}, max_workers: 8}
  head: {resources: {CPU: 0}}
  big: {resources: {CPU: 8, GPU: 2}}
  unknown: {node_config: {InstanceType: m5.large}}
  none: {resources: {CPU: 1}, max_workers: 0}
"""
KUBERAY = """
apiVersion: v1
kind: Namespace
---
apiVersion: ray.io/v1
kind: RayJob
spec:
  rayClusterSpec:
    headGroupSpec:
      rayStartParams: {num-cpus: "0"}
      template: {spec: {containers: [{resources: {limits: {cpu: 4, memory: 8Gi}}}]}}
    workerGroupSpecs:
      - groupName: gpu
        maxReplicas: 5
        rayStartParams: {resources: '"{\\"spot\\": 1}"'}
        template: {spec: {containers: [{resources: {limits: {cpu: 7500m, memory: 16G, nvidia.com/gpu: 2}}}]}}
"""


def written(tmp_path, text):
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    return path


def test_of_rays_launcher(tmp_path):
    t4 = {"CPU": 4, "GPU": 1, "memory": 16 * GIB, "accelerator_type:T4": 1, "cheap": 1}
    assert read_node_types(written(tmp_path, LAUNCHER)) == (
        NodeType("head", {"CPU": 0}, 1),
        NodeType("cheap", t4, 8),
        NodeType("big", {"CPU": 8, "GPU": 2}, 3),
    )


@pytest.mark.parametrize("spot", ['"{\\"spot\\": 1}"', '{"spot": 1}'])
def test_of_kuberay(tmp_path, spot):
    text = KUBERAY.replace('"{\\"spot\\": 1}"', spot)
    assert read_node_types(written(tmp_path, text)) == (
        NodeType("head", {"CPU": 0, "GPU": 0, "memory": 8 * GIB}, 1),
        NodeType("gpu", {"CPU": 7.5, "GPU": 2, "memory": 16e9, "spot": 1}, 5),
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1", "is no launcher file: it needs a provider"),
        ("- 1", "is no launcher file: it needs a provider"),
        ("a: [", "is no launcher file that can be understood"),
        ("kind: RayJob", "is no launcher file that can be understood"),
        ("provider: {}\navailable_node_types: [1]", "is no launcher file that can be understood"),
        (KUBERAY.replace("16G", "much"), "is no launcher file that can be understood"),
        (KUBERAY.replace("limits", "requests"), None),
        ("provider: {type: local, head_ip: 10.0.0.1}", None),
    ],
)
def test_other_files(tmp_path, text, sentence):
    if sentence is None:
        assert all(each.resources.get("GPU", 0) == 0 for each in read_node_types(written(tmp_path, text)))
    else:
        with pytest.raises(UserError, match=sentence):
            read_node_types(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.yaml cannot be read \(No such file or directory\)"):
        read_node_types(tmp_path / "nowhere.yaml")


MACHINES = ({"CPU": 8, "GPU": 1, "memory": 16 * GIB, "cheap": 1}, {"CPU": 4, "GPU": 2, "accelerator_type:A100": 1})


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        ({}, None),
        ({"trial": {"gpus": 2}}, None),
        ({"trial": {"gpus": 2, "nodes": "cheap"}}, r"any machine here with cheap has \(8 CPUs, 1 GPUs and 16\.0 GiB"),
        ({"trial": {"gpus": 3}}, r"trial\.gpus=3 .* is more than any machine here has \(4 CPUs, 2 GPUs and 0\.0 GiB"),
        ({"trial": {"gpus": "auto", "accelerator": "A100"}}, None),
        (
            {"trial": {"accelerator": "T4"}},
            r"No machine here has the resource accelerator_type:T4 .* they have acc.*, cheap\.",
        ),
        (
            {"by_name": {"dm": Share(nodes="spot")}},
            r"No machine here has the resource spot .* resources\.by_name for dm",
        ),
        ({"expert": {"nodes": "spot"}}, None),
        ({"trial": {"memory_gib": 17}}, r"trial\.memory_gib=17"),
    ],
)
def test_what_no_machine_has_is_told(resources, sentence):
    def check():
        check_machines(Resources(**resources), {("trial", "dm")}, MACHINES, held=0, where="here")

    if sentence is None:
        check()
    else:
        with pytest.raises(UserError, match=sentence):
            check()


def test_what_generators_hold_is_counted():
    check_machines(Resources(trial=Share(gpus=1)), {("trial", "dm")}, MACHINES, held=1, where="here")
    with pytest.raises(UserError, match=r"2 GPUs, 1\.25 of them for generators"):
        check_machines(Resources(trial=Share(gpus=1)), {("trial", "dm")}, MACHINES, held=1.25, where="here")


SWEEP = "sweeps/quickstart.py"


def test_a_plan_says_where_work_can_run(tmp_path, capsys, monkeypatch):
    cluster = str(written(tmp_path, LAUNCHER))
    words = ["plan", SWEEP, "--small", "--set", "resources.evaluation.nodes=cheap"]
    assert main([*words, "--cluster", cluster]) == 0
    out = capsys.readouterr().out
    assert f"Machines of {cluster}" in out
    rows = {" ".join(line.split("│")[1].split()): line for line in out.splitlines() if line.count("│") == 4}
    assert "cheap (4 × 8), big (8 × 3)" in rows["distillation dm"]
    assert "cheap (4 × 8)" in rows["evaluation convnet"]
    assert "big" not in rows["evaluation convnet"]

    monkeypatch.setenv("GLAD_RAY_CLUSTER", cluster)
    assert main([*words, "--set", "resources.trial.gpus=3"]) == 2
    error = capsys.readouterr().err
    assert f"any machine of {cluster} has (8 CPUs, 2 GPUs" in error
    assert len(error.splitlines()) == 1


def test_a_file_that_says_nothing_of_machines_is_told(tmp_path, capsys):
    cluster = str(written(tmp_path, "provider: {type: local, head_ip: 10.0.0.1}"))
    assert main(["plan", SWEEP, "--cluster", cluster]) == 2
    assert "does not say what its machines have: leave --cluster out" in capsys.readouterr().err
