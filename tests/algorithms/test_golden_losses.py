"""The three matching losses and their gradients against the paper's code: every recorded case, in both precisions."""

import gc

import pytest
import torch
import torch.nn.functional as F

from glad_ray.algorithms import feature_distance, gradient_distance, trajectory_gradient
from glad_ray.algorithms.mtt import StudentStep, functional_loss
from glad_ray.machine import SavedBytes
from glad_ray.networks import build_network, flat_parameters
from glad_ray.spec import Network
from tests.golden_numbers import golden, images, set_parameters

ARRAYS, FACTS = golden("losses")
REAL_SALT, SYNTHETIC_SALT = {3: 45, 7: 44}, {3: 710, 7: 702}
FORMS = [("layerwise", "ours"), ("squared", "mse"), ("cosine", "cos")]
DC_LABEL = 3
DTYPES = {"f32": torch.float32, "f64": torch.float64}
TOLERANCE = {"f32": 1e-4, "f64": 1e-10}
PRECISIONS = list(DTYPES)
CASES = [case for case in FACTS["mtt"] if f"mtt/{case}/indices" in ARRAYS]


def _network(precision):
    network = build_network(Network(width=8, depth=3), channels=3, resolution=32, classes=10, rng=None)
    facts = FACTS["convnet_d3_w8"]
    assert [list(parameter.shape) for parameter in network.parameters()] == [shape for _, shape in facts["params"]]
    set_parameters(network, facts["gain"])
    return network.to(DTYPES[precision])


def _images(count, salt, precision):
    return images(count, 3, 32, 32, salt).to(DTYPES[precision])


def _close(actual, name, precision):
    expected = torch.as_tensor(ARRAYS[name])
    assert actual.shape == expected.shape
    assert float((actual - expected).norm() / expected.norm()) < TOLERANCE[precision], name


def _gradients(network, x, label, *, create_graph=False):
    loss = F.cross_entropy(network(x), torch.full((len(x),), label))
    return torch.autograd.grad(loss, list(network.parameters()), create_graph=create_graph)


def _dc_images(precision, label=DC_LABEL):
    return _images(8, REAL_SALT[label], precision), _images(2, SYNTHETIC_SALT[label], precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("form", "name"), FORMS)
def test_gradient_distance(form, name, precision):
    network = _network(precision)
    real, synthetic = _dc_images(precision)
    synthetic.requires_grad_()
    gradients = _gradients(network, synthetic, DC_LABEL, create_graph=True)
    distance = gradient_distance(gradients, _gradients(network, real, DC_LABEL), form)
    (grad,) = torch.autograd.grad(distance, synthetic)
    _close(distance.detach(), f"dc/{precision}/class{DC_LABEL}/{name}/loss", precision)
    _close(grad, f"dc/{precision}/class{DC_LABEL}/{name}/dsyn", precision)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_layerwise_terms(precision):
    network = _network(precision)
    real, synthetic = (_gradients(network, x, DC_LABEL) for x in _dc_images(precision))
    terms = [float(gradient_distance([s], [r], "layerwise")) for s, r in zip(synthetic, real, strict=True)]
    expected = FACTS[f"dc/{precision}/class{DC_LABEL}/per_param_distance_ours"]
    assert terms == pytest.approx(expected, rel=TOLERANCE[precision], abs=0)


@pytest.mark.parametrize(("side", "name"), [(0, "grad_real"), (1, "grad_syn")])
def test_parameter_gradients(side, name):
    network = _network("f32")
    ours = _gradients(network, _dc_images("f32")[side], DC_LABEL)
    recorded = torch.from_numpy(ARRAYS[f"dc/f32/class{DC_LABEL}/{name}"]).split([g.numel() for g in ours])
    for (parameter, _), actual, expected in zip(network.named_parameters(), ours, recorded, strict=True):
        if parameter.endswith("conv.bias"):
            # Before an instance norm: exactly zero but for rounding.
            assert max(float(actual.norm()), float(expected.norm())) < 1e-6
        else:
            assert float((actual.flatten() - expected).norm() / expected.norm()) < TOLERANCE["f32"], parameter


@pytest.mark.parametrize("precision", PRECISIONS)
def test_feature_distance(precision):
    network = _network(precision)
    pairs = [_dc_images(precision, label) for label in (3, 7)]
    synthetic = [pair[1].requires_grad_() for pair in pairs]
    real_means = torch.stack([network.embed(real).mean(0) for real, _ in pairs])
    synthetic_means = torch.stack([network.embed(x).mean(0) for x in synthetic])
    loss = feature_distance(real_means, synthetic_means)
    grads = torch.autograd.grad(loss, synthetic, retain_graph=True)
    _close(loss.detach(), f"dm/{precision}/loss", precision)
    per_class = [feature_distance(real_means[k : k + 1], synthetic_means[k : k + 1]).detach() for k in (0, 1)]
    _close(torch.stack(per_class), f"dm/{precision}/loss_per_class", precision)
    for i, grad in enumerate(grads):
        _close(grad, f"dm/{precision}/dsyn{i}", precision)


