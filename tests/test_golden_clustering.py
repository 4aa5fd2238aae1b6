"""DREAM's choice of images by k-means, against its code and the library that this uses."""

import numpy as np
import pytest
import torch

from glad_ray.clustering import k_means, nearest_of_all, nearest_rows
from glad_ray.networks import build_network
from glad_ray.spec import Network
from tests.golden_numbers import golden, images, s_like, set_parameters

ARRAYS, FACTS = golden("successors/hpd_idc_dream_rded/dream")
CASES = FACTS["select"]


def _features(facts):
    if facts.get("net"):
        network = build_network(
            Network(width=8), channels=3, resolution=32, classes=10, rng=torch.Generator().manual_seed(0)
        )
        set_parameters(network, 2**0.5)
        with torch.no_grad():
            return network.embed(0.5 + 0.2 * images(facts["n"], 3, 32, 32, facts["salt"]))
    n, d, salt = facts["n"], facts["d"], facts["salt"]
    groups = 2 * s_like((4, d), 4100 + salt)[np.arange(n) % 4]
    return torch.from_numpy((s_like((n, d), 4000 + salt) + groups + facts.get("shift", 0)).astype(np.float32))


@pytest.mark.parametrize("case", CASES)
def test_choice(case):
    facts = CASES[case]
    features = _features(facts)
    start = torch.tensor(facts.get("init", facts.get("init_indices_drawn_on_cpu")))
    for precision in (torch.float32, torch.float64):
        x = features.to(precision)
        found = k_means(x, start)
        assert found.labels.tolist() == facts["labels"]
        assert found.rounds == facts["assignment_passes"]
        torch.testing.assert_close(
            found.centres.float(), torch.from_numpy(ARRAYS[f"select/{case}/centroids"]), rtol=1e-4, atol=1e-6
        )
        empty = sorted(set(range(facts["k"])) - set(found.labels.tolist()))
        assert empty == facts["empty_clusters"]
        assert not found.centres[empty].any()
        assert nearest_rows(x, found.centres).tolist() == facts["query"]
        assert nearest_of_all(x, found.centres, facts["k"]).tolist() == facts["query_tiny"]
        for name in ("query_match_subsample2", "query_match_subsample3"):
            if name in facts:
                fewer = facts[name]
                centres = k_means(x, torch.tensor(fewer["init"])).centres
                each = int(name[-1])
                assert nearest_rows(x, centres, each).tolist() == fewer["chosen"]
                assert len(centres) == fewer["clusters"]


def test_every_recorded_array_is_compared():
    assert {key for key in ARRAYS if key.startswith("select/")} == {f"select/{case}/centroids" for case in CASES}
