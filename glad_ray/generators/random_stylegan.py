"""StyleGAN-XL with random weights, the paper's "Rand G" (Figures 6 and 7): every number follows from the record."""

import torch
from torch import Tensor

from glad_ray.generators.calibration import calibrated
from glad_ray.generators.stylegan_xl.filters import layer_filters
from glad_ray.spec import RandomStyleGAN
from glad_ray.stylegan.settings import LayerSettings, MappingSettings, SynthesisSettings

State = dict[str, Tensor]
"""Weights by the names that released checkpoints give them."""


def random_stylegan(record: RandomStyleGAN) -> State:
    """The weights that a record describes: drawn, and calibrated, on the CPU in float32."""
    mapping, synthesis = record.mapping_settings, record.synthesis_settings
    rng = torch.Generator().manual_seed(record.seed)
    state = random_state(mapping, synthesis, rng)
    return calibrated(mapping, synthesis, state, rng) if record.calibrate else state


def random_state(mapping: MappingSettings, synthesis: SynthesisSettings, rng: torch.Generator) -> State:
    """What training would start from (Karras et al., 2021): unit normal weights, no biases, styles around one."""
    state = _random_mapping(mapping, rng) | _random_input(synthesis, rng)
    for layer in synthesis.layers:
        state |= _random_layer(layer, synthesis.w_dim, rng)
    return state


def _random_mapping(settings: MappingSettings, rng: torch.Generator) -> State:
    averages = (settings.classes, settings.w_dim) if settings.classes else (settings.w_dim,)
    state = {"mapping.w_avg": torch.zeros(averages)}
    fan_in = settings.z_dim
    if settings.classes:
        fan_in += settings.z_dim
        state["mapping.embed.weight"] = torch.randn(settings.embedding_rows, settings.embedding_dim, generator=rng)
        state["mapping.embed_proj.weight"] = torch.randn(settings.z_dim, settings.embedding_dim, generator=rng)
        state["mapping.embed_proj.bias"] = torch.zeros(settings.z_dim)
    for i in range(settings.hidden_layers):
        weight = torch.randn(settings.w_dim, fan_in, generator=rng)
        state[f"mapping.fc{i}.weight"] = weight / settings.learning_rate_factor
        state[f"mapping.fc{i}.bias"] = torch.zeros(settings.w_dim)
        fan_in = settings.w_dim
    return state


def _random_input(synthesis: SynthesisSettings, rng: torch.Generator) -> State:
    settings = synthesis.input
    direction = torch.randn(settings.channels, 2, generator=rng)
    # Spreads the frequencies evenly over the disc of the band: |direction| / exp(|direction|^2)^(1/4) of the paper.
    radius = direction.norm(dim=1, keepdim=True)
    return {
        "synthesis.input.freqs": direction / (radius * radius.square().exp().pow(0.25)) * settings.bandwidth,
        "synthesis.input.phases": torch.rand(settings.channels, generator=rng) - 0.5,
        "synthesis.input.weight": torch.randn(settings.channels, settings.channels, generator=rng),
        "synthesis.input.transform": torch.eye(3),
        "synthesis.input.affine.weight": torch.zeros(4, synthesis.w_dim),
        "synthesis.input.affine.bias": torch.tensor([1.0, 0.0, 0.0, 0.0]),
    }


def _random_layer(settings: LayerSettings, w_dim: int, rng: torch.Generator) -> State:
    shape = (settings.out_channels, settings.in_channels, settings.kernel_size, settings.kernel_size)
    tensors = {
        "weight": torch.randn(shape, generator=rng),
        "bias": torch.zeros(settings.out_channels),
        "affine.weight": torch.randn(settings.in_channels, w_dim, generator=rng),
        "affine.bias": torch.ones(settings.in_channels),
        "magnitude_ema": torch.ones(()),
        **layer_filters(settings),
    }
    return {f"synthesis.{settings.name}.{name}": value for name, value in tensors.items()}
