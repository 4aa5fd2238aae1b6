"""The matching algorithms as plainly as they can be written: whole steps in float64, from the equations alone.

Equations (1) to (3) of GLaD; details of the paper's code and TESLA's formulas as the golden data records them. One
class at a time, one image at a time, no micro-batches, and MTT through the graph of all its steps. Networks, DSA's six
operations and the names of random draws are the package's; nothing of its algorithms is used.
"""

import math

import torch

from glad_ray.augment import operations as dsa
from glad_ray.networks import build_network
from glad_ray.randomness import rng_for

CLASSES = 10
CHANNELS, SIDE = 1, 32
STRATEGY = ("color", "crop", "cutout", "flip", "scale", "rotate")


def new_network(run, *names):
    """The network that is drawn under `names`, in float64."""
    rng = rng_for(run.run_id, *names)
    return build_network(run.backbone, channels=CHANNELS, resolution=SIDE, classes=CLASSES, rng=rng).double()


# ---- what is drawn


def real_images(run, dataset, step, per_class):
    """Per class, the first images of a permutation of its own, normalised."""
    rng = rng_for(run.run_id, "real", step)
    chosen = []
    for label in range(CLASSES):
        members = torch.from_numpy(dataset.train_images)[torch.from_numpy(dataset.train_labels) == label]
        members = members[torch.randperm(len(members), generator=rng)[:per_class]]
        chosen.append(((members.float() / 255 - dataset.mean[0]) / dataset.std[0]).double())
    return chosen


def augmentations(run, sets, rng, *, shared):
    """For each set of parameters an operation (one for all if `shared`) and three uniform numbers."""
    if not run.augmentation:
        return [("", None)] * sets
    operations = torch.randint(len(STRATEGY), (1 if shared else sets,), generator=rng).tolist()
    uniforms = torch.rand(sets, 3, generator=rng, dtype=torch.float64).tolist()
    return [(STRATEGY[operations[0 if shared else i]], uniforms[i]) for i in range(sets)]


def augmented(image, augmentation):
    """One image (c, h, w) through one operation with one set of uniform numbers."""
    name, uniforms = augmentation
    if not name:
        return image
    u, v, t = uniforms

    def real(value):
        return torch.tensor([value], dtype=torch.float64)

    def whole(value):
        return torch.tensor([math.floor(value)])

    stretch = 1.2 - 1 / 1.2
    draws = {
        "color": lambda: (real(u - 0.5), real(v * 2), real(t + 0.5)),
        "crop": lambda: (whole(u * 9) - 4, whole(v * 9) - 4),  # an eighth of 32 pixels each way
        "cutout": lambda: (whole(u * 33), whole(v * 33)),  # the square has even sides
        "flip": lambda: (torch.tensor([u < 0.5]),),
        "scale": lambda: (real(u * stretch + 1 / 1.2), real(v * stretch + 1 / 1.2)),
        "rotate": lambda: (real((u - 0.5) * 2 * 15 * math.pi / 180),),
    }
    return getattr(dsa, name)(image[None], *draws[name]())(image[None])[0]


# ---- equation (1)


def cross_entropy(logits, label):
    """Of one image; its label is a class or class probabilities, which may have a graph."""
    log_probabilities = logits[0].log_softmax(0)
    return -log_probabilities[label] if isinstance(label, int) else -(label * log_probabilities).sum()


def mean_loss(network, images, labels):
    """The mean cross-entropy of images that are looked at one by one."""
    losses = [cross_entropy(network(x[None]), y) for x, y in zip(images, labels, strict=True)]
    return sum(losses) / len(losses)


def cosine_distance(a, b):
    return 1 - (a * b).sum() / (a.norm() * b.norm() + 1e-6)


def distance_of_gradients(synthetic, real, form):
    """The three forms: one cosine over all parameters, one per output row of each weight, the squared difference."""
    if form == "cosine":
        return cosine_distance(*(torch.cat([g.reshape(-1) for g in gradients]) for gradients in (synthetic, real)))
    total = torch.zeros((), dtype=torch.float64)
    for a, b in zip(synthetic, real, strict=True):
        if form == "squared":
            total = total + ((a - b) ** 2).sum()
        elif a.ndim in (2, 4):
            for row_a, row_b in zip(a, b, strict=True):
                total = total + cosine_distance(row_a, row_b)
    return total


