"""An image prior of the user's own, held against what its record says of it."""

import torch

from glad_ray.errors import UserError, error_line
from glad_ray.generators.base import DifferentiableGenerator, LayeredGenerator
from glad_ray.gpu_errors import of_gpu
from glad_ray.importing import import_callable
from glad_ray.spec import CustomGenerator


def import_generator(record: CustomGenerator) -> None:
    """Raise the `UserError` that importing the function would meet."""
    import_callable(record.name, "Generator", "a generator")


def build_custom(record: CustomGenerator, *, device: torch.device | str) -> DifferentiableGenerator:
    """What the function makes; raises `UserError` unless it is a generator with the latents and images of the record.

    One image is made on the way, for nothing else tells.
    """
    make = import_callable(record.name, "Generator", "a generator")
    try:
        made = make(device=device, **record.options)
    except Exception as error:
        if of_gpu(error):
            raise
        raise UserError(
            f"Generator {record.name} refuses device={str(device)!r} and its options ({error_line(error)}): change "
            "them, or name a function that takes these."
        ) from error
    if not isinstance(made, DifferentiableGenerator):
        raise UserError(
            f"Generator {record.name} made {type(made).__name__}, which lacks one of spaces, latent_shapes, init, "
            "images: see glad_ray.generators.DifferentiableGenerator."
        )
    if record.layered and not isinstance(made, LayeredGenerator):
        raise UserError(
            f"Generator {record.name} made {type(made).__name__}, which has no hand_over: write one, or leave layered "
            "out of its record."
        )
    for space in record.spaces:
        if space not in made.spaces:
            raise UserError(f"Generator {record.name} has no space {space}: it has {', '.join(made.spaces)}.")
        found = {kind: tuple(shape) for kind, shape in made.latent_shapes(space).items()}
        if found != record.latent_shapes(space):
            raise UserError(
                f"Generator {record.name} has latents {found} in {space}, and its record says "
                f"{record.latent_shapes(space)}: correct one of them."
            )
    _check_images(record, made, device)
    return made


@torch.no_grad()
def _check_images(record: CustomGenerator, made: DifferentiableGenerator, device: torch.device | str) -> None:
    expected = (record.image_channels, record.resolution, record.resolution)
    real = torch.zeros(1, *expected, device=device) if record.inits[0] == "real" else None
    for space in record.spaces:
        latents = made.init(space, torch.zeros(1, dtype=torch.int64), torch.Generator(), record.inits[0], real)
        found = {kind: tuple(value.shape[1:]) for kind, value in latents.items()}
        if found != record.latent_shapes(space):
            raise UserError(
                f"Generator {record.name} starts from latents {found} in {space}, and says that they are "
                f"{record.latent_shapes(space)}: correct its init."
            )
        images = made.images(space, latents)
        if images.shape != (1, *expected):
            raise UserError(
                f"Generator {record.name} makes images of {list(images.shape[1:])} from {space}, and its record says "
                f"{list(expected)}: correct one of them."
            )
