"""What tables are copied as, by the page's own script in Node: texts that would break a format do not."""

import csv
import io
import json
import shutil
import subprocess

import pytest

from glad_ray.report.rendering import page_script

HOSTILE = (
    "a|b", "R&D_50%", 'say "hi", twice', "=HYPERLINK(1)", "@x", "-cmd", "+1 of 2", "\\cmd{x}", "a~b^c#d$e",
    "<b>*x*</b>", "[link](x)", "two\nlines", "`code`",
)  # fmt: skip


def cell(text, bold=False):
    return {"text": text, "bold": bold}


@pytest.fixture(scope="module")
def copied():
    """The three texts of one table."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node to run the page's script with")
    table = {
        "heads": [{"text": "Set|a", "number": False}, {"text": "ViT", "number": True}, {"text": "vs.", "number": True}],
        "rows": [
            {"group": "DC & co"},
            {"cells": [cell("[pixel]"), cell("64.3 ± 1.2", bold=True), cell("−0.5")]},
            {"cells": [cell("1,234"), cell("61.0"), cell("+8.1")]},
            {"group": "hostile"},
            *({"cells": [cell(text), cell("–"), cell("")]} for text in HOSTILE),
        ],
    }
    kinds = "['csv', 'markdown', 'latex'].map((kind) => TABLE_TEXT[kind](table))"
    script = f"{page_script()}\nconst table = {json.dumps(table)};\nconsole.log(JSON.stringify({kinds}));"
    run = subprocess.run([node, "-"], input=script, capture_output=True, text=True, check=True)
    return dict(zip(("csv", "markdown", "latex"), json.loads(run.stdout), strict=True))


def test_csv_is_read_back_and_holds_no_formula(copied):
    head, first, second, *rows = csv.reader(io.StringIO(copied["csv"], newline=""))
    assert head == ["group", "Set|a", "ViT", "ViT ±", "vs."]
    assert first == ["DC & co", "[pixel]", "64.3", "1.2", "-0.5"]
    assert second == ["DC & co", "1234", "61.0", "", "+8.1"]
    formulas = {"=HYPERLINK(1)", "@x", "-cmd", "+1 of 2"}
    assert [row[1] for row in rows] == [f"'{text}" if text in formulas else text for text in HOSTILE]


def test_markdown_has_as_many_cells_in_every_line(copied):
    lines = copied["markdown"].splitlines()
    assert lines[:4] == [
        "|  | Set\\|a | ViT | vs. |",
        "| :--- | :--- | ---: | ---: |",
        "| DC \\& co | \\[pixel\\] | **64.3 ± 1.2** | −0.5 |",
        "| DC \\& co | 1,234 | 61.0 | +8.1 |",
    ]
    assert len(lines) == 4 + len(HOSTILE)
    for line in lines:
        bars = [place for place, letter in enumerate(line) if letter == "|" and line[place - 1 : place] != "\\"]
        assert len(bars) == 5
    assert "| hostile | \\<b\\>\\*x\\*\\</b\\> | – |  |" in lines
    assert "| hostile | two lines | – |  |" in lines
    assert "| hostile | \\\\cmd{x} | – |  |" in lines


def test_latex_is_a_tabular_with_rules_and_without_loose_characters(copied):
    lines = copied["latex"].splitlines()
    assert lines[1:6] == [
        "\\begin{tabular}{lrr}",
        "\\toprule",
        "Set\\textbar{}a & ViT & vs. \\\\",
        "\\midrule",
        "\\multicolumn{3}{l}{\\textit{DC \\& co}} \\\\",
    ]
    assert lines[6] == "{[}pixel] & \\textbf{64.3 $\\pm$ 1.2} & $-$0.5 \\\\"
    assert lines[8:10] == ["\\midrule", "\\multicolumn{3}{l}{\\textit{hostile}} \\\\"]
    assert lines[-2:] == ["\\bottomrule", "\\end{tabular}"]
    said = {line.partition(" & ")[0] for line in lines[10:-2]}
    assert said == {
        "a\\textbar{}b", "R\\&D\\_50\\%", "say \\textquotedbl{}hi\\textquotedbl{}, twice", "=HYPERLINK(1)", "@x",
        "-cmd", "+1 of 2", "\\textbackslash{}cmd\\{x\\}", "a\\textasciitilde{}b\\textasciicircum{}c\\#d\\$e",
        "\\textless{}b\\textgreater{}*x*\\textless{}/b\\textgreater{}", "{[}link](x)", "two lines", "`code`",
    }  # fmt: skip
