"""The pages for those who do not see them as they are drawn: order of headings, names of controls, contrast."""

import itertools
import re

import numpy as np
import pytest

from glad_ray.report import write_comparison
from glad_ray.report.rendering import render
from glad_ray.spec.algorithms import ALGORITHM_NAMES
from glad_ray.storage import Storage
from tests.report.parsed import Page, page_of, said
from tests.report.sample import small_sweep, write_rich_sweep, write_sweep


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A report, one with several seeds, datasets and evaluations, and what sets both beside one another."""
    small, rich = (Storage.open(tmp_path_factory.mktemp(name)) for name in ("small", "rich"))
    write_sweep(small, small_sweep(spaces=("f4",)))
    write_rich_sweep(rich)
    path = write_comparison(small, rich)
    return [page_of(small), page_of(rich), Page(small.read_bytes(path).decode())]


def levels(page, within):
    return [int(e["tag"][1]) for e in page.elements if re.fullmatch("h[1-6]", e["tag"]) and within(e)]


def test_headings_go_down_one_level_at_a_time(pages):
    for page in pages:
        of_report = levels(page, lambda e: not any(parent["tag"] == "article" for parent in e["parents"]))
        assert of_report[0] == 1
        assert of_report.count(1) == 1
        for run in (e for e in page.elements if e["tag"] == "article"):
            of_run = levels(page, lambda e, run=run: any(parent is run for parent in e["parents"]))
            assert of_run[0] == 2
            of_report += of_run
        assert all(after <= before + 1 for before, after in itertools.pairwise(of_report))


def test_everything_that_is_seen_or_used_has_a_name(pages):
    for page in pages:
        for element in page.elements:
            attributes = element["attributes"]
            if element["tag"] == "img":
                assert attributes["alt"].strip()
            elif element["tag"] == "svg":
                assert attributes["role"] == "img"
                assert len(said(page.within(element, "title")[0])) > 20
            elif element["tag"] in ("input", "select", "textarea"):
                assert any(parent["tag"] == "label" for parent in element["parents"])
            elif element["tag"] in ("button", "a", "summary", "h1", "h2", "h3"):
                assert said(element)
            elif element["tag"] == "th":
                assert attributes["scope"] in ("col", "row", "colgroup", "rowgroup")
            elif element["tag"] == "nav" or attributes.get("role") == "region":
                assert attributes["aria-label"]
            if attributes.get("class") == "scroll":
                assert attributes["tabindex"] == "0", "a keyboard can scroll it"


def palette(css, medium):
    """The variables of a page's style, as a browser would have them under a medium."""
    blocks = {"light": css[: css.index("@media")]}
    blocks["dark"] = css[css.index("@media (prefers-color-scheme: dark)") : css.index("* { box-sizing")]
    blocks["print"] = css[css.index("@media print") :]
    chosen = blocks["light"] if medium == "light" else blocks["light"] + blocks[medium]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", chosen))


def luminance(colour):
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_measure_of_contrast():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def oklab(colour):
    """Lightness and two opponents (Ottosson, 2020), in which equal distances look about equally large."""
    shares = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    opponents = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return opponents @ np.cbrt(cones @ linear)


@pytest.mark.parametrize("medium", ["light", "dark", "print"])
def test_no_two_algorithms_look_alike(medium):
    colours = palette(render("style.css", {}), medium)
    places = {name: oklab(colours[name]) for name in (*ALGORITHM_NAMES, "custom")}
    for one, other in itertools.combinations(places, 2):
        assert np.linalg.norm(places[one] - places[other]) > 0.07, (one, other)


@pytest.mark.parametrize("medium", ["light", "dark", "print"])
def test_contrast_is_that_of_wcag_aa(medium):
    """4.5 of text, 3 of what is drawn and of the edges of controls."""
    colours = palette(render("style.css", {}), medium)
    for text, grounds in {
        "ink": ("page", "wash", "note", "bad"),
        "soft": ("page", "wash"),
        "link": ("page", "wash"),
    }.items():
        for ground in grounds:
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for drawn in ("edge", "rung-first", "rung-last", "in-full", *ALGORITHM_NAMES, "custom"):
        assert contrast(colours[drawn], colours["page"]) >= 3, drawn
