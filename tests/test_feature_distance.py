"""H-PD's feature distance: recorded numbers of the released code, and a slow reference that is written out."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from glad_ray import feature_distance
from glad_ray.feature_distance import (
    FeatureDistance,
    class_means,
    class_weights,
    distance_terms,
    reference_maps,
)
from glad_ray.networks import build_network
from glad_ray.randomness import rng_for
from glad_ray.spec import DM, MTT, Network, RandomStyleGAN, Run
from glad_ray.spec.layers import draws_per_network
from tests.golden_numbers import golden, images, s_like, set_parameters

CPU = torch.device("cpu")
ARRAYS, FACTS = golden("successors/hpd_idc_dream_rded/hpd")
TOLERANCES = {"f32": 1e-4, "f64": 1e-10}
DTYPES = {"f32": torch.float32, "f64": torch.float64}
GENERATOR = RandomStyleGAN(image_channels=1, num_layers=4, channel_base=64, channel_max=4, w_dim=8, z_dim=8)


def network_of(gain, precision):
    network = build_network(Network(width=8, depth=3), channels=3, resolution=32, classes=10, rng=None)
    set_parameters(network, gain)
    return network.to(DTYPES[precision]).eval().requires_grad_(False)


def means_of(network, shown, per_class, precision):
    """Mean maps of classes with as many images each, which follow one another."""
    labels = torch.arange(len(shown) // per_class).repeat_interleave(per_class)
    return class_means(network.maps(shown.to(DTYPES[precision])), class_weights(labels, int(labels[-1]) + 1))


def synthetic_means(facts, gain, precision):
    shown = images(facts["classes"] * facts["ipc"], 3, 32, 32, facts["salt_syn"])
    return means_of(network_of(gain, precision), shown, facts["ipc"], precision)


def assert_recorded(terms, facts, precision):
    tolerance = TOLERANCES[precision]
    np.testing.assert_allclose(terms.flatten(), facts[f"terms_{precision}"], rtol=tolerance)
    np.testing.assert_allclose(terms.sum(), facts[f"distance_{precision}"], rtol=tolerance)


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("case", FACTS["feature_distance"])
def test_recorded_distance(case, precision):
    facts = FACTS["feature_distance"][case]
    synthetic = synthetic_means(facts, facts["gain"], precision)

    def real(label, number):
        shape = (facts["real_batch"], *synthetic[number].shape[1:])
        values = np.abs(s_like(shape, 6000 + 100 * facts["case"] + 10 * label + number)).astype(np.float32)
        return torch.from_numpy(values).to(DTYPES[precision]).mean(0)

    means = [torch.stack([real(label, m) for label in range(facts["classes"])]) for m in range(len(synthetic))]
    assert_recorded(distance_terms(means, synthetic), facts, precision)


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("case", FACTS["real_features"])
def test_recorded_reference(case, precision):
    facts = FACTS["real_features"][case]
    classes, gains = facts["classes"], facts["network_gains_in_order"]
    draws, size = draws_per_network(facts["images"], classes, facts["batch_real"])
    batches = np.array(facts["drawn_batches_in_order"])
    assert batches.shape == (len(gains) * draws * classes, size)
    shown = images(facts["images"], 3, 32, 32, facts["salt_real"])

    def drawn():
        for gain, of_network in zip(gains, batches.reshape(len(gains), draws, -1), strict=True):
            network = network_of(gain, precision)
            for of_draw in of_network:
                yield means_of(network, shown[of_draw], size, precision)

    means = reference_maps(drawn(), "first")
    assert len(means) == facts["maps_per_class"]
    tolerance = TOLERANCES[precision]
    for label, projections in enumerate(facts[f"mean_feature_proj_{precision}"]):
        for number, projection in enumerate(projections):
            mean = means[number][label].double()
            expected = ARRAYS[f"real_features/{case}/class{label}/map{number}_mean"]
            np.testing.assert_allclose(mean, expected, rtol=1e-4, atol=1e-5)
            found = (mean.flatten().numpy() * s_like((mean.numel(),), 3000)).sum()
            assert found == pytest.approx(projection, rel=tolerance)
    assert_recorded(distance_terms(means, synthetic_means(facts, facts["distance_gain"], precision)), facts, precision)
    sane = reference_maps(drawn())
    assert all(torch.equal(one, other) for one, other in zip(sane[:-1], means[:-1], strict=True))
    assert not torch.allclose(sane[-1], means[-1], rtol=1e-2)


def test_the_number_of_draws_is_that_of_the_released_code():
    assert draws_per_network(50000, 10, 256) == (195, 25)
    assert draws_per_network(24, 2, 40) == (3, 4)
    assert draws_per_network(10, 10, 5) == (2, 1)
    assert draws_per_network(10, 10, 256) == (1, 25)


def slow_distance(network, real, synthetic):
    """Sum over classes, maps, channels and pixels of the squared difference of means; maps by the layers themselves."""

    def maps(shown):
        found = []
        for block in network.blocks:
            shown = F.relu(block.norm(F.conv2d(shown, block.conv.weight, block.conv.bias, padding=1)))
            found.append(shown)
            shown = F.avg_pool2d(shown, 2)
        return found

    total = 0.0
    for of_class, ours in zip(real, synthetic, strict=True):
        for theirs, mine in zip(maps(of_class), maps(ours), strict=True):
            total += float(((theirs.mean(0) - mine.mean(0)) ** 2).sum())
    return total


def a_run(**fields):
    return Run(
        algorithm=DM(iterations=4),
        space="f0>f4",
        generator=GENERATOR,
        backbone=Network(width=4),
        held_out=10,
        **fields,
    )


@pytest.mark.parametrize("images_per_class", [1, 5])
def test_with_one_network_per_layer_it_is_the_sum_written_out(images_per_class, sample, monkeypatch):
    """More images of a class than go through the network at once, and fewer of them than there are."""
    monkeypatch.setattr(feature_distance, "REAL_IMAGES", 40)
    run = a_run(images_per_class=images_per_class)
    made = FeatureDistance(run, sample, CPU)
    labels = torch.arange(10).repeat_interleave(images_per_class)
    shown = torch.randn(len(labels), 1, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = {layer: float(made.of(shown, labels, layer, 3)) for layer in (0, 1)}
    for layer, distance in found.items():
        rng = rng_for(run.run_id, "feature distance: network of a layer", layer)
        network = build_network(run.backbone, channels=1, resolution=32, classes=10, rng=rng).double().eval()
        chosen = feature_distance.draw_class_members(sample, 40, rng_for(run.run_id, "feature distance: real", layer))
        with torch.no_grad():
            real = [feature_distance.by_index(sample.train_images, sample)(index).double() for index in chosen]
            expected = slow_distance(network, real, shown.split(images_per_class))
        assert distance == pytest.approx(expected, rel=1e-10)
    assert found[0] != found[1]
    assert float(made.of(shown, labels, 1, 4)) == found[1], "the steps of a layer are compared by one network"
    assert float(made.of(shown, labels, 0, 0)) == found[0], "it follows from the run, the layer and the images"


def test_the_released_distance_has_a_new_network_at_each_step(sample, monkeypatch):
    """It follows from the run and the step, whatever was asked before."""
    monkeypatch.setattr(feature_distance, "draws_per_network", lambda *given: (2, 3))
    run = a_run(schedule={"distance": "released"})
    labels = torch.arange(10)
    shown = torch.randn(10, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    first, second = FeatureDistance(run, sample, CPU), FeatureDistance(run, sample, CPU)
    found = [float(first.of(shown, labels, 0, step)) for step in (0, 1)]
    assert found[0] != found[1]
    assert float(second.of(shown, labels, 0, 1)) == found[1]


def test_an_algorithm_without_real_batches_has_those_of_the_released_code(sample, monkeypatch):
    asked = []
    monkeypatch.setattr(feature_distance, "draws_per_network", lambda *given: asked.append(given) or (1, 2))
    run = a_run(schedule={"distance": "released"}).replace(algorithm=MTT(iterations=4))
    FeatureDistance(run, sample, CPU).of(torch.zeros(10, 1, 32, 32), torch.arange(10), 0, 0)
    assert asked == [(len(sample.train_images), 10, 256)]


@pytest.mark.parametrize("name", ["alexnet", "vit"])
def test_other_networks_are_compared_by_their_features(name, sample, monkeypatch):
    monkeypatch.setattr(feature_distance, "REAL_IMAGES", 2)
    made = FeatureDistance(a_run().replace(backbone=Network(name=name, width=8)), sample, CPU)
    real = feature_distance.by_index(sample.train_images, sample)
    members = [torch.from_numpy(index[:4]) for index in sample.class_indices]
    labels = torch.arange(10).repeat_interleave(4)
    near = float(made.of(real(torch.cat(members)), labels, 0, 0))
    far = float(made.of(real(torch.cat(members[::-1])), labels, 0, 0))
    assert 0 < near < far
