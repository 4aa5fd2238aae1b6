"""An image prior of the user's own, named as `package.module:function`."""

from collections.abc import Collection, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from glad_ray.errors import UserError, unknown
from glad_ray.spec.generators.base import GeneratorRecord, Init
from glad_ray.spec.written.code_names import CodeName, Option, plain_options

_KINDS = ("f", "w")


class CustomGenerator(GeneratorRecord):
    """What a function of the user's makes: a `glad_ray.generators.DifferentiableGenerator`.

    The function is called as `function(device=..., **options)` on every machine that uses it. What is said here of its
    latents and images is held against what it makes before anything is distilled.
    """

    kind: Literal["custom"] = "custom"
    name: CodeName
    """package.module:function"""
    resolution: int = Field(ge=1)
    """side of the images in pixels"""
    image_channels: int = Field(default=3, ge=1)
    latents: Mapping[str, Mapping[str, tuple[int, ...]]]
    """by space, the shape per image of each kind of latent: f (a feature map), w (codes), whose learning rates differ;
    for example {"f0": {"f": (4, 8, 8)}}"""
    starts: tuple[Init, ...] = ("sampled",)
    """how its latents can start, the usual way first"""
    parameters: int = Field(default=0, ge=0)
    """numbers that have to be kept to decode its latents"""
    layered: bool = False
    """whether latents of each space can be handed over to those named after it, by a method `hand_over` of what the
    function makes"""
    options: Annotated[Mapping[str, Option], plain_options("CustomGenerator")] = {}
    """keyword arguments of the function, passed on as they are"""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not self.latents:
            raise UserError(f"Generator {self.name} has no latents: name at least one space with its shapes.")
        for space, shapes in self.latents.items():
            if space == "pixel" or not space.isascii() or not space.replace("+", "").isalnum():
                raise UserError(f"Generator {self.name} cannot have a space {space!r}: use letters, digits and +.")
            if not shapes or not set(shapes) <= set(_KINDS):
                raise UserError(
                    f"Generator {self.name} has latents {', '.join(shapes) or 'of no kind'} in {space}: use f (a "
                    "feature map), w (codes) or both."
                )
        if not self.starts:
            raise UserError(f"Generator {self.name} has no starts: name at least one of sampled, average, gaussian.")
        return self

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return self._at_default("layered")

    def __hash__(self) -> int:
        return hash((self.name, self.content_id))

    @property
    @override
    def title(self) -> str:
        return self.name

    @property
    @override
    def inits(self) -> tuple[Init, ...]:
        return self.starts

    @property
    @override
    def spaces(self) -> tuple[str, ...]:
        return tuple(self.latents)

    @property
    @override
    def parameter_count(self) -> int:
        return self.parameters

    @override
    def later_spaces(self, space: str) -> tuple[str, ...]:
        return self.spaces[self.spaces.index(space) + 1 :] if self.layered else ()

    @override
    def latent_shapes(self, space: str) -> dict[str, tuple[int, ...]]:
        if space not in self.latents:
            raise unknown("latent space", space, self.spaces)
        return dict(self.latents[space])
