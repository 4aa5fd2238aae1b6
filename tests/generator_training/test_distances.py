import numpy as np
import pytest
import scipy.linalg
import torch

from glad_ray.generator_training.distances import covered, frechet_distance, precision_and_recall


def cloud(count: int, size: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=rng, dtype=torch.float64) + shift


def covered_slowly(points: np.ndarray, cloud: np.ndarray, neighbours: int) -> list[bool]:
    """Kynkäänniemi et al. (2019), equation 1, point by point."""
    found = []
    for point in points:
        inside = False
        for i, member in enumerate(cloud):
            others = sorted(np.linalg.norm(member - other) for j, other in enumerate(cloud) if j != i)
            inside = inside or np.linalg.norm(point - member) <= others[neighbours - 1]
        found.append(bool(inside))
    return found


@pytest.mark.parametrize("neighbours", [1, 3])
def test_coverage_is_that_of_the_paper(neighbours):
    points, members = cloud(40, 3, 0, 0.7), cloud(25, 3, 1)
    found = covered(points, members, neighbours).tolist()
    assert found == covered_slowly(points.numpy(), members.numpy(), neighbours)
    assert 0 < sum(found) < len(found)


def test_samples_of_one_mode_are_precise_and_recall_little():
    real = torch.cat([cloud(50, 2, 2), cloud(50, 2, 3, 20)])
    precision, recall = precision_and_recall(cloud(50, 2, 4) * 0.5, real)
    assert precision > 0.9
    assert recall < 0.5
    assert precision_and_recall(real, real) == (1, 1)


def test_a_cloud_of_one_covers_itself_alone():
    one = torch.zeros(1, 2, dtype=torch.float64)
    assert covered(torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64), one).tolist() == [True, False]


def test_the_frechet_distance_is_that_of_its_formula():
    one, other = cloud(60, 4, 5), cloud(80, 4, 6, 0.3) @ cloud(4, 4, 7)
    c1, c2 = np.cov(one.numpy().T), np.cov(other.numpy().T)
    difference = one.mean(0).numpy() - other.mean(0).numpy()
    expected = difference @ difference + np.trace(c1 + c2 - 2 * scipy.linalg.sqrtm(c1 @ c2).real)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
