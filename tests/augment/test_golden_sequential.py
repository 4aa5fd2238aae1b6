"""The sequential augmentation against the codes of IDC and NCFM, with the numbers that these drew."""

import pytest
import torch

from glad_ray.augment import UNIFORMS, Draw, apply, apply_drawn, parse_strategy
from glad_ray.augment.operations import crop_reach, cutout_size
from glad_ray.augment.sequential import chains
from tests.golden_numbers import golden, images

IDC, IDC_FACTS = golden("successors/hpd_idc_dream_rded/idc")
NCFM, NCFM_FACTS = golden("successors/ncfm_datm/ncfm")
_CHOICE = ("crop", "scale", "rotate")


def _idc_cases():
    facts = IDC_FACTS["aug_input"]
    x = images(facts["n"], facts["channels"], facts["side"], facts["side"], facts["salt"])
    for case, of_case in IDC_FACTS["aug"].items():
        strategy, mode, _ = case.split("/")
        values = [draw[1] for draw in of_case["draws_in_call_order"]]
        yield pytest.param(x, strategy, mode == "batch", values, IDC[f"aug/{case}/out"], id=f"idc {case}")


def _ncfm_cases():
    x = images(3, 3, 12, 16, 1)
    for case, facts in NCFM_FACTS.items():
        if case.startswith("aug/"):
            values = [draw[1] for draw in facts["draws"]]
            yield pytest.param(x, facts["strategy"], facts["batch"], values, NCFM[f"{case}/out"], id=f"ncfm {case}")


CASES = [*_idc_cases(), *_ncfm_cases()]


def _uniforms(name, values, height, width):
    """What makes the recorded raw draws of one operation: uniform numbers as they are, of integers the middle."""
    values = iter(values)
    if name == "crop":
        reaches = crop_reach(height), crop_reach(width)
        return [(next(values) + reach + 0.5) / (2 * reach + 1) for reach in reaches]
    if name == "cutout":
        return [(next(values) + 0.5) / (side + (cutout_size(side) % 2 == 0)) for side in (height, width)]
    return list(values)


_DRAWS = {"flip": 1, "color": 3, "crop": 2, "scale": 2, "rotate": 1, "cutout": 2}


def _recorded(x, strategy, values):
    """The draws of a whole call; they are recorded in the order in which the operations are applied."""
    values = [torch.as_tensor(value, dtype=torch.float64).flatten() for value in values]
    sets = max((len(value) for value in values), default=1)
    names = parse_strategy(f"sequential:{strategy}")
    choices, chosen = chains(names), 0
    columns = []
    for place in range(len(choices[0])):
        if choices[0][place] in _CHOICE:
            chosen = int(values.pop(0))
        name = choices[chosen][place]
        raw = [values.pop(0) for _ in range(_DRAWS[name])]
        own = [column.expand(sets) for column in _uniforms(name, raw, *x.shape[2:])]
        columns += own + [torch.zeros(sets, dtype=torch.float64)] * (UNIFORMS - len(own))
    assert not values, "all recorded numbers are used"
    return Draw(names, torch.full((sets,), chosen), torch.stack(columns, 1), sequential=True)


@pytest.mark.parametrize(("x", "strategy", "batch", "values", "expected"), CASES)
def test_whole_call(x, strategy, batch, values, expected):
    draws = _recorded(x, strategy, values)
    assert len(draws.operations) == (1 if batch else len(x))
    tolerance = 1e-5 if {"scale", "rotate"} & set(draws.chains[int(draws.operations[0])]) else 1e-6
    for precision in (torch.float32, torch.float64):
        out = apply(x.to(precision), draws)
        torch.testing.assert_close(out.float(), torch.from_numpy(expected), rtol=0, atol=tolerance)
    # Training applies them by the name of what all images share.
    uniforms = draws.uniforms.expand(len(x), -1)
    assert torch.equal(apply_drawn(x, draws.shared(), uniforms), apply(x, draws))


def test_every_recorded_augmentation_is_compared():
    recorded = [key for arrays in (IDC, NCFM) for key in arrays if key.startswith("aug/")]
    assert len(recorded) == len(CASES)
