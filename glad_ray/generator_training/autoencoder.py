"""The stage that gives the generator coverage: a variational autoencoder whose decoder it is, conditional on the class.

Kingma and Welling (2014), equation 10, with the absolute error of pixels and features in the place of a likelihood
(Larsen et al., 2016, section 3.1, for features of a network), and a weight for the divergence (Higgins et al., 2017).
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from glad_ray.generator_training.base import Setting, Tensors, TrainingStage, of_prefix, prefixed
from glad_ray.generator_training.features import Features
from glad_ray.generator_training.weights import average_into, generated, new_weights, trained_names
from glad_ray.networks import Classifier, build_network
from glad_ray.optimisers.adam import Adam
from glad_ray.spec import Network

_BETAS = (0.9, 0.99)


class AutoencoderStage(TrainingStage):
    """Encoder and generator on real images of classes that are drawn uniformly."""

    def __init__(self, setting: Setting, features: Features) -> None:
        self.setting, self.features = setting, features
        training = setting.training
        self.encoder = new_encoder(setting, setting.rng("encoder network"))
        self.weights = new_weights(setting)
        self.average = {name: value.clone() for name, value in self.weights.items()}
        self._names = trained_names(training, self.weights)
        learned = {name: self.weights[name].requires_grad_() for name in self._names}
        parameters = prefixed("generator", learned) | prefixed("encoder", dict(self.encoder.named_parameters()))
        self._adam = Adam(parameters, training.autoencoder_lr, _BETAS)

    @override
    def step(self, number: int) -> Mapping[str, float]:
        training, rng = self.setting.training, self.setting.rng("autoencoder step", number)
        loss, parts = autoencoder_loss(self.setting, self.encoder, self.features, self.weights, rng)
        self._adam.step(loss)
        average_into(self.average, self.weights, self._names, training.batch_size, training.average_images)
        return parts

    @override
    def tensors(self) -> Tensors:
        return (
            prefixed("generator", {name: self.weights[name] for name in self._names})
            | prefixed("average", self.average)
            | prefixed("encoder", self.encoder.state_dict())
            | prefixed("adam", self._adam.tensors())
        )


def autoencoder_loss(
    setting: Setting, encoder: Classifier, features: Features, weights: Tensors, rng: torch.Generator
) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """The loss of a batch of real images, differentiable in the weights of encoder and generator, and its parts."""
    training = setting.training
    labels, images = setting.draw(training.batch_size, rng)
    mean, log_variance = encoder(setting.seen(images)).chunk(2, dim=1)
    noise = torch.randn(mean.shape, generator=rng).to(mean)
    made = generated(training, weights, mean + (log_variance / 2).exp() * noise, labels)
    pixels = (made - images).abs().mean()
    distance = features.distance(setting.seen(made), setting.seen(images))
    divergence = divergence_from_normal(mean, log_variance)
    parts = {"pixels": pixels, "features": distance, "nats": divergence}
    loss = pixels + training.feature_weight * distance + training.kl_weight * divergence
    return loss, {name: float(value.detach()) for name, value in parts.items()}


def new_encoder(setting: Setting, rng: torch.Generator | None) -> Classifier:
    """A ConvNet from normalised images to mean and log variance of z, one after the other; no norm, which would hide
    how bright an image is. `rng` None: for weights that are loaded.
    """
    training = setting.training
    return build_network(
        Network(name="convnet", width=training.feature_width, norm="none"),
        channels=training.channels,
        resolution=training.resolution,
        classes=2 * training.shape.z_dim,
        rng=rng,
    ).to(setting.device)


def divergence_from_normal(mean: Float[Tensor, "n z"], log_variance: Float[Tensor, "n z"]) -> Float[Tensor, ""]:
    """Kullback-Leibler divergence of N(mean, variance) from N(0, 1) in nats, the mean over images (Kingma and Welling,
    2014, appendix B).
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()


def averaged_weights(outcome: Mapping[str, Tensor]) -> Tensors:
    """The generator's averaged weights of a stage's tensors."""
    return of_prefix("average", outcome)
