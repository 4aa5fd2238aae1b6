"""The golden networks, built as from a checkpoint: from stored attributes and official names, not from a schedule."""

from dataclasses import dataclass
from functools import cache

import torch

from glad_ray.generators.stylegan_xl.mapping import MappingNetwork
from glad_ray.generators.stylegan_xl.synthesis import SynthesisNetwork
from glad_ray.stylegan.settings import InputSettings, LayerSettings, MappingSettings, SynthesisSettings
from tests.golden_numbers import golden

CASES = ("stem32", "super64", "super128", "older")


@dataclass(frozen=True)
class GoldenNetwork:
    facts: dict
    state: dict
    io: dict
    settings: SynthesisSettings

    def synthesis(self, dtype):
        return SynthesisNetwork(self.settings, self.state).to(dtype)

    def mapping(self, dtype):
        facts = self.facts
        settings = MappingSettings(
            z_dim=facts["z_dim"], w_dim=facts["w_dim"], classes=facts["c_dim"], embedding_rows=facts["c_dim"]
        )
        return MappingNetwork(settings, self.state).to(dtype)


@cache
def golden_network(case):
    arrays, facts = golden(f"stylegan_xl/{case}")
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    return GoldenNetwork(
        facts=facts,
        state={name.removeprefix("state/"): value for name, value in tensors.items() if name.startswith("state/")},
        io={name.removeprefix("io/"): value for name, value in tensors.items() if name.startswith("io/")},
        settings=SynthesisSettings(
            w_dim=facts["w_dim"],
            input=InputSettings(
                channels=facts["input"]["channels"],
                size=facts["input"]["size"],
                rate=facts["input"]["sampling_rate"],
                bandwidth=facts["input"]["bandwidth"],
            ),
            layers=tuple(layer_settings(layer) for layer in facts["layers"]),
            output_scale=facts["output_scale"],
        ),
    )


def layer_settings(facts):
    rates = float(facts["in_sampling_rate"]), float(facts["out_sampling_rate"])
    return LayerSettings(
        name=facts["name"],
        in_channels=facts["in_channels"],
        out_channels=facts["out_channels"],
        in_size=facts["in_size"],
        out_size=facts["out_size"],
        in_rate=rates[0],
        out_rate=rates[1],
        filter_rate=max(rates) * (1 if facts["is_torgb"] else 2),
        in_cutoff=facts["in_cutoff"],
        out_cutoff=facts["out_cutoff"],
        in_half_width=facts["in_half_width"],
        out_half_width=facts["out_half_width"],
        kernel_size=facts["conv_kernel"],
        to_rgb=facts["is_torgb"],
        radial=facts["down_radial"],
        up_factor=facts["up_factor"],
        up_taps=facts["up_taps"],
        down_factor=facts["down_factor"],
        down_taps=facts["down_taps"],
        padding=tuple(facts["padding"][:2]),
    )


def like(found, golden):
    """The part of a tensor that was recorded: leading images and channels, every k-th pixel."""
    step = -(-found.shape[-1] // golden.shape[-1])
    part = found[: golden.shape[0], : golden.shape[1], ::step, ::step]
    assert part.shape == golden.shape
    return part


def largest_error(found, golden):
    """The largest difference, relative to the largest golden value."""
    return float((found - golden).detach().abs().max() / golden.abs().max())


def l2_error(found, golden):
    """The norm of the difference, relative to the golden norm."""
    return float((found - golden).detach().norm() / golden.norm())
