import numpy as np
import pytest
import torch
from torchvision.transforms.functional import center_crop, resize

from glad_ray.data.resize import fit, fit_picture


def _picture(height, width):
    return np.random.default_rng(0).integers(0, 256, (3, height, width), dtype=np.uint8)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [(40, 40), (40, 61), (40, 53), (53, 40), (75, 40), (33, 100), (9, 13)])
@pytest.mark.parametrize("resolution", [16, 33])
def test_any_size_is_resized_and_cropped_as_torchvision_does_it(resolution, size, antialias):
    picture = _picture(*size)
    theirs = resize(torch.from_numpy(picture).float(), resolution, antialias=antialias)
    theirs = center_crop(theirs, resolution).round().to(torch.uint8)
    assert np.array_equal(fit_picture(picture, resolution, antialias), theirs)


@pytest.mark.parametrize(
    ("size", "part"), [((8, 13), np.s_[:, :, 2:10]), ((12, 8), np.s_[:, 2:10]), ((8, 8), np.s_[:])]
)
def test_a_fitting_side_is_not_resized(size, part):
    picture = _picture(*size)
    assert np.array_equal(fit_picture(picture, 8), picture[part])


def test_antialiasing_can_be_turned_off():
    images = np.zeros((1, 1, 64, 64), np.uint8)
    images[:, :, ::4, ::4] = 255
    smooth, coarse = fit(images, 16), fit(images, 16, antialias=False)
    assert smooth.max() < 30
    # Between the second and third pixel of four, where these lines are black.
    assert coarse.max() == 0
