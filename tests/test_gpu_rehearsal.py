"""What must hold on a GPU holds on a pretended one, on every machine."""

import re

import pytest

from tests.gpu_rehearsal import mutations
from tests.gpu_rehearsal.process import rehearse


@pytest.mark.parametrize("mutation", mutations.ALL, ids=lambda each: each.name)
def test_what_a_mutation_replaces_is_there_once(mutation):
    text = (mutations.ROOT / "glad_ray" / mutation.file).read_text()
    assert text.count(mutation.before) == 1
    assert text.replace(mutation.before, mutation.after) != text


@pytest.mark.full
def test_the_tests_for_a_gpu_pass_on_a_pretended_one(pytestconfig):
    code, said = rehearse("tests/test_gpu.py", root=pytestconfig.rootpath)
    assert code == 0, said
    assert re.search(r"\d+ passed", said)
    assert "skipped" not in said, said
