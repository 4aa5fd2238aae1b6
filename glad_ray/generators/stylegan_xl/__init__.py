"""StyleGAN-XL's generator, written anew from its papers: Karras et al. (2021), Sauer et al. (2022).

Differences from the released code, none of which changes an image by more than rounding: one shared kernel per layer
instead of one per image, styles normalised per image instead of per batch, outputs that are cropped never computed.
Weights are frozen: gradients flow to latents only.
"""
