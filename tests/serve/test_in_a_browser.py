"""The page in a real browser, while a real sweep runs, is killed, and is resumed."""

import signal
import subprocess
import sys

import pytest

from glad_ray.serve import app, watch
from glad_ray.storage import Storage
from tests.browser import browser, find_browser
from tests.serve.serving import serving

pytestmark = [
    pytest.mark.full,
    pytest.mark.fault,
    pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed"),
]
SWEEP = """
from glad_ray import DM, Evaluation, Network, RandomReal, Run, Sweep

def sweep():
    base = Run(algorithm=DM(iterations=120, real_batch_size=4), resolution=32, backbone=Network(width=4), held_out=4,
               snapshots=2, checkpoint_every=10)
    evaluation = Evaluation(networks=[Network(width=4)], repeats=1, epochs=1,
                            test_images=20)
    runs = [base, base.replace(seed=1), base.replace(algorithm=RandomReal())]
    return Sweep(name="small", evaluations=evaluation, runs=runs)
"""


@pytest.fixture
def page(monkeypatch):
    for module in (app, watch):
        monkeypatch.setattr(module, "REFRESH_SECONDS", 0.2)
    monkeypatch.setattr(app, "_IDLE_SECONDS", 0.5)
    monkeypatch.setattr(watch, "_SHARE", 0.5)
    with browser(find_browser()) as page:
        yield page


def test_a_sweep_that_runs_is_killed_and_resumed(tmp_path, page):
    (tmp_path / "small.py").write_text(SWEEP)
    where = tmp_path / "results"
    words = ["sweep", str(tmp_path / "small.py"), "--storage", str(where), "--in-process", "--device", "cpu"]

    def driver():
        return subprocess.Popen([sys.executable, "-m", "glad_ray", *words], stdout=subprocess.DEVNULL)

    def says(sentence):
        return page.until(lambda: sentence in page.text(), 240)

    first = driver()
    try:
        page.until(lambda: list(where.rglob("checkpoint.json")), 240)
        with serving(Storage.open(where, create=False)) as client:
            origin = f"http://127.0.0.1:{client.port}/"
            page.go(origin)
            says("Running")
            page.run("window.opened_once = true")
            assert says("of 120 steps")
            page.until(lambda: page.run("document.querySelector('.cards svg path') !== null"))
            first.send_signal(signal.SIGKILL)
            first.wait()
            says("No driver is running")
            assert "1 interrupted" in page.text()

            second = driver()
            try:
                says("Running")
                says("Finished")
                assert second.wait(timeout=120) == 0
            finally:
                second.kill()
            assert "Runs finished\n3 of 3" in page.text()
            page.until(lambda: page.run("document.querySelectorAll('#accuracy tbody tr').length") >= 3)
            images = "[...document.querySelectorAll('#pictures img')]"
            page.until(lambda: page.run(f"{images}.length") == 2)
            page.run("document.getElementById('pictures').scrollIntoView()")
            page.until(lambda: page.run(f"{images}.every((image) => image.complete && image.naturalWidth > 0)"))
            assert page.run("window.opened_once"), "all of it on one page that was never left"
            look_at_a_run(page, origin)
            reach_by_keyboard(page, origin)
            prefer(page)
            read_without_scripts(page, origin)
            assert page.errors == []
            elsewhere = [url for url in page.asked_for if not url.startswith((origin, "data:", "about:"))]
            assert elsewhere == []
    finally:
        first.kill()


def look_at_a_run(page, origin):
    """What a reader has opened stays open while the page goes on."""
    page.go(origin + page.run("document.querySelector('#pictures a').getAttribute('href')").removeprefix("../"))
    assert "120 of 120 steps" in page.text()
    steps = "[...document.querySelectorAll('#steps img')]"
    page.until(lambda: page.run(f"{steps}.length === 2 && {steps}.every((image) => image.naturalWidth > 0)"))
    page.run("document.getElementById('record').open = true")
    asked = len(page.asked_for)
    page.until(lambda: len([url for url in page.asked_for[asked:] if "/runs/" in url]) > 2)
    assert page.run("document.getElementById('record').open")
    assert '"algorithm"' in page.text()


def reach_by_keyboard(page, origin):
    """Every page of a storage is reached by the key Tab, and what has the focus keeps it."""
    page.go(origin)
    reached = []
    for _ in range(14):
        page.press("Tab")
        reached.append(page.run("document.activeElement.textContent.trim()"))
    assert reached[0] == "Skip to the content"
    assert {"Pause updates", "Runs", "Accuracy", "Losses", "Failures"} <= set(reached)


def prefer(page):
    colours = []
    for scheme in ("light", "dark"):
        page.colours(scheme)
        colours.append(page.run("getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(255, 255, 255)", "rgb(20, 23, 26)"]


def read_without_scripts(page, origin):
    with_scripts = page.text()
    page.scripts(False)
    page.go(origin)
    text = page.text()
    assert "Pause updates" not in text
    assert text.split("Read from")[0].strip().splitlines()[1:] == [
        line for line in with_scripts.split("Read from")[0].strip().splitlines()[1:] if line != "Pause updates"
    ]
