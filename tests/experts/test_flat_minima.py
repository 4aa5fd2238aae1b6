"""FTD's training towards flat minima: the numbers of its released code, and the definition written out."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from glad_ray.flat_minima import flat_gradient, perturbation
from glad_ray.networks import Ensemble, build_network, flat_parameters, flat_parameters_of_each
from glad_ray.optimisers.sgd import SGD
from glad_ray.spec import Network
from glad_ray.spec.experts import Flatness
from glad_ray.training import Batch, Extras, train_batch
from tests.golden_numbers import golden, images, s_like, set_parameters

ARRAYS, FACTS = golden("successors/ncfm_datm/datm")
CASES = [name for name in FACTS if name.startswith("ftd/")]
DTYPES = {"f32": torch.float32, "f64": torch.float64}
TOLERANCE = {"f32": 1e-4, "f64": 1e-10}


def network(dtype):
    made = build_network(Network(width=8, depth=3), channels=3, resolution=32, classes=10, rng=None)
    set_parameters(made, np.sqrt(2))
    return made.to(dtype)


def close(tensors, name, precision):
    """Norm and projection of every tensor; those that are noise beside the whole are held against the whole."""
    norms = torch.stack([each.double().norm() for each in tensors])
    projections = [
        each.double().flatten() @ torch.from_numpy(s_like((each.numel(),), 500 + i)) for i, each in enumerate(tensors)
    ]
    for actual, key in ((norms, "norm"), (torch.stack(projections), "proj")):
        expected = torch.from_numpy(ARRAYS[name.replace("_*_", f"_{key}_").replace("_*", f"_{key}")])
        assert float((actual - expected).norm() / expected.norm()) < TOLERANCE[precision], (name, key)


def first_batch(case, dtype):
    facts = FACTS[case]
    return images(facts["batch"], 3, 32, 32, facts["salts"][0]).to(dtype), torch.tensor(facts["labels"][0])


def gradients_of(network, x, labels):
    gradients = torch.autograd.grad(F.cross_entropy(network(x), labels), list(network.parameters()))
    return torch.cat([each.flatten() for each in gradients])


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_gradients(case, precision):
    facts, dtype, recorded = FACTS[case], DTYPES[precision], f"{case}/{precision}"
    x, labels = first_batch(case, dtype)
    made = network(dtype)
    sizes = [parameter.numel() for parameter in made.parameters()]
    before, clean = flat_parameters(made), gradients_of(made, x, labels)
    way = perturbation(before[None], clean[None], rho=facts["rho"], adaptive=facts["adaptive"])
    torch.nn.utils.vector_to_parameters(before + way[0], made.parameters())
    final = flat_gradient(clean[None], gradients_of(made, x, labels)[None], facts["alpha"])
    close(clean.split(sizes), f"{recorded}/grad_clean_*", precision)
    close(way[0].split(sizes), f"{recorded}/perturbation_*", precision)
    close(final[0].split(sizes), f"{recorded}/grad_final_*", precision)


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("together", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_three_steps(case, together, precision):
    """As an expert by itself, and as the second of two whose norms are their own."""
    facts, dtype, recorded = FACTS[case], DTYPES[precision], f"{case}/{precision}"
    flat = Flatness(rho=facts["rho"], alpha=facts["alpha"], adaptive=facts["adaptive"])
    made = network(dtype)
    sizes = [parameter.numel() for parameter in made.parameters()]
    if together == 2:
        other = network(dtype)
        torch.nn.utils.vector_to_parameters(3 * flat_parameters(other), other.parameters())
        made = Ensemble([other, made])
    optimiser = SGD(made.parameters(), facts["lr"], facts["momentum"], facts["weight_decay"])
    losses = []
    for number, (salt, classes) in enumerate(zip(facts["salts"], facts["labels"], strict=True), start=1):
        x = images(facts["batch"], 3, 32, 32, salt).to(dtype)
        batch = Batch(index=torch.arange(len(x)), operation=None, uniforms=torch.zeros(len(x), 3))
        loss = train_batch(made, optimiser, x.__getitem__, torch.tensor(classes), [batch] * together, Extras(flat=flat))
        losses.append(float(loss[-1]))
        if number in (1, 3):
            close(
                flat_parameters_of_each(made, together)[-1].split(sizes), f"{recorded}/param_*_after{number}", precision
            )
    np.testing.assert_allclose(losses, ARRAYS[f"{recorded}/loss"], rtol=TOLERANCE[precision])


@pytest.mark.parametrize(
    ("adaptive", "momentum", "weight_decay"),
    [(True, 0.5, 1e-2), *(pytest.param(*case, marks=pytest.mark.full) for case in [(True, 0, 0), (False, 0.5, 1e-2)])],
)
def test_a_step_is_its_definition(adaptive, momentum, weight_decay):
    """The same written value by value, with momentum and weight decay on what comes out."""
    rho, alpha, lr = 0.3, 0.7, 0.1
    made = network(torch.float64)
    x, labels = first_batch(CASES[0], torch.float64)
    optimiser = SGD(made.parameters(), lr, momentum, weight_decay)
    batch = Batch(index=torch.arange(len(x)), operation=None, uniforms=torch.zeros(len(x), 3))
    velocity = 0.0
    for _ in range(2):
        w = flat_parameters(made)
        first = gradients_of(made, x, labels).tolist()
        sizes = [abs(value) if adaptive else 1.0 for value in w.tolist()]
        length = sum((size * value) ** 2 for size, value in zip(sizes, first, strict=True)) ** 0.5
        way = [rho * size**2 * value / length for size, value in zip(sizes, first, strict=True)]
        moved = network(torch.float64)
        torch.nn.utils.vector_to_parameters(w + torch.tensor(way, dtype=torch.float64), moved.parameters())
        second = gradients_of(moved, x, labels).tolist()
        # What of the first is across the second.
        share = sum(a * b for a, b in zip(first, second, strict=True)) / sum(b * b for b in second)
        final = [b - alpha * (a - share * b) for a, b in zip(first, second, strict=True)]
        velocity = momentum * velocity + torch.tensor(final, dtype=torch.float64) + weight_decay * w
        flat = Flatness(rho=rho, alpha=alpha, adaptive=adaptive)
        train_batch(made, optimiser, x.__getitem__, labels, [batch], Extras(flat=flat))
        torch.testing.assert_close(flat_parameters(made), w - lr * velocity, rtol=0, atol=1e-11)


def test_parameters_without_a_gradient_stay_as_they_are():
    x, labels = first_batch(CASES[0], torch.float64)
    batch = Batch(index=torch.arange(len(x)), operation=None, uniforms=torch.zeros(len(x), 3))

    def trained(made):
        train_batch(made, SGD(made.parameters(), 0.1), x.__getitem__, labels, [batch], Extras(flat=Flatness(rho=0.5)))
        return flat_parameters(made)

    class WithOneMore(torch.nn.Module):
        def __init__(self, used):
            super().__init__()
            self.first, self.used = torch.nn.Parameter(torch.ones(3, dtype=torch.float64)), used

        def forward(self, images):
            return self.used(images)

    both = trained(WithOneMore(network(torch.float64)))
    assert torch.equal(both[:3], torch.ones(3, dtype=torch.float64))
    assert torch.equal(both[3:], trained(network(torch.float64)))
