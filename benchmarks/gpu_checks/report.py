"""The outcomes of checks as JSON and as Markdown, with the machine and the versions they were measured with."""

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from glad_ray.machine import device_name
from glad_ray.results import package_versions
from gpu_checks.check import Number, Outcome

ROOT = Path(__file__).parents[2]
"""this checkout"""


def machine(device: torch.device) -> dict[str, Number]:
    """The processor or GPU, and what drives it."""
    facts: dict[str, Number] = {"device": device_name(device), "system": platform.platform()}
    if device.type == "cpu":
        facts |= {
            "processor": _processor(),
            "cores": os.cpu_count() or 1,
            "instructions": torch.backends.cpu.get_cpu_capability(),
        }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts |= {
            "memory_bytes": properties.total_memory,
            "compute_capability": f"{properties.major}.{properties.minor}",
            "cuda": str(torch.version.cuda),
            "cudnn": str(torch.backends.cudnn.version()),
            "driver": _said("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
        }
    return facts


def _processor() -> str:
    """Its name, as Linux tells it."""
    told = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*: (.*)$", told.read_text(), re.MULTILINE) if told.exists() else None
    return platform.processor() if named is None else named[1]


def commit(checkout: Path = ROOT) -> str:
    """The commit of a checkout, with a plus sign where files differ from it; `unknown` without git."""
    if not (checkout / ".git").exists():
        return "unknown"
    head = _said("git", "-C", str(checkout), "rev-parse", "HEAD")
    return head if head == "unknown" else head + "+" * bool(_said("git", "-C", str(checkout), "status", "--porcelain"))


def _said(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "unknown"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def as_record(outcomes: Sequence[Outcome], device: torch.device, commit: str, seconds: float) -> dict[str, Any]:
    """All of it, for JSON."""
    return {
        "machine": machine(device),
        "versions": package_versions(),
        "commit": commit,
        "seconds": seconds,
        "passed": all(outcome.passed for outcome in outcomes),
        "checks": [
            {
                "name": outcome.check.name,
                "claim": outcome.check.claim,
                "seconds": outcome.seconds,
                "passed": outcome.passed,
                "unfinished": outcome.unfinished,
                "rows": [{**row._asdict(), "verdict": row.verdict} for row in outcome.rows],
            }
            for outcome in outcomes
        ],
    }


def as_markdown(record: dict[str, Any]) -> str:
    """A table for each check."""
    facts = {**record["machine"], **record["versions"], "commit": record["commit"]}
    lines = [
        "# What was measured on a GPU" if "cuda" in facts else "# The checks of a GPU, run without one",
        "",
        ", ".join(f"{name} {shown(value)}" for name, value in facts.items()) + f"; {record['seconds']:.0f} s.",
    ]
    for check in record["checks"]:
        columns = list(dict.fromkeys(name for row in check["rows"] for name in row["numbers"]))
        verdict = "passed" if check["passed"] else "NOT PASSED"
        lines += ["", f"## {check['name']}: {verdict}", "", f"{check['claim']} ({check['seconds']:.0f} s)", ""]
        if check["unfinished"]:
            lines += [f"Not finished: {check['unfinished'].strip().splitlines()[-1]}.", ""]
        lines += [line("piece", *columns, "verdict"), line("---", *("---:" for _ in columns), "---")]
        for row in check["rows"]:
            lines.append(line(row["name"], *(shown(row["numbers"].get(name, "")) for name in columns), row["verdict"]))
    return "\n".join(lines) + "\n"


def write(record: dict[str, Any], folder: Path) -> None:
    """`on_gpu.json` and `on_gpu.md` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "on_gpu.json").write_text(json.dumps(record, indent=1) + "\n")
    (folder / "on_gpu.md").write_text(as_markdown(record))


def line(*cells: str) -> str:
    """Of a table."""
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def shown(value: Number) -> str:
    """A number in three digits, or what else it is."""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
