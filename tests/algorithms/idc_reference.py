"""IDC as plainly as it can be written, in float64: image by image, the training of networks by hand.

Networks, augmentation, and the names of random draws are the package's; nothing of its algorithm is used.
"""

import torch

from glad_ray.augment import apply, draw, draw_mix
from glad_ray.randomness import rng_for
from tests.algorithms import references

MOMENTUM, DECAY = 0.9, 5e-4


def distance(a, b, form):
    """Of two gradients, row by row."""
    total = torch.zeros((), dtype=torch.float64)
    for row_a, row_b in zip(a, b, strict=True):
        x, y = row_a.reshape(-1), row_b.reshape(-1)
        total = (
            total
            + {
                "mse": lambda x=x, y=y: ((x - y) ** 2).sum(),
                "l1": lambda x=x, y=y: (x - y).abs().sum(),
                "l1_mean": lambda x=x, y=y: (x - y).abs().sum() / len(x),
                "cos": lambda x=x, y=y: references.cosine_distance(x, y),
            }[form]()
        )
    return total


def step(run, dataset, network, images, labels, number):
    """The loss of a step on all images and its gradient."""
    settings = run.algorithm
    parameters = [
        each
        for each in network.parameters()
        if each.ndim == 4 or (each.ndim == 2 and settings.linear) or (each.ndim == 1 and settings.vectors)
    ]
    drawn = draw(run.augmentation, references.CLASSES, rng_for(run.run_id, "augmentation", number))
    leaves = [image.clone().requires_grad_() for image in images]
    total = torch.zeros((), dtype=torch.float64)
    for label in range(references.CLASSES):
        members = torch.from_numpy(dataset.train_images)[torch.from_numpy(dataset.train_labels) == label]
        order = torch.randperm(len(members), generator=rng_for(run.run_id, "real", number, label))
        real = _seen(dataset, members[order[: settings.real_batch_size]])
        of_class = [leaf for leaf, own in zip(leaves, labels, strict=True) if own == label]
        if len(of_class) > settings.synthetic_batch_size:
            order = torch.randperm(len(of_class), generator=rng_for(run.run_id, "synthetic", number, label))
            of_class = [of_class[i] for i in order[: settings.synthetic_batch_size].tolist()]
        real, of_class = ([apply(x[None], drawn.only(label))[0] for x in each] for each in (real, of_class))
        if settings.matched != "features":
            target = torch.autograd.grad(references.mean_loss(network, real, [label] * len(real)), parameters)
            loss = references.mean_loss(network, of_class, [label] * len(of_class))
            gradients = torch.autograd.grad(loss, parameters, create_graph=True)
            for a, b in zip(gradients, target, strict=True):
                total = total + distance(a, b, settings.distance)
        if settings.matched != "gradients":
            means = [sum(network.embed(x[None])[0] for x in each) / len(each) for each in (of_class, real)]
            form = "mse" if settings.matched == "features" else settings.distance
            total = total + distance(means[0], means[1].detach(), form)
    return total.detach(), torch.stack(torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True))


def train(run, dataset, network, velocities, iteration):
    """The training of a network before an iteration: mini-batches of real images mixed by CutMix."""
    settings, rng = run.algorithm, rng_for(run.run_id, "network images", iteration)
    size, side = settings.real_batch_size, references.SIDE
    batches = -(-settings.network_images // size)
    for index in torch.randperm(len(dataset.train_labels), generator=rng)[: batches * size].split(size):
        drawn = draw(settings.network_augmentation, size, rng, shared_operation=True)
        mix = draw_mix(settings.network_mixing, size, side, side, rng)
        images = apply(torch.stack(_seen(dataset, torch.from_numpy(dataset.train_images)[index])), drawn)
        classes = torch.from_numpy(dataset.train_labels)[index].tolist()
        loss = torch.zeros((), dtype=torch.float64)
        for number in range(size):
            image, share, other = images[number].clone(), 1.0, number
            if mix is not None:
                top, left, bottom, right = mix.box
                other = int(mix.partners[number])
                share = 1 - (bottom - top) * (right - left) / side**2
                for row in range(top, bottom):
                    for column in range(left, right):
                        image[:, row, column] = images[other, :, row, column]
            logits = network(image[None])
            own, partners = (references.cross_entropy(logits, classes[each]) for each in (number, other))
            loss = loss + (share * own + (1 - share) * partners) / size
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        with torch.no_grad():
            for parameter, velocity, gradient in zip(network.parameters(), velocities, gradients, strict=True):
                velocity.copy_(MOMENTUM * velocity + gradient + DECAY * parameter)
                parameter -= settings.network_lr * velocity


def _seen(dataset, pixels):
    return list(((pixels.float() / 255 - dataset.mean[0]) / dataset.std[0]).double())
