"""The golden formulas give the published check values."""

import numpy as np

from tests.golden_numbers import images, s


def test_hash_gives_its_check_values():
    np.testing.assert_allclose(
        s(np.arange(5), 0), [-0.98446973, 0.24463918, -0.94045081, -0.87855396, -0.16412936], atol=5e-9
    )
    np.testing.assert_allclose(s(np.arange(3), 1000), [-0.9930122, 0.39773563, -0.61502468], atol=5e-8)


def test_images_give_their_check_values():
    x = images(2, 3, 32, 32, salt=0)
    np.testing.assert_allclose(x[0, 0, 0, :3], [-0.89510854, 0.1759601, -0.43917556], atol=1e-7)
    np.testing.assert_allclose(x[1, 2, 31, 31], -0.25552353, atol=1e-7)
