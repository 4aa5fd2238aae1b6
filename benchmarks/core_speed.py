"""The speed of the core on one thread of a CPU: steps, experts, evaluation. Ours, the released code and other versions
take turns.

    python benchmarks/core_speed.py                      # ours, and its convolutions and linear layers alone
    python benchmarks/core_speed.py --reference glad     # beside the released code, with two allocators
    python benchmarks/core_speed.py --before ../before   # beside another checkout of glad_ray
    python benchmarks/core_speed.py --quick              # does everything run? measures nothing

`--reference` is a checkout of github.com/GeorgeCazenavette/glad, whose code needs einops, torchvision and tqdm.
`--page` writes what is printed at the end to a file too; `make bench` writes docs/performance.md, in under 20 minutes.

Each version has a process of its own, a new one for every piece. Another checkout is measured by its own benchmarks,
and by those of this one that it does not have.
"""

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from core_pieces import SHARES, Piece, pieces
from gpu_checks import report
from gpu_checks.check import Setting
from timing import Timing, in_turn, median
from turns import Candidate

from glad_ray.errors import UserError
from glad_ray.results import package_versions

_CPU = torch.device("cpu")
_ROUNDS, _FEW_ROUNDS = 15, 1
"""at most, and with --quick"""
_VERSIONS = {
    "ours": "this package as its commands run it: glibc is told to keep freed memory.",
    "before": "another checkout of this package.",
    "released": "the code released with the paper, github.com/GeorgeCazenavette/glad, unchanged. It has no exact\n"
    "  gradient of MTT.",
    "tuned": "the released code, and glibc is told the same as for ours.",
    "layers": "the convolutions and linear layers of ours alone: the same calls, forward and backward, on the same\n"
    "  shapes, and nothing between them.",
}
_RATIOS = (("before", "ours"), ("released", "ours"), ("tuned", "ours"), ("ours", "layers"))
_PAGE = """\
# Speed of the core on a CPU

Written in {minutes:.0f} minutes by

    {command}

{facts}

Seconds of one thread for a unit of work: CPU seconds, user and system, then wall-clock seconds in brackets. Each
version has a process of its own. In every round each makes a unit, one version after another. Times are medians over
the rounds; the first unit of a process does not count. Ratios are of CPU seconds.

{versions}

{table}

Images are random, of ten classes, three channels and 32 pixels; all work has the DSA augmentation. Networks have their
standard width, 128 for the ConvNet. Steps are those of a run in pixels with one image a class: DC and DM with 256 real
images a class, MTT with ten steps of the student. Experts are trained on batches of 256 images. An epoch of evaluation
is one batch of ten images.
"""

Measured = Mapping[str, list[Timing]]
"""by version, every turn that counts"""


