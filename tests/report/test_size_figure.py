"""Accuracy against bytes as a figure."""

from glad_ray.report.figures.sizes import accuracy_by_bytes
from glad_ray.report.tables.accuracy import sections
from glad_ray.report.tables.sizes import sizes
from tests.report.rows import row


def test_baselines_of_whitened_images_have_a_line_of_their_own():
    rows = [
        row("vit", 0.5, run_id="a", algorithm="random", ipc=1, set_bytes=1000),
        row("vit", 0.6, run_id="b", algorithm="random", ipc=10, set_bytes=10000, whitening="zca"),
        row("vit", 0.6, run_id="c", ipc=10, set_bytes=40000, whitening="zca"),
    ]
    (drawn,) = sizes(sections(rows, dict.fromkeys("abc", "")))
    figure = accuracy_by_bytes(drawn, "f")
    legend = figure.partition("</title>")[2]
    assert legend.count("Random real images, whitened") == 1
    assert legend.count("Random real images") == 2
    assert "MTT pixels, whitened" in figure


def test_labels_of_baselines_are_told_where_they_differ():
    rows = [
        row("vit", 0.5, run_id="a", algorithm="random", ipc=1, set_bytes=1000, labels="online"),
        row("vit", 0.6, run_id="b", ipc=10, set_bytes=40000, labels="online"),
    ]
    (drawn,) = sizes(sections(rows, dict.fromkeys("ab", "")))
    assert "labels" not in accuracy_by_bytes(drawn, "f")
    rows.append(row("vit", 0.9, run_id="c", algorithm="whole", ipc=None, set_bytes=10**6))
    (drawn,) = sizes(sections(rows, dict.fromkeys("abc", "")))
    figure = accuracy_by_bytes(drawn, "f")
    assert "Random real images, labels: a teacher’s at every step" in figure
    assert "Whole dataset, labels: hard" in figure
