"""What must hold on a GPU holds on a pretended one, on every machine."""

import re

import pytest

from tests.gpu_rehearsal.process import rehearse

pytestmark = pytest.mark.full


def test_the_tests_for_a_gpu_pass_on_a_pretended_one(pytestconfig):
    code, said = rehearse("tests/test_gpu.py", root=pytestconfig.rootpath)
    assert code == 0, said
    assert re.search(r"\d+ passed", said)
    assert "skipped" not in said, said
