"""Evaluation protocols of newer methods against what their codes computed: RDED's students and NCFM's evaluation."""

import numpy as np
import pytest
import torch

import glad_ray.evaluation
from glad_ray.augment import Box, Mix, cutmix_box, cutmix_of, mix_images, mixed_cross_entropy
from glad_ray.evaluation import accuracy, learning_rate_factor, train_network
from glad_ray.networks import build_network
from glad_ray.optimisers.adam import AdamW
from glad_ray.spec import Evaluation, Network
from glad_ray.teaching import Teacher, divergence
from glad_ray.training import Batch, Extras, train_batch
from tests.golden_numbers import golden, images, s_like, set_parameters

RDED, OF_RDED = golden("successors/hpd_idc_dream_rded/rded")
NCFM, OF_NCFM = golden("successors/ncfm_datm/ncfm")
DTYPES = {"f32": torch.float32, "f64": torch.float64}
TOLERANCE = {"f32": 1e-4, "f64": 1e-10}


def convnet(dtype, norm="instancenorm", gain=2**0.5):
    network = build_network(Network(width=8, depth=3, norm=norm), channels=3, resolution=32, classes=10, rng=None)
    set_parameters(network, gain)
    return network.to(dtype)


@pytest.mark.parametrize("epochs", OF_RDED["lr_factor"])
def test_learning_rate_of_rded(epochs):
    for epoch, factor in OF_RDED["lr_factor"][epochs].items():
        assert learning_rate_factor(int(epoch), int(epochs), "slow-cosine") == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize("case", ["adamw10", "sgd10"])
def test_learning_rate_of_ncfm(case):
    facts = OF_NCFM[f"eval/{case}"]
    base = facts["lr_per_epoch"][0]
    rates = [base * learning_rate_factor(epoch, 10, "halving") for epoch in range(10)]
    assert rates == pytest.approx(facts["lr_per_epoch"], rel=1e-12)


def test_learning_rate_of_idc():
    recorded = OF_NCFM["pretrain_lr_60"]
    rates = [0.01 * learning_rate_factor(epoch, 60, "fifths") for epoch in range(60)]
    assert rates == pytest.approx(recorded, rel=1e-12)


def test_divergence_of_rded():
    facts = OF_RDED["kl"]["T20"]
    student, teacher = (torch.from_numpy(5 * s_like((4, 10), stream)) for stream in (5070, 5170))
    student.requires_grad_()
    temperature = facts["T"]
    loss = divergence(student, (teacher / temperature).softmax(1), temperature)
    assert loss.item() == pytest.approx(facts["loss_f64"], rel=1e-10)
    loss.backward()
    np.testing.assert_allclose(student.grad.numpy(), RDED["kl/T20/grad_f64"], rtol=1e-10, atol=1e-14)
    scaled = divergence(student, (teacher / temperature).softmax(1), temperature, scaled=True)
    assert scaled.item() == pytest.approx(400 * facts["loss_f64"], rel=1e-10)


@pytest.mark.parametrize("case", OF_RDED["student_epoch"])
@pytest.mark.parametrize("precision", DTYPES)
def test_an_epoch_of_a_student_of_rded(case, precision):
    facts, dtype = OF_RDED["student_epoch"][case], DTYPES[precision]
    teacher = convnet(dtype, "batchnorm", facts["teacher_gain"]).eval()
    student = convnet(dtype, "batchnorm", facts["student_gain"]).train()
    optimiser = AdamW(student.parameters(), facts["lr"], facts["weight_decay"], decay_vectors=False)
    extras = Extras(teacher=Teacher([teacher], facts["temperature"]), seen_twice=True)
    assert facts["accum"] == 1
    labels, losses = torch.arange(8), []
    for number, salt in enumerate(facts["salts"]):
        share, partners = facts["lam"][number], torch.tensor(facts["perm"][number])
        if facts["mix"] == "cutmix":
            box = cutmix_box(32, 32, share, *facts["c"][2 * number : 2 * number + 2])
            assert list(box) == facts["boxes"][number]
            mix = cutmix_of(32, 32, box, partners)
        else:
            mix = Mix(partners, share, None)
        x = images(8, 3, 32, 32, salt).to(dtype)
        batch = Batch(index=torch.arange(8), operation=None, uniforms=torch.zeros(8, 3), mix=mix)
        losses += train_batch(student, optimiser, lambda index, x=x: x[index], labels, [batch], extras).tolist()

    # Those of float32 are near 6e-4, a difference of numbers near 2.
    np.testing.assert_allclose(losses, facts[f"losses_{precision}"], rtol={"f32": 1e-3, "f64": 1e-10}[precision])
    norms = [module for name, module in student.named_modules() if name.endswith("norm")]
    statistics = torch.cat([torch.cat([norm.running_mean, norm.running_var]) for norm in norms]).double().numpy()
    assert {int(norm.num_batches_tracked) for norm in norms} == {facts["batches_tracked"]}
    recorded = RDED[f"student_epoch/{case}/running_mean_var_per_block"]
    np.testing.assert_allclose(statistics, recorded, rtol=TOLERANCE[precision], atol=TOLERANCE[precision] / 10)
    if precision == "f64":
        parameters = torch.cat([value.detach().flatten() for value in student.parameters()]).numpy()
        # Of biases before batch norm the gradient is rounding alone, which Adam makes steps of.
        np.testing.assert_allclose(parameters, RDED[f"student_epoch/{case}/params"], rtol=1e-10, atol=2e-12)
        projection = float((parameters * s_like(parameters.shape, 3000)).sum())
        assert projection == pytest.approx(facts["params_proj_f64"], rel=1e-10)


