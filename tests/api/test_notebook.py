"""The notebook of the docs, executed from top to bottom; and how a sweep looks in one."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


def executed(notebook, folder):
    NotebookClient(notebook, timeout=500, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    return [
        [output for output in cell.outputs if output.output_type != "stream"]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def cells(*sources):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])


@pytest.mark.full
@pytest.mark.cluster
def test_the_notebook_of_the_docs(tmp_path):
    notebook = nbformat.read(NOTEBOOK, nbformat.NO_CONVERT)
    shown = executed(notebook, tmp_path)
    assert "3 of 3 runs finished" in shown[1][0].data["text/plain"]
    assert "image/png" in shown[3][0].data
    kept = nbformat.read(NOTEBOOK, nbformat.NO_CONVERT)
    for cell, before in zip(notebook.cells, kept.cells, strict=True):
        if cell.cell_type == "code":
            assert {key for output in cell.outputs for key in output.get("data", ())} == {
                key for output in before.outputs for key in output.get("data", ())
            }, "what the notebook shows is what it was saved with"


SWEEP = """
import glad_ray
from glad_ray import DM, Evaluation, Network, RandomReal, Run, Sweep
run = Run(algorithm=RandomReal(), resolution=28, backbone=Network(width=4))
distilled = run.replace(algorithm=DM(iterations=4, real_batch_size=8))
sweep = Sweep(name="small", runs=(run,), evaluations=Evaluation(networks=(Network(width=4),), repeats=3, epochs=1))
"""
INTERRUPTED = """
import _thread, threading, time
from pathlib import Path

def interrupt():
    while not list(Path("results").rglob("evaluations/*/*.parquet")):
        time.sleep(0.01)
    _thread.interrupt_main()

threading.Thread(target=interrupt).start()
try:
    glad_ray.run(sweep.replace(evaluations=sweep.evaluations[0].replace(repeats=200)), "results", in_process=True)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.full
@pytest.mark.cluster
def test_progress_is_one_output_and_an_interrupted_cell_is_gone_on_with(tmp_path):
    again = "results = glad_ray.run(sweep, 'results', in_process=True); results"
    on_ray = "glad_ray.run(sweep.replace(runs=(run, distilled)), 'on-ray')"
    notebook = cells(SWEEP, INTERRUPTED, again, on_ray)
    shown = executed(notebook, tmp_path)
    assert "interrupted" in "".join(
        output.text for output in notebook.cells[1].outputs if output.output_type == "stream"
    )
    assert "0 of 1 runs finished, 1 distilled" in shown[1][0].data["text/plain"]
    for cell, runs in ((shown[2], 1), (shown[3], 2)):
        progress, result = cell
        assert f"{runs} of {runs} runs finished" in progress.data["text/plain"]
        assert f"{runs} finished" in result.data["text/plain"]
