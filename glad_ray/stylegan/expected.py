"""What released StyleGAN-XL networks look like, as far as is known, so that runs can be planned before a file is there.

The files themselves were not at hand. Sizes and names follow from published parameter counts, multiply-adds and layer
names; a network is always built from what its file says, never from this.
"""

from functools import lru_cache

from glad_ray.stylegan.schedule import stem, super_resolution
from glad_ray.stylegan.settings import MappingSettings, SynthesisSettings

_STAGE_LAYERS = 7
_FFHQ_STAGE_LAYERS = 4
_CHANNEL_BASE, _CHANNEL_MAX, _W_DIM = 65536, 1024, 512
_CLASSES = {"imagenet": 1000, "cifar10": 10, "ffhq": 0, "pokemon": 0}


@lru_cache
def expected_network(
    trained_on: str, resolution: int, channel_max: int = _CHANNEL_MAX
) -> tuple[MappingSettings, SynthesisSettings] | None:
    """The network released for some data (imagenet, cifar10, ffhq, pokemon) and resolution; None: nothing is known.

    `channel_max` below 1024 makes a narrower one.
    """
    if trained_on not in _CLASSES or resolution not in (16, 32, 64, 128, 256, 512, 1024):
        return None
    classes = _CLASSES[trained_on]
    mapping = MappingSettings(z_dim=64, w_dim=_W_DIM, classes=classes, embedding_rows=1000 if classes else 0)
    # Of a 16-pixel stem with 1x1 kernels; FFHQ's layer names are those of a 32-pixel one.
    first, layers = (32, _FFHQ_STAGE_LAYERS) if trained_on == "ffhq" else (16, _STAGE_LAYERS)
    if resolution < first:
        return None
    synthesis = stem(
        resolution=first,
        num_layers=10,
        channel_base=_CHANNEL_BASE,
        channel_max=channel_max,
        kernel_size=3 if trained_on == "ffhq" else 1,
        image_channels=3,
        w_dim=_W_DIM,
    )
    while synthesis.layers[-1].out_size < resolution:
        size = 2 * synthesis.layers[-1].out_size
        # The last stage of the 1024-pixel network has 5 layers.
        head = 5 if size == 1024 else layers
        synthesis = super_resolution(
            synthesis, resolution=size, head_layers=head, channel_base=_CHANNEL_BASE, channel_max=channel_max
        )
    return mapping, synthesis
