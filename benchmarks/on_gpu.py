"""All that only a GPU can show, on one GPU in under eight minutes and without Ray.

    python benchmarks/on_gpu.py --output gpu
    python benchmarks/on_gpu.py --output gpu --reference glad     # beside the paper's code
    python benchmarks/on_gpu.py --device cpu --quick              # does every check run? measures nothing

The checks, in this order, each with its part of the time:

- parity: whether a GPU computes what the CPU does;
- TF32: what it does to gradients;
- memory: what steps take beside what is foretold, and that it is given back;
- waits: how often the CPU waits for the GPU, and where;
- speed: of every kind of work;
- graphs: whether trainings as CUDA graphs come to the same numbers, and how much faster they are;
- together: whether repeats of an evaluation trained together come to the same numbers, and how much faster they are;
- launches: kernels a step, and the share of its time in which none runs;
- determinism: what is the same bits from run to run.

A piece that fails is recorded, and the next one follows. The numbers are in `on_gpu.json` and `on_gpu.md` under
`--output`, written anew after every check; the tables are printed last. The exit code is 1 if a limit was not kept, a
piece failed or a check did not come to its end, and 2 if there is no such device.

Run it where glad_ray is installed, or with the checkout in PYTHONPATH. `--reference` is a checkout of
github.com/GeorgeCazenavette/glad, whose code needs einops, torchvision and tqdm.

What is needed, with the size of its wheel for Python 3.12 in MB: PyTorch 2.11 or newer, torchvision, numpy, Pillow
(7.1), jaxtyping (0.1, with wadler-lindig), safetensors (0.5), pydantic (2.8, with pydantic-core, annotated-types and
typing-inspection), pyarrow (55.0). Whole steps (waits, speed, launches) need scikit-learn (44.7, with scipy, joblib and
threadpoolctl); without it they are errors, and the rest is measured. Not needed: Ray, Optuna, pandas, rich, kornia.
Where 64 MiB can be carried to a machine that has PyTorch, torchvision, numpy and Pillow, the wheels of the others but
scikit-learn (55.7 MiB) fit beside glad_ray and benchmarks (3.5 MiB), but not beside the whole checkout (19 MiB).
"""

import argparse
import sys
import time
from pathlib import Path

from gpu_checks import determinism, graphs, launches, memory, parity, precision, report, speed, together, waits
from gpu_checks.check import Check, Outcome, Setting, run_check

from glad_ray.errors import UserError
from glad_ray.machine import open_device

CHECKS: tuple[Check, ...] = tuple(
    module.CHECK for module in (parity, precision, memory, waits, speed, graphs, together, launches, determinism)
)
_LEFT_SECONDS = 25
"""of the minutes, for imports before and for the end: a piece that takes a moment to be stopped, and what is written"""


def main() -> int:
    """Run what the arguments ask for; returns the exit code."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:<n>, or cpu, which shows that the checks run")
    parser.add_argument("--minutes", type=float, default=8, help="for all checks together")
    parser.add_argument("--output", type=Path, help="folder for on_gpu.json and on_gpu.md")
    parser.add_argument("--reference", type=Path, help="checkout of the paper's code, to be timed in turn with ours")
    parser.add_argument("--quick", action="store_true", help="sizes that measure nothing")
    parser.add_argument("--only", nargs="+", choices=[check.name for check in CHECKS], help="these checks alone")
    parser.add_argument("--commit", help="of this checkout, where git cannot tell it")
    chosen = parser.parse_args()
    try:
        setting = Setting(open_device(chosen.device), chosen.quick, chosen.reference)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    checks = [check for check in CHECKS if chosen.only is None or check.name in chosen.only]
    commit, end = chosen.commit or report.commit(), began + 60 * chosen.minutes - _LEFT_SECONDS
    outcomes: list[Outcome] = []
    for number, check in enumerate(checks):
        # Its part of the time that is left: what earlier ones did not need goes to the later ones.
        part = check.share / sum(each.share for each in checks[number:])
        seconds = part * (end - time.monotonic())
        outcomes.append(run_check(check, setting, seconds, lambda line: print(line, flush=True)))
        record = report.as_record(outcomes, setting.device, commit, time.monotonic() - began)
        if chosen.output is not None:
            report.write(record, chosen.output)
    print(f"\n{report.as_markdown(record)}")
    return 0 if record["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
