"""Environment variables: set for a while, and refused where Ray cannot read them."""

import os
import subprocess
import sys

from glad_ray.engine.cluster.ray_settings import environment, unless_set


def test_variables_are_afterwards_what_they_were(monkeypatch):
    monkeypatch.setenv("RAY_ONE", "1")
    before = dict(os.environ)
    with environment({"RAY_ONE": "2", "RAY_TWO": "2"}):
        assert (os.environ["RAY_ONE"], os.environ["RAY_TWO"]) == ("2", "2")
        # As Ray does.
        del os.environ["RAY_TWO"]
    assert os.environ == before
    assert unless_set({"RAY_ONE": "2", "RAY_TWO": "2"}) == {"RAY_TWO": "2"}


def test_a_number_that_ends_every_process_with_ray_is_named(tmp_path):
    kept = tmp_path / "kept"
    words = [sys.executable, "-m", "glad_ray", "sweep", "sweeps/quickstart.py", "--small", "--storage", str(kept)]
    environment = os.environ | {"RAY_worker_register_timeout_seconds": "1e3", "RAY_gcs_storage": "memory"}
    ended = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 2, ended.stderr
    (sentence,) = ended.stderr.splitlines()
    assert "RAY_worker_register_timeout_seconds='1e3'" in sentence
    assert not kept.exists()
