"""How what goes on is seen: a live table on a terminal, plain lines elsewhere; of what, a reporter says."""

import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Protocol, Self, final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from glad_ray.progress.events import Event

_SILENT_SECONDS = 60.0
_REDRAWN_SECONDS = 0.5
_NOTEBOOK_ROWS, _NOTEBOOK_COLUMNS = 20, 120


class View(Protocol):
    """Shows events between entering and leaving its context."""

    def show(self, event: Event) -> None:
        """Take notice of an event."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show what it came to."""


class Reporter(Protocol):
    """Knows from events how far something is, and the words for it."""

    def add(self, event: Event) -> None:
        """Take notice of an event."""

    def line(self, event: Event) -> str | None:
        """What plain output says of an event; None: nothing."""

    def notice(self, event: Event) -> Text | None:
        """What stays above a live table of an event; None: nothing."""

    def head(self) -> Text:
        """How far it is, in a line."""

    def rows(self) -> Iterator[tuple[RenderableType, ...]]:
        """What is going on, for a table."""

    def going_on(self) -> Iterator[str]:
        """The same, in words."""

    def summary(self) -> str | None:
        """What it came to; None: nothing is said."""


def in_notebook() -> bool:
    """Whether a notebook's cell shows what is printed."""
    return Console().is_jupyter


def view_of(reporter: Reporter, *, transient: bool = False) -> View:
    """A live view on a terminal, and in a notebook; plain lines when output is piped or in continuous integration.

    `transient`: the live view vanishes at its end, for something else that is printed in its place.
    """
    if in_notebook():
        return NotebookView(reporter, transient=transient)
    live = sys.stdout.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
    return LiveView(reporter, transient=transient) if live else PlainView(reporter)


@final
class PlainView(View):
    """A line for what is worth one; while there is none, one a minute that says how far it is."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self._said = time.monotonic()

    @override
    def show(self, event: Event) -> None:
        self.reporter.add(event)
        line = self.reporter.line(event)
        if not line and time.monotonic() - self._said >= _SILENT_SECONDS:
            line = f"going on   {'; '.join([self.reporter.head().plain, *self.reporter.going_on()])}"
        if line:
            print(line, flush=True)
            self._said = time.monotonic()

    @override
    def __enter__(self) -> Self:
        return self

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if summary := self.reporter.summary():
            print(summary, flush=True)


@final
class LiveView(View):
    """A table of what is going on, redrawn four times a second; notices stay above it."""

    def __init__(self, reporter: Reporter, console: Console | None = None, *, transient: bool = False) -> None:
        self.reporter = reporter
        self.console = console or Console()
        # The table is drawn from a thread of its own.
        self._lock = threading.Lock()
        self._live = Live(get_renderable=self.draw, console=self.console, refresh_per_second=4, transient=transient)

    @override
    def show(self, event: Event) -> None:
        with self._lock:
            self.reporter.add(event)
        if notice := self.reporter.notice(event):
            self.console.print(notice)

    @override
    def __enter__(self) -> Self:
        self._live.start()
        return self

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        if summary := self.reporter.summary():
            self.console.print(summary, highlight=False)

    def draw(self) -> RenderableType:
        """The table as it is now, no taller than the terminal."""
        with self._lock:
            return drawn(self.reporter, max(1, self.console.height - 4))


@final
class NotebookView(View):
    """A table of what is going on in one output of a notebook's cell, redrawn twice a second while something goes on;
    notices are printed.
    """

    def __init__(self, reporter: Reporter, *, transient: bool = False) -> None:
        self.reporter, self.transient = reporter, transient
        self._handle: Any = None
        self._drawn = 0.0

    @override
    def show(self, event: Event) -> None:
        self.reporter.add(event)
        if notice := self.reporter.notice(event):
            print(notice.plain, flush=True)
        if time.monotonic() - self._drawn >= _REDRAWN_SECONDS:
            self._draw(drawn(self.reporter, _NOTEBOOK_ROWS))

    @override
    def __enter__(self) -> Self:
        from IPython.display import display

        self._handle = display(_Shown(self.reporter.head()), display_id=True)
        return self

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._draw(Text("") if self.transient else self.reporter.summary() or drawn(self.reporter, _NOTEBOOK_ROWS))

    def _draw(self, what: RenderableType) -> None:
        self._drawn = time.monotonic()
        self._handle.update(_Shown(what))


class _Shown:
    """What is drawn, as a notebook shows it."""

    def __init__(self, what: RenderableType) -> None:
        console = Console(file=io.StringIO(), record=True, width=_NOTEBOOK_COLUMNS, force_jupyter=False)
        console.print(what)
        self._html = console.export_html(inline_styles=True, code_format="<pre>{code}</pre>", clear=False)
        self._text = console.export_text()

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return self._text


def drawn(reporter: Reporter, most_rows: int) -> RenderableType:
    """What is going on now."""
    rows, head = list(reporter.rows())[:most_rows], reporter.head()
    table = Table.grid(padding=(0, 2))
    for row in rows:
        table.add_row(*row)
    return Group(head, table) if rows else head


def bar(done: float, total: float) -> ProgressBar:
    """How much is done."""
    return ProgressBar(total=max(total, 1), completed=done, width=24)
