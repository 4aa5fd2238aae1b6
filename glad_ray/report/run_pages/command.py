"""How a run is made again: one command, from the plan that its storage keeps."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from glad_ray.spec import Run, Sweep
from glad_ray.storage import Storage, is_uri


@dataclass(frozen=True, kw_only=True)
class Command:
    """What makes a run again, in a storage of its own."""

    text: str
    """a line for a shell"""
    run_id: str
    """the run's id there; another than here if an earlier version began it"""
    copied_from: str
    """where plan.json has to be copied from first; empty: it is a file of this machine"""


def commands(storage: Storage, sweep: Sweep | None, runs: Mapping[str, Run]) -> dict[str, Command]:
    """The commands of runs, by their ids on storage.

    A run that the plan there does not have has none: another sweep took the place of its own, or it is a trial of a
    search.
    """
    planned = {run.content_id for run in sweep.runs} if sweep else set()
    where = str(storage)
    remote = is_uri(where)
    kept = f"{where}/{storage.PLAN}"
    made = {}
    for run_id, run in runs.items():
        identity = run.content_id
        if identity in planned:
            words = ["glad-ray", "sweep", "plan.json" if remote else kept, "--only", f"run_id={identity}"]
            text = shlex.join([*words, "--storage", f"runs/{identity}"])
            made[run_id] = Command(text=text, run_id=identity, copied_from=kept if remote else "")
    return made
