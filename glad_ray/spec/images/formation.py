"""How many training images a stored image holds: the multi-formation of IDC (Kim et al., ICML 2022)."""

from collections.abc import Collection
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator

from glad_ray.spec.experts import Count
from glad_ray.spec.record import Record


class FormationPart(NamedTuple):
    """Stored images that are cut alike, in their order."""

    factor: int
    first: int
    last: int
    """the last one is excluded"""

    @property
    def images(self) -> int:
        """Training images that they hold."""
        return (self.last - self.first) * self.factor**2


class Formation(Record):
    """A stored image is cut into factor x factor pieces; each is made as large as the image, and is a training image.

    `Run(formation=2)` is short for `Run(formation=Formation(factor=2))`.
    """

    factor: Count = 1
    """pieces along a side; 1: stored images are the training images"""
    kind: Literal["single", "multi", "bound"] = "single"
    """single: pieces of that factor alone; multi: of the factors 1, 2, ... up to it, one after another; bound: of that
    factor for as many images of a class as `bound` allows, the others with smaller ones"""
    bound: Count = 128
    """most training images per class, where the kind is bound"""

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return self._at_default("kind") | ({"bound"} if self.kind != "bound" else set())

    def parts(self, stored: int) -> tuple[FormationPart, ...]:
        """How the `stored` images of a class are cut, in the order of the training images."""
        if self.kind == "single":
            return (FormationPart(self.factor, 0, stored),)
        if self.kind == "multi":
            return tuple(FormationPart(factor, 0, stored) for factor in range(1, self.factor + 1))
        parts, taken, made = [], 0, 0
        for factor in range(self.factor, 0, -1):
            left = stored - taken
            # Each of the images that are left over gives one training image at least.
            count = left if factor == 1 else max(0, min((self.bound - made - left) // factor**2, left))
            if count:
                parts.append(FormationPart(factor, taken, taken + count))
                taken, made = taken + count, made + parts[-1].images
        return tuple(parts)

    def images(self, stored: int) -> int:
        """Training images that the `stored` images of a class hold."""
        return sum(part.images for part in self.parts(stored))


def _read(value: Any) -> Any:
    return {"factor": value} if isinstance(value, int) and not isinstance(value, bool) else value


FormationByFactor = Annotated[Formation, BeforeValidator(_read)]
"""A formation, or its factor alone."""
