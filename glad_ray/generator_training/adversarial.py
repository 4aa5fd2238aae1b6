"""The stage that gives the generator detail: relativistic, class-conditional, with gradient penalties on both sides.

Huang et al., "The GAN is dead; long live the GAN!" (2024): the loss (equation 2) and R1 with R2 (section 2.2), here in
every 16th step (Karras et al., 2020, section 3.1). The discriminator sees pixels and frozen features (Sauer et al.,
2021). Real and generated images of a pair have one class and one draw of DSA (Zhao and Bilen, 2021).
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from typing_extensions import override

from glad_ray.augment import apply, draw
from glad_ray.generator_training.autoencoder import autoencoder_loss, averaged_weights, new_encoder
from glad_ray.generator_training.base import Setting, Tensors, TrainingStage, of_prefix, prefixed
from glad_ray.generator_training.features import Features
from glad_ray.generator_training.weights import average_into, generated, trained_names
from glad_ray.networks import Classifier, build_network
from glad_ray.optimisers.adam import Adam
from glad_ray.spec import Network

_BETAS = (0.0, 0.99)
_LEFT = 4
"""side of the maps that a discriminator's ConvNet leaves"""


class Discriminator(nn.Module):
    """A ConvNet for pixels and one for the maps of each depth; each gives a number for the class of the image."""

    def __init__(self, setting: Setting, features: Features, rng: torch.Generator) -> None:
        super().__init__()
        training = setting.training
        self._features = features
        image = torch.zeros(1, training.channels, training.resolution, training.resolution, device=setting.device)
        with torch.no_grad():
            shapes = [each.shape[1:] for each in (image, *features(image))]
        self.heads = nn.ModuleList(
            build_network(
                Network(
                    name="convnet",
                    width=training.discriminator_width,
                    depth=max(1, (int(side) // _LEFT).bit_length() - 1),
                    norm="none",
                ),
                channels=channels,
                resolution=side,
                classes=1 + training.classes,
                rng=rng,
            )
            for channels, side, _ in shapes
        )

    def forward(self, images: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"]) -> Float[Tensor, "n heads"]:
        """How real normalised images are as images of their classes: one number for all classes and one for the own."""
        logits = []
        for head, maps in zip(self.heads, (images, *self._features(images)), strict=True):
            of_all = head(maps)
            logits.append(of_all[:, 0] + of_all[:, 1:].gather(1, labels[:, None])[:, 0])
        return torch.stack(logits, dim=1)


class AdversarialStage(TrainingStage):
    """Trains discriminator and generator in turn, from the autoencoder's generator on. With `autoencoder_weight` the
    generator's loss has the autoencoder's added, and the encoder is trained too; with `guidance_weight` how well the
    classifier of the features names the classes that were asked for.
    """

    def __init__(self, setting: Setting, features: Features, autoencoder: Mapping[str, Tensor]) -> None:
        self.setting, self.features = setting, features
        training = setting.training
        self.encoder: Classifier | None = None
        """None: the autoencoder's loss is not added"""
        if training.autoencoder_weight:
            self.encoder = new_encoder(setting, rng=None)
            self.encoder.load_state_dict(of_prefix("encoder", autoencoder))
        self.weights = {name: value.clone() for name, value in averaged_weights(autoencoder).items()}
        self.average = {name: value.clone() for name, value in self.weights.items()}
        self.discriminator = Discriminator(setting, features, setting.rng("discriminator network")).to(setting.device)
        self._names = trained_names(training, self.weights)
        learned = {name: self.weights[name].requires_grad_() for name in self._names}
        if self.encoder is not None:
            learned = prefixed("generator", learned) | prefixed("encoder", dict(self.encoder.named_parameters()))
        self._of_generator = Adam(learned, training.generator_lr, _BETAS)
        judging = dict(self.discriminator.named_parameters())
        self._of_discriminator = Adam(judging, training.discriminator_lr, _BETAS)

    @override
    def step(self, number: int) -> Mapping[str, float]:
        losses = self._discriminator_step(number) | self._generator_step(number)
        training = self.setting.training
        average_into(self.average, self.weights, self._names, training.batch_size, training.average_images)
        return losses

    def _pair(self, purpose: str, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Classes, and real and generated images of them as the discriminator sees them."""
        setting, rng = self.setting, self.setting.rng(purpose, number)
        training = setting.training
        labels, real = setting.draw(training.batch_size, rng)
        z = torch.randn(training.batch_size, training.shape.z_dim, generator=rng).to(setting.device)
        draws = draw(training.augmentation, training.batch_size, rng)
        made = generated(training, self.weights, z, labels)
        return labels, apply(setting.seen(real), draws), apply(setting.seen(made), draws)

    def _discriminator_step(self, number: int) -> dict[str, float]:
        training = self.setting.training
        with torch.no_grad():
            labels, real, made = self._pair("discriminator step", number)
        penalised = number % training.penalty_every == 0
        real, made = real.requires_grad_(penalised), made.requires_grad_(penalised)
        of_real, of_made = self.discriminator(real, labels), self.discriminator(made, labels)
        loss = relativistic_loss(of_real, of_made)
        total, losses = loss, {"discriminator": float(loss.detach())}
        if penalised:
            penalty = squared_gradient(of_real, real) + squared_gradient(of_made, made)
            total = loss + training.gradient_penalty / 2 * training.penalty_every * penalty
            losses["penalty"] = float(penalty.detach())
        self._of_discriminator.step(total)
        return losses

    def _generator_step(self, number: int) -> dict[str, float]:
        training = self.setting.training
        labels, real, made = self._pair("generator step", number)
        with torch.no_grad():
            of_real = self.discriminator(real, labels)
        loss = relativistic_loss(self.discriminator(made, labels), of_real)
        total, losses = loss, {"generator": float(loss.detach())}
        if self.encoder is not None:
            rng = self.setting.rng("autoencoder in adversarial step", number)
            autoencoder, parts = autoencoder_loss(self.setting, self.encoder, self.features, self.weights, rng)
            total, losses = total + training.autoencoder_weight * autoencoder, losses | parts
        if training.guidance_weight:
            guidance = F.cross_entropy(self.features.network(made), labels)
            total, losses = total + training.guidance_weight * guidance, losses | {"guidance": float(guidance.detach())}
        self._of_generator.step(total)
        return losses

    @override
    def tensors(self) -> Tensors:
        return (
            prefixed("generator", {name: self.weights[name] for name in self._names})
            | prefixed("average", self.average)
            | ({} if self.encoder is None else prefixed("encoder", self.encoder.state_dict()))
            | prefixed("discriminator", self.discriminator.state_dict())
            | prefixed("adam of generator", self._of_generator.tensors())
            | prefixed("adam of discriminator", self._of_discriminator.tensors())
        )


def relativistic_loss(better: Float[Tensor, "n heads"], worse: Float[Tensor, "n heads"]) -> Float[Tensor, ""]:
    """softplus(worse - better), the mean over pairs, summed over heads (Jolicoeur-Martineau, 2019; Huang et al., 2024,
    equation 2).
    """
    return F.softplus(worse - better).mean(dim=0).sum()


def squared_gradient(logits: Float[Tensor, "n heads"], images: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
    """The squared norm of the gradient of the summed logits with respect to an image, the mean over images: R1 of
    real ones, R2 of generated ones (Mescheder et al., 2018, equation 9); twice differentiable.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()
