"""What is asked of a replica, as arrays, and which requests can be computed together."""

from collections.abc import Hashable
from typing import Any, Literal, NamedTuple

import numpy as np

from glad_ray.errors import UserError
from glad_ray.spec.generators import Init

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]
"""by kind of latent, an entry per image"""

IMAGE_GRADS = "image_grads"
"""beside the kinds of latents, in the arrays of a pullback"""


class Start(NamedTuple):
    """The arguments of `Generator.init` but for the space, and the state of its `rng`."""

    labels: Array
    rng_state: Array
    how: Init
    real_images: Array | None


class Key(NamedTuple):
    """Requests with equal keys can be computed together."""

    kind: Literal["init", "decode", "pullback", "hand_over"]
    space: str
    form: Hashable
    """kinds, shapes per image and precisions of the arrays; nothing is like a start, which draws its own numbers"""
    later: str = ""
    """the space that latents are handed over to"""


def start_key(space: str) -> Key:
    """The key of a start."""
    return Key("init", space, object())


def decode_key(space: str, latents: Arrays) -> Key:
    """The key of a decode."""
    return Key("decode", space, _form(latents))


def pullback_key(space: str, tensors: Arrays) -> Key:
    """The key of a pullback, of latents and the gradients of their images."""
    return Key("pullback", space, _form(tensors))


def hand_over_key(space: str, later: str, latents: Arrays) -> Key:
    """The key of a hand-over of latents to a later space."""
    return Key("hand_over", space, _form(latents), later)


def image_count(arrays: Arrays) -> int:
    """The images that arrays have an entry each for; raises `UserError` if they have not all as many."""
    counts = {kind: len(array) for kind, array in arrays.items()}
    if len(set(counts.values())) != 1:
        raise UserError(f"Arrays of one call need an entry per image each, not {counts}: give as many of every kind.")
    return next(iter(counts.values()))


def _form(arrays: Arrays) -> Hashable:
    return tuple((kind, array.shape[1:], array.dtype.str) for kind, array in arrays.items())
