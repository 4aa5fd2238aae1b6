"""The weights of a generator in training, its images as a function of them, and their average over steps."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.generator_training.base import Setting, Tensors
from glad_ray.generators.calibration import calibrated
from glad_ray.generators.random_stylegan import random_state
from glad_ray.generators.stylegan_xl import MappingNetwork, SynthesisNetwork
from glad_ray.generators.stylegan_xl.generator import learned_names
from glad_ray.spec.generator_training import GeneratorTraining

_CODES_PER_AVERAGE = 1000
_AVERAGE = "mapping.w_avg"


def new_weights(setting: Setting) -> Tensors:
    """Drawn and calibrated weights, by official names; those that are trained require gradients."""
    mapping, synthesis = setting.training.mapping_settings, setting.training.synthesis_settings
    rng = setting.rng("generator network")
    state = calibrated(mapping, synthesis, random_state(mapping, synthesis, rng), rng)
    return {name: value.to(setting.device) for name, value in state.items()}


def trained_names(training: GeneratorTraining, weights: Tensors) -> tuple[str, ...]:
    """What is trained: the mapping network, and what can be learned of the synthesis network.

    Filters, frequencies and phases stay as they were designed, and the gains of the layers as calibration set them.
    """
    mapping = (name for name in weights if name.startswith("mapping.") and name != _AVERAGE)
    return (*mapping, *learned_names(training.synthesis_settings, None))


def generated(
    training: GeneratorTraining,
    weights: Tensors,
    z: Float[Tensor, "n z_dim"],
    labels: Int64[Tensor, " n"],
    truncation: float = 1.0,
) -> Float[Tensor, "n c h w"]:
    """Images, nominally in [-1, 1]; differentiable in the weights that require it. `truncation` is psi: below 1, style
    codes lie nearer to the mean of their class, which the weights must have (`with_average_codes`).
    """
    synthesis = training.synthesis_settings
    codes = MappingNetwork(training.mapping_settings, weights).codes(z, labels, synthesis.codes, truncation)
    return SynthesisNetwork(synthesis, weights)(codes)


@torch.no_grad()
def average_into(average: Tensors, weights: Tensors, names: tuple[str, ...], batch_size: int, half_images: int) -> None:
    """Move averaged weights towards those after a step: a weight's part halves in so many images (Karras et al.,
    2020, appendix B, by the half-life).
    """
    share = 1 - 0.5 ** (batch_size / half_images)
    torch._foreach_lerp_([average[name] for name in names], [weights[name] for name in names], share)


@torch.no_grad()
def with_average_codes(setting: Setting, weights: Tensors) -> Tensors:
    """The weights with the mean style code of each class, towards which `truncation` moves codes."""
    training = setting.training
    network = MappingNetwork(training.mapping_settings, weights)
    means = []
    for label in range(training.classes):
        z = torch.randn(_CODES_PER_AVERAGE, training.shape.z_dim, generator=setting.rng("average code", label))
        labels = torch.full((_CODES_PER_AVERAGE,), label, device=setting.device)
        means.append(network(z.to(setting.device), labels).mean(dim=0))
    return weights | {_AVERAGE: torch.stack(means)}
