"""Records of generators that lie in files, with random weights, written once a process."""

import atexit
import tempfile
from functools import cache
from pathlib import Path

from glad_ray.generators.random_stylegan import random_stylegan
from glad_ray.spec import CustomGenerator, DiffusersAutoencoder, RandomStyleGAN, StyleGANFile
from glad_ray.stylegan.converted import ConvertedDescription, Origin, write_pair
from glad_ray.stylegan.files import LICENCE_NOTE

BLOBS = CustomGenerator(
    name="tests.generators.own_generators:blobs",
    resolution=32,
    image_channels=1,
    latents={"z": {"w": (3,)}, "z+": {"f": (1, 4, 4), "w": (3,)}},
    options={"side": 32},
)


@cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return Path(folder.name)


def write_stylegan(stem: Path, record: RandomStyleGAN) -> Path:
    """The generator of a record as the files that `glad-ray generator convert` writes."""
    weights = {name: value.numpy() for name, value in random_stylegan(record).items()}

    def describe(weights_sha256: str) -> ConvertedDescription:
        return ConvertedDescription(
            format="glad-ray generator",
            version=1,
            family="stylegan_xl",
            mapping=record.mapping_settings,
            synthesis=record.synthesis_settings,
            weights_sha256=weights_sha256,
            converted_from=Origin(name="random.pkl", sha256="0" * 64),
            licence=LICENCE_NOTE,
        )

    return write_pair(stem, weights, describe)[0]


@cache
def stylegan_file(record: RandomStyleGAN) -> StyleGANFile:
    """The weights of a random generator, as a file."""
    return StyleGANFile(path=str(write_stylegan(_folder() / record.content_id, record)))


@cache
def autoencoder(resolution: int) -> DiffusersAutoencoder:
    """A small one."""
    from tests.generators.autoencoders import save_autoencoder

    return DiffusersAutoencoder(path=str(save_autoencoder(_folder() / "autoencoder")), resolution=resolution)
