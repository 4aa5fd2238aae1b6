"""Pictures of a whitened set that other code made: its whitening is undone, which takes the dataset."""

from dataclasses import replace

from glad_ray.data import load_dataset
from glad_ray.data.prepare import OnProgress
from glad_ray.spec.foreign_set import read_origin
from glad_ray.synthetic_set import SyntheticSet


def with_pictures(synthetic: SyntheticSet, *, on_prepared: OnProgress | None = None) -> SyntheticSet:
    """The set with its images as pixels that are not whitened; one that has them, or needs none, as it is.

    The whitening is fitted to the training images of its dataset, or read where that was done before; `on_prepared` is
    told of real images that have to be prepared first. Raises `UserError` that says how to get the dataset if it is
    not there.
    """
    if synthetic.whitening == "none" or synthetic.pictures is not None:
        return synthetic
    origin = read_origin(synthetic.run)
    dataset = load_dataset(
        origin.dataset,
        resolution=origin.pixels,
        held_out=origin.held_out,
        antialias=origin.antialias,
        whitening=synthetic.whitening,
        on_progress=on_prepared,
    )
    assert dataset.whitening is not None, "it was asked for"
    return replace(synthetic, pictures=dataset.whitening.pictures(synthetic.images))