def dc_step(run, dataset, network, images, labels, step):
    """Equation (1) summed over classes, and its gradient with respect to the images."""
    parameters = list(network.parameters())
    real = real_images(run, dataset, step, run.algorithm.real_batch_size)
    siamese = augmentations(run, CLASSES, rng_for(run.run_id, "augmentation", step), shared=False)
    leaves = [image.clone().requires_grad_() for image in images]
    total = 0.0
    for label in range(CLASSES):
        of_real = [augmented(image, siamese[label]) for image in real[label]]
        of_class = [augmented(x, siamese[label]) for x, y in zip(leaves, labels, strict=True) if y == label]
        target = torch.autograd.grad(mean_loss(network, of_real, [label] * len(of_real)), parameters)
        gradients = torch.autograd.grad(
            mean_loss(network, of_class, [label] * len(of_class)), parameters, create_graph=True
        )
        total = total + distance_of_gradients(gradients, target, run.algorithm.matching)
    return total.detach(), torch.stack(torch.autograd.grad(total, leaves))


def dc_train(run, network, images, labels, step):
    """Train DC's network on the images, all in one batch, by plain gradient descent."""
    rng = rng_for(run.run_id, "inner loop", step)
    parameters = list(network.parameters())
    for _ in range(run.algorithm.inner_loops):
        order = torch.randperm(len(images), generator=rng).tolist()
        drawn = augmentations(run, len(images), rng, shared=True)
        batch = [augmented(images[i], augmentation) for i, augmentation in zip(order, drawn, strict=True)]
        gradients = torch.autograd.grad(mean_loss(network, batch, [labels[i] for i in order]), parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= run.algorithm.network_lr * gradient


# ---- equation (2)


def dm_step(run, dataset, images, labels, step):
    """The squared distance of mean features, summed over classes, and its gradient with respect to the images."""
    network = new_network(run, "network", step)
    real = real_images(run, dataset, step, run.algorithm.real_batch_size)
    siamese = augmentations(run, CLASSES, rng_for(run.run_id, "augmentation", step), shared=False)
    leaves = [image.clone().requires_grad_() for image in images]
    total = 0.0
    for label in range(CLASSES):
        of_real = [augmented(image, siamese[label]) for image in real[label]]
        of_class = [augmented(x, siamese[label]) for x, y in zip(leaves, labels, strict=True) if y == label]
        means = [sum(network.embed(image[None]) for image in group) / len(group) for group in (of_real, of_class)]
        total = total + ((means[0] - means[1]) ** 2).sum()
    return total.detach(), torch.stack(torch.autograd.grad(total, leaves))


# ---- equation (3)


def mtt_draws(run, trajectories, size, step):
    """The expert's segment, and per student step the images it sees (by index) and their augmentations."""
    rng = rng_for(run.run_id, "trajectory", step)
    expert = int(torch.randint(run.algorithm.experts.count, (), generator=rng))
    start_epoch = drawn_start_epoch(run.algorithm, step, rng)
    segment = trajectories.segment(expert, start_epoch, run.algorithm.expert_epochs)
    rng = rng_for(run.run_id, "student", step)
    batch_size = run.algorithm.batch_size or size
    batches = []
    while len(batches) < run.algorithm.synthetic_steps:
        order = torch.randperm(size, generator=rng).tolist()
        of_pass = [order[i : i + batch_size] for i in range(0, size, batch_size)]
        batches += reversed(of_pass) if run.algorithm.rest_first else of_pass
    batches = batches[: run.algorithm.synthetic_steps]
    steps = [(batch, augmentations(run, len(batch), rng, shared=True)) for batch in batches]
    return *(theta.double() for theta in segment), steps


def drawn_start_epoch(settings, step, rng):
    """From a window whose end grows in equal parts to its last value."""
    end = settings.max_start_epoch
    if settings.first_max_start_epoch is not None and step < settings.growth_iterations:
        grown = step / settings.growth_iterations * (end - settings.first_max_start_epoch)
        end = settings.first_max_start_epoch + math.floor(grown + 1e-9)
    width = max(1, end - settings.min_start_epoch)
    return settings.min_start_epoch + int(torch.randint(width, (), generator=rng))


def with_parameters(network, theta):
    """The network as a function of images, with flat parameters `theta`."""
    parameters, position = {}, 0
    for name, parameter in network.named_parameters():
        parameters[name] = theta[position : position + parameter.numel()].view_as(parameter)
        position += parameter.numel()
    return lambda images: torch.func.functional_call(network, parameters, (images,))


def soft_labels(run, trajectories, images):
    """The mean over experts, as they are after their last epoch, of the class probabilities of each image."""
    network, experts = new_network(run, "any"), run.algorithm.experts
    labels = []
    for image in images:
        of_experts = []
        for expert in range(experts.count):
            theta, _ = trajectories.segment(expert, experts.epochs, 0)
            of_experts.append(with_parameters(network, theta.double())(image[None])[0].softmax(0).detach())
        labels.append(sum(of_experts) / len(of_experts))
    return labels


def learned_labels(run, trajectories, images, classes):
    """Logits of each image that labels begin with when they are learned: the mean over the experts that name its class;
    if none does, the mean over all, in which that class changes places with the one they name together.
    """
    network, experts = new_network(run, "any"), run.algorithm.experts
    logits = []
    for image, label in zip(images, classes, strict=True):
        said = []
        for expert in range(experts.count):
            theta, _ = trajectories.segment(expert, experts.epochs, 0)
            said.append(with_parameters(network, theta.double())(image[None])[0].detach())
        if right := [each for each in said if int(each.argmax()) == label]:
            logits.append(sum(right) / len(right))
        else:
            mean = (sum(said) / len(said)).tolist()
            named = mean.index(max(mean))
            mean[label], mean[named] = mean[named], mean[label]
            logits.append(torch.tensor(mean, dtype=torch.float64))
    return logits


def mtt_step(run, trajectories, images, labels, step_size, step):
    """Equation (3) and its gradients with respect to the images and the step size; if the labels are logits, with
    respect to these too.

    `exact`: through the graph of all N steps. `tesla`: at fixed theta_t, the derivative with respect to the images x_t
    of step t of [a^2 g_t . g_t + 2 a g_t . (a (G - stop(g_t)) - theta_0 + theta*)] / D; for the step size -2 r . G / D.
    """
    network = new_network(run, "any")  # only its shape counts
    start, target, steps = mtt_draws(run, trajectories, len(images), step)
    leaves = [image.clone().requires_grad_() for image in images]
    logits = [label.clone().requires_grad_() for label in labels] if run.algorithm.labels == "learned" else []
    labels = [each.softmax(0) for each in logits] or labels
    alpha = torch.tensor(step_size, dtype=torch.float64, requires_grad=True)
    distance = ((start - target) ** 2).sum()
    exact = run.algorithm.gradient == "exact"

    theta, gradients = start.clone().requires_grad_(), []
    for batch, drawn in steps:
        seen = [augmented(leaves[i], augmentation) for i, augmentation in zip(batch, drawn, strict=True)]
        loss = mean_loss(with_parameters(network, theta), seen, [labels[i] for i in batch])
        (g,) = torch.autograd.grad(loss, theta, create_graph=True)
        gradients.append(g)
        theta = theta - alpha * g if exact else (theta - alpha * g).detach().requires_grad_()
    final = ((theta - target) ** 2).sum() / distance
    if exact:
        *grads, step_size_grad = torch.autograd.grad(final, [*leaves, *logits, alpha])
        return final.detach(), torch.stack(grads[: len(leaves)]), step_size_grad, *_stacked(grads[len(leaves) :])

    alpha = alpha.detach()
    total = sum(g.detach() for g in gradients)
    terms = [
        (alpha**2 * (g @ g) + 2 * alpha * (g @ (alpha * (total - g.detach()) - start + target))) / distance
        for g in gradients
    ]
    grads = torch.autograd.grad(sum(terms), [*leaves, *logits])
    step_size_grad = -2 * (theta.detach() - target) @ total / distance
    return final.detach(), torch.stack(grads[: len(leaves)]), step_size_grad, *_stacked(grads[len(leaves) :])


def _stacked(grads):
    return [torch.stack(grads)] if grads else []
