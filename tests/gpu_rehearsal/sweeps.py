"""Small sweeps in this process, on a CPU and on pretended GPUs, and what is the same of them."""

from glad_ray.engine.in_process import run_in_process
from glad_ray.plan import make_plan
from glad_ray.progress.events import RunFailed
from glad_ray.results import read_results
from glad_ray.spec import Evaluation
from glad_ray.storage import Storage
from tests.engine import tiny
from tests.gpu_rehearsal import runs
from tests.gpu_rehearsal.gpu import PretendedGPU
from tests.recorded import Recorded

EVALUATION = Evaluation(
    networks=(runs.BACKBONE,), repeats=1, epochs=2, batch_size=64, whole_dataset_epochs=1, test_images=50
)


def swept(sweep, folder, device, view=None):
    """The storage of a sweep run in this process."""
    storage, view = Storage.open(folder), view or Recorded()
    run_in_process(make_plan(sweep), storage, device=device, view=view)
    assert not view.of(RunFailed), view.of(RunFailed)[0].failure.traceback
    return storage


def assert_same(ours, theirs, sweep):
    """All rows, and the sets and losses of all runs, are the same."""
    rows, expected = (read_results(storage).drop_columns(tiny.OF_THE_MACHINE).to_pylist() for storage in (ours, theirs))
    assert rows == expected
    assert rows
    for run in sweep.runs:
        if theirs.exists(theirs.synthetic_set_path(run.run_id)):
            tiny.assert_same_run(ours, theirs, run.run_id)


def assert_comes_to_the_same_on_a_gpu(sweep, expected, folder):
    """The sweep on a pretended GPU comes to what lies in the storage that is expected."""
    with PretendedGPU():
        storage = swept(sweep, folder, "cuda:0")
    assert_same(storage, expected, sweep)
    assert {row["distill_device"] for row in read_results(storage).to_pylist()} == {"pretended GPU 0"}
