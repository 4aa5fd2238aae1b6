"""Networks by name: the paper's and any other's, what tells them apart, and what only evaluates."""

import pickle
import re

import pytest
from pydantic import TypeAdapter

from glad_ray.errors import UserError
from glad_ray.report.wording import network_detail, network_name
from glad_ray.spec import Network
from glad_ray.spec.network import BackboneByName, NetworkByName
from glad_ray.spec.networks import NETWORK_NAMES

VIT = Network(name="torchvision.models:vit_b_16", options={"image_size": 32, "dropout": 0.5})


def test_a_network_by_its_name_alone():
    assert TypeAdapter(NetworkByName).validate_python("vit") == Network(name="vit")
    assert TypeAdapter(NetworkByName).validate_python("my_package.nets:small") == Network(name="my_package.nets:small")
    assert not any(Network(name=name).foreign for name in NETWORK_NAMES)
    assert VIT.foreign


def test_options_come_back_as_they_were():
    options = {"flag": True, "number": 1, "real": 1.0, "text": "1", "word": "relu"}
    network = Network(name="timm.models:resnet18", options=options)
    again = Network.model_validate_json(network.model_dump_json())
    assert again == network
    assert again.content_id == network.content_id
    assert {name: (type(value), value) for name, value in again.options.items()} == {
        name: (type(value), value) for name, value in options.items()
    }
    assert pickle.loads(pickle.dumps(network)) == network


def test_networks_can_be_told_apart_and_counted():
    reordered = Network(name=VIT.name, options={"dropout": 0.5, "image_size": 32})
    assert {VIT, reordered, Network(name=VIT.name), Network()} == {VIT, Network(name=VIT.name), Network()}
    assert reordered.content_id == VIT.content_id
    assert reordered.key == VIT.key


def test_networks_without_options_keep_their_identity():
    assert Network().content_id == "1934bc7c076c"
    assert VIT.replace(options={}).content_id == Network(name=VIT.name).content_id


def test_keys_and_titles_are_readable():
    assert VIT.key == "torchvision.models.vit_b_16-dropout=0.5,image_size=32"
    assert VIT.title == "vit_b_16 (torchvision.models, dropout=0.5, image_size=32)"
    assert Network(name="nets:small").key == "nets.small"
    assert Network(name="nets:small").title == "small (nets)"
    assert Network(name="nets:small", options={"act": "relu"}).key == "nets.small-act=relu"
    assert Network(name="resnet18", width=16).key == "resnet18-w16"


def test_keys_are_different_and_fit_for_files():
    values = (
        1,
        1.5,
        True,
        False,
        "1",
        "1.5",
        "True",
        "relu",
        "a/b",
        "a b",
        "ä",
        "é",
        1e-5,
        -2,
        "",
        "x" * 300,
        "x" * 299,
    )
    keys = [Network(name="nets:small", options={"act": value}).key for value in values]
    keys.append(Network(name="nets:small", options={"act": "a", "b": "c"}).key)
    keys.append(Network(name="nets:small", options={"act": "a,b=c"}).key)
    keys += [Network(name=name).key for name in ("nets:small", "nets.small:small", "nets_small:small")]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"[\w.,=+-]{1,120}", key, re.ASCII) for key in keys)


@pytest.mark.parametrize(
    ("network", "name", "detail"),
    [
        (VIT, "vit_b_16", "torchvision.models, dropout=0.5, image_size=32"),
        (Network(name="torchvision.models:resnet50"), "resnet50", "torchvision.models"),
        (Network(name="nets:vit"), "vit", "nets"),
        (Network(name="nets:small", options={"rate": 1e-5}), "small", "nets, rate=1e-05"),
    ],
)
def test_reports_name_foreign_networks_from_their_keys(network, name, detail):
    assert (network_name(network.key), network_detail(network.key)) == (name, detail)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Network(name="resnet"), "Did you mean 'resnet18'?"),
        (lambda: Network(name="torchvision.models.resnet50"), "package.module:callable, for example torchvision."),
        (lambda: Network(name="a.b:c.d"), "Unknown Network.name 'a.b:c.d'"),
        (lambda: Network(name="../a:c"), "Unknown Network.name"),
        (lambda: Network(name="vit", options={"image_size": 32}), "vit takes no options"),
        (lambda: VIT.replace(width=32), "torchvision.models:vit_b_16 has no width, depth or norm of ours"),
        (lambda: VIT.replace(depth=2), "set options of its own instead"),
        (lambda: VIT.replace(norm="batchnorm"), "set options of its own instead"),
        (
            lambda: VIT.replace(options={"depths": [2, 2]}),
            "Network.options sets depths to [2, 2]: options are booleans",
        ),
        (lambda: VIT.replace(options={"rate": float("nan")}), "sets rate to nan: options are booleans, finite numbers"),
        (lambda: VIT.replace(options={"pretrained": True}), "cannot set 'pretrained'"),
        (lambda: VIT.replace(options={"num_classes": 3}), "the data decide the sizes"),
        (lambda: VIT.replace(options={"image size": 3}), "cannot set 'image size'"),
        (
            lambda: TypeAdapter(BackboneByName).validate_python(VIT),
            "can evaluate but not distil: as backbone use one of",
        ),
    ],
)
def test_mistakes_are_one_sentence(make, sentence):
    with pytest.raises(UserError) as caught:
        make()
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_architecture_distils():
    for name in NETWORK_NAMES:
        assert TypeAdapter(BackboneByName).validate_python(name) == Network(name=name)
