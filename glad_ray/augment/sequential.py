"""The sequential augmentation of IDC (Kim et al., 2022), which NCFM (Wang et al., 2025) has too: several operations in
order, where DSA applies one.

The order is flip, colour (brightness, saturation and contrast, always all three), one of crop, scale and rotate, drawn
uniformly from those that are named, and cutout; each if it is named. Operations and ranges are those of DSA, but scale
and rotate have the edges of the image at +-1 where DSA, in the code of GLaD and MTT, has the centres of its outermost
pixels; which differs for images that are not square alone.

The originals draw in two ways, as DSA does: `draw` with one set for all images (their batch mode), or with a set for
each image and the operation shared (their sample mode).
"""

from collections.abc import Sequence

_FIRST = ("flip", "color")
_ONE_OF = ("crop", "scale", "rotate")
_LAST = ("cutout",)


def chains(names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """What may be applied, each with the same probability: operations in order; in the order in which crop, scale and
    rotate are named.
    """
    first, last = (tuple(name for name in group if name in names) for group in (_FIRST, _LAST))
    middle: list[tuple[str, ...]] = [(name,) for name in names if name in _ONE_OF]
    return tuple(first + one + last for one in middle or [()])
