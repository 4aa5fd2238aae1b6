"""How far the training of a generator is, in the words and rows of its views, and the table of scores it ends with."""

import time
from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from glad_ray.progress import formatting
from glad_ray.progress.events import Event, GeneratorAdvanced, GeneratorScored, ImagesPrepared
from glad_ray.progress.sweep_reporter import notice
from glad_ray.progress.view import Reporter, bar
from glad_ray.results.generator_card import GeneratorScores
from glad_ray.spec.generator_training import STAGES, GeneratorTraining, Stage

_LINE_SECONDS = 30.0
"""between two lines of plain output within a stage"""
_STEPS_OF_A_MEAN = 100
"""over which losses are averaged, about"""


class GeneratorReporter(Reporter):
    """A `Reporter` of one training, with a line for every half minute of a stage."""

    def __init__(self, training: GeneratorTraining) -> None:
        self.training = training
        self._newest: dict[Stage, GeneratorAdvanced] = {}
        self._losses: dict[Stage, dict[str, float]] = {}
        self._scored: list[GeneratorScores] = []
        self._images: tuple[int, int] | None = None
        self._said = self._started = time.monotonic()

    @override
    def add(self, event: Event) -> None:
        match event:
            case GeneratorAdvanced(stage, losses=losses):
                self._newest[stage] = event
                means = self._losses.setdefault(stage, {})
                for name, value in losses.items():
                    means[name] = means.get(name, value) + (value - means.get(name, value)) / _STEPS_OF_A_MEAN
            case GeneratorScored(scores):
                self._scored.append(scores)
            case ImagesPrepared(_, done, total):
                self._images = (done, total) if done < total else None

    @override
    def line(self, event: Event) -> str | None:
        match event:
            case GeneratorAdvanced(stage, step, steps):
                if step < steps and time.monotonic() - self._said < _LINE_SECONDS:
                    return None
                self._said = time.monotonic()
                return f"{stage:<13}{self._state(stage)}{self._left(stage)}"
            case GeneratorScored(scores):
                return f"scored       {scores.source}: {100 * scores.as_asked:.1f} % classified as asked"
            case ImagesPrepared(data, done, total) if done == total:
                return f"prepared     {data}: {total:,} images"
            case _:
                return notice(event)

    @override
    def notice(self, event: Event) -> Text | None:
        return None if isinstance(event, GeneratorAdvanced | GeneratorScored) else _plain(notice(event))

    @override
    def head(self) -> Text:
        done = sum(each.step for each in self._newest.values())
        total = sum(map(self.training.steps, STAGES))
        elapsed = formatting.clock(time.monotonic() - self._started)
        return Text.from_markup(f"[bold]{done}/{total}[/] steps  {elapsed}")

    @override
    def rows(self) -> Iterator[tuple[RenderableType, ...]]:
        if self._images is not None:
            done, total = self._images
            yield "real images", bar(done, total), f"image {done}/{total}"
        for stage, newest in self._newest.items():
            yield stage, bar(newest.step, newest.steps), self._state(stage) + self._left(stage)
        for scores in self._scored:
            yield "scored", bar(1, 1), f"{scores.source}: {100 * scores.as_asked:.1f} % classified as asked"

    @override
    def going_on(self) -> Iterator[str]:
        if self._images is not None:
            yield "real images: {}/{}".format(*self._images)

    @override
    def summary(self) -> str | None:
        return None

    def seconds_left(self, stage: Stage) -> float:
        """Time to the end of a stage that has begun, at its own rate."""
        newest = self._newest[stage]
        return (newest.steps - newest.step) * newest.seconds / newest.step

    def _left(self, stage: Stage) -> str:
        left = formatting.left(self.seconds_left(stage))
        return f"{left} of this stage" if left else ""

    def _state(self, stage: Stage) -> str:
        newest = self._newest[stage]
        losses = ", ".join(f"{name} {value:.3g}" for name, value in self._losses[stage].items())
        return f"step {newest.step}/{newest.steps}  {losses}"


def scores_table(scores: Sequence[GeneratorScores], accuracies: Mapping[str, float]) -> Table:
    """The scores of a card, a row for what was scored; `accuracies` of the classifiers of real images, by stage."""
    table = Table(
        *("images", "classified as asked (%)", "classifier of them alone (%)", "precision", "recall"),
        *("recall by class", "Frechet distance"),
        title=f"Scores, by a network with {100 * accuracies['scorer']:.1f} % accuracy on the real test images",
        title_justify="left",
    )
    for each in scores:
        table.add_row(
            each.source,
            f"{100 * each.as_asked:.1f}",
            f"{100 * each.accuracy:.1f}",
            f"{each.precision:.2f}",
            f"{each.recall:.2f}",
            f"{min(each.recall_by_class):.2f} to {max(each.recall_by_class):.2f}",
            f"{each.frechet:.2f}",
        )
    return table


def _plain(text: str | None) -> Text | None:
    return None if text is None else Text(text, style="yellow")
