"""What units of work take of a machine."""

import pytest

from glad_ray.engine.shares import placement_bundle, ray_options
from glad_ray.errors import UserError
from glad_ray.plan.machines import room_for
from glad_ray.spec import Bundle, Resources, Share
from glad_ray.spec.generators import GIB

RESOURCES = Resources(
    trial=Share(gpus=0.25),
    evaluation=Share(gpus=0.1),
    expert=Share(cpus=2, nodes="cheap"),
    by_name={"mtt": Share(gpus=0.5, memory_gib=8), "vit": Share(gpus=0.5, cpus=4, accelerator="T4")},
)


@pytest.mark.parametrize(
    ("unit", "name", "expected"),
    [
        ("trial", "dm", (1, 0.25, 0)),
        ("trial", "mtt", (1, 0.5, 8)),
        ("evaluation", "convnet", (1, 0.1, 0)),
        ("evaluation", "vit", (4, 0.5, 0, ("accelerator_type:T4",))),
        ("expert", "vit", (4, 0.5, 0, ("accelerator_type:T4", "cheap"))),
        ("expert", "convnet", (2, 0, 0, ("cheap",))),
    ],
)
def test_a_name_takes_what_it_says_and_the_rest_of_its_kind(unit, name, expected):
    assert RESOURCES.share_of(unit, name).bundle == Bundle(*expected)


def test_a_name_that_does_not_exist_is_told():
    with pytest.raises(UserError, match=r"Unknown algorithm or network in resources\.by_name 'mt'.*Did you mean 'mtt'"):
        Resources(by_name={"mt": Share(gpus=0.5)})
    assert Resources(by_name={"torchvision.models:resnet50": Share(gpus=1)})


@pytest.mark.parametrize(
    ("needed", "held", "expected"),
    [
        (Bundle(1, 0, 0), 0, 8),
        (Bundle(1, 0.25, 0), 0, 8),
        (Bundle(0.1, 1 / 3, 0), 0, 6),
        (Bundle(0.1, 0.1, 0), 0, 20),
        (Bundle(1, 0.5, 0), 0.5, 3),
        (Bundle(1, 0, 3), 0, 5),
        (Bundle(9, 0, 0), 0, 0),
        (Bundle(1, 3, 0), 0, 0),
        (Bundle(1, 0, 0, ("cheap",)), 0, 8),
        (Bundle(1, 0, 0, ("cheap", "accelerator_type:A100")), 0, 0),
    ],
)
def test_what_a_machine_has_room_for(needed, held, expected):
    node = {"CPU": 8.0, "GPU": 2.0, "memory": 16.0 * GIB, "cheap": 1.0}
    assert room_for(node, needed, held_gpus=held) == expected


def test_in_rays_words():
    options = ray_options(Bundle(1, 0.25, 2))
    assert options == {"num_cpus": 1, "num_gpus": 0.25, "memory": 2 * GIB, "resources": {}}
    assert ray_options(Bundle(1, 0, 0))["memory"] is None
    assert ray_options(Bundle(1, 0, 0, ("cheap",)))["resources"] == {"cheap": 0.001}
    assert placement_bundle(Bundle(1, 0.25, 2, ("cheap",))) == {
        "CPU": 1,
        "GPU": 0.25,
        "memory": 2 * GIB,
        "cheap": 0.001,
    }
    assert placement_bundle(Bundle(0.5, 0, 0)) == {"CPU": 0.5}
