"""Damaged files, hundreds of them: read or refused, never anything else."""

import random

import numpy as np
import torch

from glad_ray.errors import DataError
from glad_ray.stylegan.files import convert, read_generator
from tests.stylegan.official_pickle import (
    Made,
    Named,
    generator,
    networks,
    pickled,
    random_state,
    tiny_network,
    tiny_settings,
)

CASES = 200
ODD = [
    *(None, True, -1, 0, 3, 2**80, 1.5, float("nan"), float("-inf"), "text", "\n" * 500, b"bytes"),
    *(
        (),
        [],
        {},
        [1, 2],
        (1, 2),
        {"a": 1},
        {1: 2},
        [[[]]],
        np.float64(2),
        np.arange(2),
        np.zeros((3, 0)),
        np.array("a"),
    ),
    *(torch.zeros(3), torch.zeros(()), torch.zeros(2, 0), torch.ones(2, dtype=torch.int32), Named("timm", "Model")),
    *(Made(Named("timm", "Model"), (1,), {"a": 2}), Made(Named("torch._utils", "_rebuild_parameter"), (None,))),
    Made(Named("torch_utils.persistence", "_reconstruct_persistent_obj"), ({"class_name": "Generator", "state": {}},)),
]
OPERATIONS = bytes.fromhex("282e304b4d4a4e88898c8e8f909192939495855d7d7365617468716a4768528162750063514271588786292d")


def mutated(content, rng):
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 5, 20])):
        at = rng.randrange(len(content))
        kind = rng.randrange(5)
        if kind == 0:
            content[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            content[at] = rng.choice(OPERATIONS)
        elif kind == 2:
            start, length = rng.randrange(len(content)), rng.randrange(40)
            content[at:at] = content[start : start + length]
        elif kind == 3:
            del content[at : at + rng.randrange(40)]
        else:
            content[at : at + 4] = rng.randbytes(4)
        content = content or bytearray(b"\x80")
    return bytes(content)


def outcome(path, content):
    path.write_bytes(content)
    try:
        return len(read_generator(path).state)
    except DataError as error:
        message = str(error)
    assert message.isprintable()
    assert len(message) < 300
    return None


def test_mutated_pickles_are_read_or_refused(tmp_path):
    rng = random.Random(0)
    originals = [tiny_network(tmp_path / "x.pkl", protocol)[0].read_bytes() for protocol in (2, 4)]
    outcomes = [outcome(tmp_path / "y.pkl", mutated(rng.choice(originals), rng)) for _ in range(CASES)]
    assert None in outcomes
    assert set(outcomes) - {None}


def dictionaries(value):
    """Every dictionary of a file to be written, with the modules' states among them."""
    found, left = [], [value]
    while left:
        part = left.pop()
        if isinstance(part, Made):
            left.extend([part.arguments, part.state])
        elif isinstance(part, dict):
            found.append(part)
            left.extend(part.values())
        elif isinstance(part, tuple):
            left.extend(part)
    return [part for part in found if part]


def test_networks_with_odd_parts_are_read_or_refused(tmp_path):
    rng = random.Random(0)
    outcomes = []
    for case in range(CASES // 2):
        mapping, synthesis = tiny_settings(embedding=rng.choice(["table", "linear"]))
        root = networks(generator(mapping, synthesis, random_state(mapping, synthesis)))
        part = rng.choice(dictionaries(root))
        part[rng.choice(list(part))] = rng.choice(ODD)
        outcomes.append(outcome(tmp_path / "x.pkl", pickled(root, 2 + case % 4)))
    assert None in outcomes
    assert set(outcomes) - {None}


def test_mutated_pairs_are_read_or_refused(tmp_path):
    rng = random.Random(0)
    pair = convert(tiny_network(tmp_path / "x.pkl")[0], tmp_path / "pair")
    for path in (pair.description, pair.weights):
        original = path.read_bytes()
        outcomes = {outcome(path, mutated(original, rng)) for _ in range(60)}
        path.write_bytes(original)
        assert None in outcomes