def _trajectory(case, precision):
    """The student's loss, where it starts and should end, its images, labels, step size, and batches."""
    network, facts = _network(precision), FACTS["mtt_images"]
    return (
        functional_loss(network),
        flat_parameters(network),
        torch.from_numpy(ARRAYS["mtt/target"]).to(DTYPES[precision]),
        _images(facts["batch"], facts["salt"], precision),
        torch.tensor(facts["labels"]),
        torch.tensor(FACTS["mtt"][case]["alpha"], dtype=DTYPES[precision]),
        [torch.from_numpy(batch) for batch in ARRAYS[f"mtt/{case}/indices"]],
    )


def _same(x):
    return x


@pytest.mark.parametrize(("gradient", "precision"), [("tesla", "f32"), ("tesla", "f64"), ("exact", "f64")])
@pytest.mark.parametrize("case", CASES)
def test_trajectory_gradient(case, gradient, precision):
    student_loss, start, target, x, labels, step_size, batches = _trajectory(case, precision)
    steps = [StudentStep(batch, _same) for batch in batches]
    outcome = trajectory_gradient(student_loss, start, target, x, labels, step_size, steps, gradient)
    recorded = f"mtt/{case}/{gradient}_{precision}"
    _close(outcome.loss, f"{recorded}/loss", precision)
    _close(outcome.image_grads, f"{recorded}/img_grad", precision)
    _close(outcome.step_size_grad, f"{recorded}/lr_grad", precision)
    if gradient == "tesla":
        _close(((start - target) ** 2).sum(), f"{recorded}/param_dist", precision)


@pytest.mark.parametrize("gradient", ["tesla", "exact"])
@pytest.mark.parametrize("kept", [0, 1, 2, None])
def test_graphs_that_are_kept_are_not_made_again(gradient, kept):
    student_loss, start, target, x, labels, step_size, batches = _trajectory(CASES[0], "f64")
    calls = []

    def counting_loss(theta, *arguments):
        calls.append(theta)
        return student_loss(theta, *arguments)

    steps = [StudentStep(batch, _same) for batch in batches]
    saved = SavedBytes()
    with saved:
        (theta, images) = (each.clone().requires_grad_() for each in (start, x[batches[0]]))
        graph = torch.autograd.grad(student_loss(theta, images, labels[batches[0]]), theta, create_graph=True)
    arguments = (start, target, x, labels, step_size, steps, gradient)
    of_all = trajectory_gradient(student_loss, *arguments)
    del graph
    room = {} if kept is None else {"graph_bytes": int(saved.total * (kept + 0.5))}
    outcome = trajectory_gradient(counting_loss, *arguments, **room)
    assert len(calls) == 2 * len(steps) - (len(steps) if kept is None else kept)
    for mine, other in zip(outcome, of_all, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("graph_bytes", [0, 2**30])
def test_no_graph_outlives_its_call(graph_bytes):
    student_loss, start, target, x, labels, step_size, batches = _trajectory(CASES[0], "f64")
    steps = [StudentStep(batch, _same) for batch in batches]

    def tensors():
        gc.collect()
        return sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects())

    def again():
        trajectory_gradient(student_loss, start, target, x, labels, step_size, steps, "tesla", graph_bytes)

    again()
    before = tensors()
    for _ in range(3):
        again()
    assert tensors() == before


@pytest.mark.parametrize("case", CASES)
def test_student_steps(case):
    """The path of the student and what each step adds to TESLA's gradient."""
    student_loss, start, target, x, labels, step_size, batches = _trajectory(case, "f64")
    path = []

    def recording_loss(theta, *arguments):
        path.append(theta.detach())
        return student_loss(theta, *arguments)

    # Every step sees copies of its own, so that the gradient of step t is that of the t-th copies.
    copies, own_labels = torch.cat([x[batch] for batch in batches]), torch.cat([labels[batch] for batch in batches])
    own = torch.arange(len(copies)).split([len(batch) for batch in batches])
    steps = [StudentStep(batch, _same) for batch in own]
    outcome = trajectory_gradient(recording_loss, start, target, copies, own_labels, step_size, steps, "tesla")

    gradients = []
    for theta, batch in zip(path[: len(batches)], batches, strict=True):
        theta = theta.requires_grad_()
        gradients += torch.autograd.grad(student_loss(theta, x[batch], labels[batch]), theta)
    recorded = f"mtt/{case}/tesla_f64"
    _close(torch.stack(gradients), f"{recorded}/step_grad", "f64")
    _close(path[len(batches) - 1].detach() - step_size * gradients[-1], f"{recorded}/theta_end", "f64")
    _close(outcome.image_grads.view(len(batches), -1, *x.shape[1:]), f"{recorded}/step_img_grad", "f64")