def main() -> int:
    """Measure what the arguments ask for; returns the exit code."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, help="checkout of the released code")
    parser.add_argument("--before", type=Path, help="another checkout of glad_ray")
    parser.add_argument("--page", type=Path, help="file for the page")
    parser.add_argument("--minutes", type=float, default=18, help="for all pieces; each has two rounds at least")
    parser.add_argument("--only", nargs="+", choices=list(pieces(Setting(_CPU, quick=True))), help="these pieces alone")
    parser.add_argument("--quick", action="store_true", help="sizes that measure nothing")
    chosen = parser.parse_args()
    try:
        check(chosen)
        measured = measure_all(chosen, began + 60 * chosen.minutes)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    page = as_page(chosen, measured, time.monotonic() - began)
    print(page)
    if chosen.page is not None:
        chosen.page.write_text(page)
    return 0


def check(chosen: argparse.Namespace) -> None:
    """Raise `UserError` for paths where there is not what should be there."""
    if chosen.reference is not None and not (chosen.reference / "distill_dc.py").is_file():
        raise UserError(f"No released code in {chosen.reference}: clone github.com/GeorgeCazenavette/glad there.")
    if chosen.before is not None and not (chosen.before / "glad_ray" / "__init__.py").is_file():
        raise UserError(f"No checkout of glad_ray in {chosen.before}: name a folder that has the folder glad_ray.")
    if chosen.page is not None and not chosen.page.parent.is_dir():
        raise UserError(f"No folder {chosen.page.parent} for the page: make it first.")


def measure_all(chosen: argparse.Namespace, end: float) -> dict[tuple[str, str], Measured]:
    """Every piece, by its name and unit, within its part of the time until `end`."""
    offered = pieces(Setting(_CPU, chosen.quick))
    asked = {name: offered[name] for name in chosen.only or offered}
    left = sum(SHARES[name] for name in asked)
    found: dict[tuple[str, str], Measured] = {}
    for name, piece in asked.items():
        # What earlier pieces did not need goes to the later ones.
        seconds = SHARES[name] / left * (end - time.monotonic())
        left -= SHARES[name]
        found[name, piece.unit] = measured = measure(chosen, name, piece, seconds)
        told = ", ".join(f"{version} {report.shown(median(turns).cpu)} s" for version, turns in measured.items())
        print(f"{name}: {told}", file=sys.stderr, flush=True)
    return found


def measure(chosen: argparse.Namespace, name: str, piece: Piece, seconds: float) -> Measured:
    """All versions of a piece, in turn."""
    checkouts = {"ours": report.ROOT}
    if chosen.before is not None:
        checkouts["before"] = chosen.before.resolve()
    if chosen.reference is not None and piece.released is not None:
        checkouts |= dict.fromkeys(("released", "tuned"), report.ROOT)
    checkouts["layers"] = report.ROOT
    with contextlib.ExitStack() as stack:
        turns = {}
        for version, checkout in checkouts.items():
            arguments = {
                "piece": name,
                "candidate": "ours" if version == "before" else version,
                "reference": None if chosen.reference is None else str(chosen.reference.resolve()),
                "quick": chosen.quick,
            }
            candidate = Candidate(f"{name}, {version}", "core_pieces", arguments, environment(checkout))
            turns[version] = stack.enter_context(candidate).turn
        return in_turn(turns, _FEW_ROUNDS if chosen.quick else _ROUNDS, seconds)


def environment(checkout: Path) -> dict[str, str]:
    """Of a process that uses the package and the benchmarks of a checkout, and one thread."""
    paths = [checkout, checkout / "benchmarks", report.ROOT / "benchmarks", os.environ.get("PYTHONPATH", "")]
    return {
        "PYTHONPATH": os.pathsep.join(str(path) for path in paths if str(path)),
        # Else the folder of the script, which is of this checkout, would come first.
        "PYTHONSAFEPATH": "1",
        "OMP_NUM_THREADS": "1",
    }


def as_page(chosen: argparse.Namespace, measured: Mapping[tuple[str, str], Measured], seconds: float) -> str:
    """The numbers with what they mean; without the paths of this machine."""
    command = ["python benchmarks/core_speed.py"]
    facts = {**report.machine(_CPU), **package_versions(), "commit": report.commit()}
    for option, path in (("reference", chosen.reference), ("before", chosen.before)):
        if path is not None:
            command.append(f"--{option} {option}")
            facts[f"commit of {option}"] = report.commit(path)
    if chosen.only:
        command.append("--only " + " ".join(f"'{name}'" for name in chosen.only))
    if chosen.quick:
        command.append("--quick  # sizes that measure nothing")
    there = {version for versions in measured.values() for version in versions}
    told = [f"- `{version}`: {what}" for version, what in _VERSIONS.items() if version in there]
    if chosen.reference is None:
        told.append("- The released code was not measured: `--reference` names a checkout of it.")
    return _PAGE.format(
        minutes=seconds / 60,
        command=" ".join(command),
        facts="\n".join([
            report.line("", ""),
            report.line("---", "---"),
            *(report.line(fact, report.shown(value)) for fact, value in facts.items()),
        ]),
        versions="\n".join(told),
        table=table(measured, there),
    )  # fmt: skip


def table(measured: Mapping[tuple[str, str], Measured], there: set[str]) -> str:
    """A row for each piece; cells are empty where a version does not do it."""
    versions = [version for version in _VERSIONS if version in there]
    ratios = [pair for pair in _RATIOS if there.issuperset(pair)]
    titles = ["piece", "unit", "rounds", *versions, *(" / ".join(pair) for pair in ratios)]
    lines = [report.line(*titles), report.line("---", "---", *("---:" for _ in titles[2:]))]
    for (name, unit), turns in measured.items():
        taken = {version: median(each) for version, each in turns.items()}
        times = [
            f"{report.shown(taken[version].cpu)} ({report.shown(taken[version].wall)})" if version in taken else ""
            for version in versions
        ]
        quotients = [
            f"{taken[one].cpu / taken[other].cpu:.2f}" if one in taken and other in taken else ""
            for one, other in ratios
        ]
        lines.append(report.line(name, unit, str(len(turns["ours"])), *times, *quotients))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
