"""Which image prior a run's latents go through. The records are pure data; `glad_ray.generators` builds networks."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from glad_ray.spec.generators.autoencoder import DiffusersAutoencoder
from glad_ray.spec.generators.base import GIB, GeneratorRecord, Init, Precision, images_at_once
from glad_ray.spec.generators.custom import CustomGenerator
from glad_ray.spec.generators.stylegan import RandomStyleGAN, StyleGANFile, StyleGANRecord


def _by_file(value: Any) -> Any:
    return {"kind": "stylegan-xl", "path": value} if isinstance(value, str) else value


AnyGenerator = Annotated[
    RandomStyleGAN | StyleGANFile | DiffusersAutoencoder | CustomGenerator,
    Field(discriminator="kind"),
    BeforeValidator(_by_file),
]
"""of any kind; a name alone is that of a StyleGAN's file"""

__all__ = [
    "GIB",
    "AnyGenerator",
    "CustomGenerator",
    "DiffusersAutoencoder",
    "GeneratorRecord",
    "Init",
    "Precision",
    "RandomStyleGAN",
    "StyleGANFile",
    "StyleGANRecord",
    "images_at_once",
]