def norms_and_projections(values):
    flat = [value.detach().double().flatten().numpy() for value in values]
    return [np.linalg.norm(each) for each in flat], [
        float((each * s_like(each.shape, 500 + number)).sum()) for number, each in enumerate(flat)
    ]


def compared(network, precision):
    """Relative tolerances by number of parameter. The gradient of biases before instance norm is rounding alone, of
    which Adam makes steps: in float32 they are not compared, in float64 to the 1e-9 that the recorder found.
    """
    rounding = {number for number, (name, _) in enumerate(network.named_parameters()) if name.endswith("conv.bias")}
    if precision == "f32":
        return {number: 1e-4 for number in range(14) if number not in rounding}
    return {number: 1e-9 if number in rounding else 1e-10 for number in range(14)}


@pytest.mark.parametrize("precision", DTYPES)
def test_a_step_with_cutmix_of_ncfm(precision):
    facts, dtype = OF_NCFM["cutmix/cm0"], DTYPES[precision]
    network = convnet(dtype).train()
    mix = cutmix_of(32, 32, Box(*facts["box"]), torch.tensor(facts["perm"]))
    x, labels = images(8, 3, 32, 32, facts["salt"]).to(dtype), torch.tensor(facts["labels"])
    optimiser = AdamW(network.parameters(), 1e-3, 0.01)
    loss = mixed_cross_entropy(network(mix_images(x, mix)), labels, mix)
    assert loss.item() == pytest.approx(float(NCFM[f"cutmix/cm0/{precision}/loss"]), rel=TOLERANCE[precision])
    loss.backward()
    kept = compared(network, precision)
    for kind, values in (("grad", [each.grad for each in network.parameters()]), ("param", network.parameters())):
        if kind == "param":
            optimiser.step()
        for name, found in zip(("norm", "proj"), norms_and_projections(values), strict=True):
            recorded = NCFM[f"cutmix/cm0/{precision}/{kind}_{name}"]
            for number, tolerance in kept.items():
                assert found[number] == pytest.approx(recorded[number], rel=tolerance, abs=1e-12), kind


@pytest.mark.parametrize("case", ["adamw10", "sgd10"])
@pytest.mark.parametrize("precision", DTYPES)
def test_an_evaluation_of_ncfm(case, precision, monkeypatch):
    facts, dtype = OF_NCFM[f"eval/{case}"], DTYPES[precision]
    network = convnet(dtype)
    x, test_x = (images(10, 3, 32, 32, facts[name]).to(dtype) for name in ("salt_train", "salt_test"))
    labels, losses = torch.tensor(facts["labels"]), []
    train_epoch = glad_ray.evaluation.train_epoch_together

    def recording_epoch(*arguments, **settings):
        (loss,) = train_epoch(*arguments, **settings)
        losses.append(loss)
        return [loss]

    monkeypatch.setattr(glad_ray.evaluation, "train_epoch_together", recording_epoch)
    evaluation = Evaluation(
        epochs=10,
        schedule="halving",
        optimiser=facts["optimiser"],
        weight_decay=0.01 if facts["optimiser"] == "adamw" else 0.0,
        ema_decay=0.0,
        augmentation="",
    )
    rng = torch.Generator().manual_seed(0)
    last = train_network(network, x, labels, evaluation, lr=facts["lr_per_epoch"][0], rng=rng)
    np.testing.assert_allclose(losses, NCFM[f"eval/{case}/{precision}/train_loss"], rtol=TOLERANCE[precision])
    assert 100 * accuracy(last, test_x, labels) == pytest.approx(facts["last"])
    test_loss = torch.nn.functional.cross_entropy(last(test_x), labels).item()
    assert test_loss == pytest.approx(NCFM[f"eval/{case}/{precision}/val_loss"][-1], rel=TOLERANCE[precision])
    kept = compared(network, precision)
    for name, found in zip(("norm", "proj"), norms_and_projections(last.parameters()), strict=True):
        recorded = NCFM[f"eval/{case}/{precision}/param_{name}"]
        for number, tolerance in kept.items():
            assert found[number] == pytest.approx(recorded[number], rel=tolerance, abs=1e-12)
