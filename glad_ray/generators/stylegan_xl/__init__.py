"""StyleGAN-XL's generator, written anew from its papers: Karras et al. (2021), Sauer et al. (2022).

Differences from the released code, none of which changes an image by more than rounding: one shared kernel per layer
instead of one per image, styles normalised per image instead of per batch, outputs that are cropped never computed.
Weights are frozen, and gradients flow to latents only, unless a network is built from a state that requires them.
"""

from glad_ray.generators.stylegan_xl.generator import StyleGAN
from glad_ray.generators.stylegan_xl.mapping import MappingNetwork
from glad_ray.generators.stylegan_xl.synthesis import SynthesisNetwork

__all__ = ["MappingNetwork", "StyleGAN", "SynthesisNetwork"]
