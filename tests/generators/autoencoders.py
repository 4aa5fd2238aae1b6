"""A small autoencoder with random weights, in a folder as diffusers writes it."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL


def save_autoencoder(folder: Path, **changes) -> Path:
    settings = {
        "in_channels": 1,
        "out_channels": 1,
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
        "block_out_channels": (4, 6, 8),
        "layers_per_block": 1,
        "latent_channels": 3,
        "norm_num_groups": 2,
    }
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        AutoencoderKL(**(settings | changes)).save_pretrained(folder)
    return folder
