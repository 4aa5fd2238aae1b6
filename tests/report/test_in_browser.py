"""The page's script where it runs: in a browser, from a file on disk."""

import csv
import io

import numpy as np
import pytest

from glad_ray.report import write_report
from glad_ray.spec import DC
from glad_ray.storage import Storage
from tests.browser import browser, find_browser
from tests.report.kept_sets import write_kept_sets
from tests.report.sample import BASE, EVALUATION, small_sweep, write_run, write_sweep

pytestmark = pytest.mark.full

TABLE = "document.querySelector('[aria-label=\"Accuracy, last step\"] table')"
COSTS = "document.querySelector('[aria-label=\"Time and memory by run\"] table')"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A tab with the report of a small sweep, in which one run kept three sets."""
    path = find_browser()
    if path is None:
        pytest.skip("there is no Chromium or Chrome to open the report with")
    storage = Storage.open(tmp_path_factory.mktemp("swept"))
    write_sweep(storage, small_sweep(spaces=("f4",)))
    run = BASE.replace(algorithm=DC(iterations=60), snapshots=3, seed=7)
    write_run(storage, run, EVALUATION, "small")
    write_kept_sets(storage, run, np.random.default_rng(0))
    write_report(storage)
    with browser(path) as tab:
        tab.run_id = run.run_id
        tab.url = f"file://{storage.local_path(Storage.REPORT)}"
        tab.go(tab.url)
        yield tab


@pytest.fixture(autouse=True)
def _nothing_asked_and_nothing_wrong(page):
    yield
    assert set(page.asked_for) == {page.url}
    assert page.errors == []


def column(page, table, place):
    return page.run(
        f"[...{table}.tBodies].flatMap((body) => [...body.rows]).filter((row) => !row.hidden && row.cells.length > 2)"
        f".map((row) => row.cells[{place}].innerText.trim().replace(/\\s+/g, ' '))"
    )


def press(page, selector):
    return page.run(f"{selector}.click()")


def test_tables_sort_by_numbers_and_back(page):
    before = column(page, COSTS, 2)
    for order in ("descending", "ascending", None):
        press(page, f"{COSTS}.tHead.rows[0].cells[2].querySelector('button')")
        seconds = page.run(f"[...{COSTS}.tBodies[0].rows].map((row) => Number(row.cells[2].dataset.value))")
        assert page.run(f"{COSTS}.tHead.rows[0].cells[2].getAttribute('aria-sort')") == order
        assert seconds == sorted(seconds, reverse=order == "descending") or order is None
    assert column(page, COSTS, 2) == before


def test_rows_sort_within_their_group(page):
    groups = page.run(f"[...{TABLE}.tBodies].map((body) => body.rows[0].innerText.trim())")
    press(page, f"{TABLE}.tHead.rows[0].cells[2].querySelector('button')")
    sorted_in_groups = page.run(
        f"[...{TABLE}.tBodies].map((body) => [...body.rows].filter((row) => row.cells.length > 2)"
        ".map((row) => parseFloat(row.cells[2].innerText)))"
    )
    assert all(group == sorted(group, reverse=True) for group in sorted_in_groups)
    assert sum(len(group) > 1 for group in sorted_in_groups) >= 2
    after = page.run(f"[...{TABLE}.tBodies].map((body) => body.rows[0].innerText.trim())")
    assert after[1:] == groups[1:], "the names of groups stay above them"


def test_tables_filter(page):
    field = f"{TABLE}.closest('.scroll').previousElementSibling.querySelector('input')"
    page.run(f"{field}.value = 'dc f4'; {field}.dispatchEvent(new Event('input'))")
    assert column(page, TABLE, 0) == ["f4"]
    assert "1 of " in page.run(f"{TABLE}.closest('.scroll').previousElementSibling.querySelector('output').innerText")
    page.run(f"{field}.value = ''; {field}.dispatchEvent(new Event('input'))")
    assert len(column(page, TABLE, 0)) > 3


def test_tables_are_copied_as_they_are_shown(page):
    page.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    tools = f"{TABLE}.closest('.scroll').previousElementSibling"
    for place, begin in enumerate(("group,Space,Step,ConvNet", "|  | Space | Step |", "% \\usepackage{booktabs}")):
        page.run(f"(async () => {{ {tools}.querySelectorAll('button')[{place}].click(); }})()")
        assert page.run("window.copied").startswith(begin)
    press(page, f"{tools}.querySelectorAll('button')[0]")
    rows = list(csv.DictReader(io.StringIO(page.run("window.copied"))))
    assert [row["Space"] for row in rows] == column(page, TABLE, 0)
    shown = column(page, TABLE, 2)
    heads = [head for head in rows[0] if head.startswith("ConvNet")]
    assert [" ± ".join(row[head] for head in heads) for row in rows] == shown


def test_without_a_clipboard_the_older_way_copies(page):
    page.run(
        "navigator.clipboard.writeText = async () => { throw new Error('refused'); };"
        "document.execCommand = (what) => { window.older = document.activeElement.value; return true; };"
    )
    assert page.run("copyText('x').then((copied) => copied && window.older)") == "x"
    assert page.run("document.querySelectorAll('textarea').length") == 0


def test_a_run_has_a_view_with_a_slider_for_the_keyboard(page):
    page.run(f"location.hash = 'run-{page.run_id}'; new Promise((done) => setTimeout(done, 200))")
    assert page.run("getComputedStyle(document.querySelector('main > section')).display") == "none"
    assert page.run("document.title").startswith("DC pixel")
    run = f"document.getElementById('run-{page.run_id}')"
    assert page.run(f"document.activeElement === {run}.querySelector('h2')")
    shown = (
        f"[...{run}.querySelectorAll('.steps figure')].filter((figure) => !figure.hidden).map((f) => f.dataset.step)"
    )
    assert page.run(shown) == ["60 of 60"]
    assert page.run(f"{run}.querySelector('figure[data-picture] img').naturalWidth") > 0, "borrowed"
    page.run(f"{run}.querySelector('.steps input').focus()")
    page.press("ArrowLeft", 37)
    assert page.run(shown) == ["40 of 60"]
    page.press("Home", 36)
    assert page.run(shown) == ["20 of 60"]
    assert page.run(f"{run}.querySelector('.steps input').getAttribute('aria-valuetext')") == "20 of 60"
    page.run("location.hash = 'runs'; new Promise((done) => setTimeout(done, 200))")
    assert page.run("getComputedStyle(document.querySelector('main > section')).display") != "none"
    assert page.run(f"getComputedStyle({run}).display") == "none"


def test_every_control_has_a_name(page):
    unnamed = (
        "[...document.querySelectorAll('input, button, select, textarea')].filter((control) => control.offsetParent"
        " && !control.labels?.length && !control.getAttribute('aria-label') && !control.innerText.trim()).length"
    )
    assert page.run(unnamed) == 0


def test_on_paper_there_are_no_controls(page):
    page.medium("print")
    tools = "getComputedStyle(document.querySelector('.tools')).display"
    assert page.run(tools) == "none"
    page.medium("")
    assert page.run(tools) == "flex"
