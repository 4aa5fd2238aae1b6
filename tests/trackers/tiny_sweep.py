"""A sweep of three runs that takes seconds, and a process that drives it.

`python -m tests.trackers.tiny_sweep STORAGE KILL_AT TRACKER...`: at step KILL_AT of the second run the process kills
itself (0: it comes to its end).
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from glad_ray import DM, Evaluation, Network, RandomReal, Run, Sweep, api
from glad_ray.engine.in_process import run_in_process
from glad_ray.plan import make_plan
from glad_ray.progress.events import RunProgressed
from glad_ray.storage import Storage
from glad_ray.trackers.tracked_view import TrackedView
from tests.recorded import Recorded

NETWORKS = (Network(width=4), Network(width=4, depth=1))
STEPS = 24
_MOST_SECONDS = 120
DRAWN = Run(algorithm=DM(iterations=STEPS, real_batch_size=4), backbone=NETWORKS[0], snapshots=2, checkpoint_every=5)
RUNS = (DRAWN, DRAWN.replace(seed=1), Run(algorithm=RandomReal(), backbone=NETWORKS[0], held_out=5))
SWEEP = Sweep(name="tracked", runs=RUNS, evaluations=Evaluation(networks=NETWORKS, repeats=2, epochs=1, test_images=50))


def driven(storage, killed_at, trackers, env, folder):
    """The process that drove it, once it has ended."""
    command = [sys.executable, "-m", "tests.trackers.tiny_sweep", str(storage), str(killed_at), *trackers]
    env = os.environ | env | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True)


def untracked(folder):
    """The storage of the same sweep without trackers, run in this process."""
    storage = Storage.open(folder / "untracked")
    run_in_process(make_plan(SWEEP), storage, device="cpu", view=Recorded())
    return storage.uri


def rows_of(storage):
    """The rows of a sweep without what they took of a machine, in one order."""
    table = api.load(storage).to_pandas()
    measured = [name for name in table if "seconds" in name or "bytes" in name or name.endswith("_at")]
    return table.drop(columns=measured).sort_values(["run_id", "network", "step", "repeat"]).reset_index(drop=True)


def _killing_at(step):
    shown, distilled = TrackedView.show, set()

    def show(view, event):
        shown(view, event)
        if isinstance(event, RunProgressed):
            distilled.add(event.run.run_id)
            if len(distilled) == 2 and event.progress.step == step - 2:
                _wait_until_sent(view._senders)
            elif len(distilled) == 2 and event.progress.step == step:
                os.kill(os.getpid(), signal.SIGKILL)

    TrackedView.show = show


def _wait_until_sent(senders):
    """Until all that came was sent, so that the steps after it are those that are not."""
    ends = time.monotonic() + _MOST_SECONDS
    while any(sender.missing for sender in senders) and time.monotonic() < ends:
        time.sleep(0.1)
    # Trackio writes from a thread of its own.
    time.sleep(2)


if __name__ == "__main__":
    storage, kill_at, *trackers = sys.argv[1:]
    if int(kill_at):
        _killing_at(int(kill_at))
    api.run(SWEEP, storage, in_process=True, device="cpu", trackers=trackers)
