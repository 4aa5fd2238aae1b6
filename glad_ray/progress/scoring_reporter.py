"""How far the scoring of a synthetic set is, in the words and rows of its views, and the table that it ends with."""

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from glad_ray.plan.cost import network_multiply_adds
from glad_ray.progress import formatting
from glad_ray.progress.events import Event, ImagesPrepared, NetworkFailed, Retried, SetTrained
from glad_ray.progress.sweep_reporter import notice
from glad_ray.progress.view import Reporter, bar
from glad_ray.results import Training
from glad_ray.spec import Evaluation, Network, dataset_facts
from glad_ray.spec.foreign_set import read_origin


def scoring_reporter(made_by: str, evaluation: Evaluation) -> "ScoringReporter":
    """The reporter of a set that is to be scored. `made_by`: the record of its run as JSON (`SyntheticSet.run`); raises
    `UserError` if that is damaged.
    """
    origin = read_origin(made_by)
    facts = dataset_facts(origin.dataset)
    weights = {each: network_multiply_adds(each, facts, origin.pixels) for each in evaluation.networks}
    return ScoringReporter(evaluation.networks, evaluation.repeats, weights)


class ScoringReporter(Reporter):
    """A `Reporter` of the networks that are trained on one set, with a line for every training.

    `multiply_adds` are those of each network, which weigh one against another until it has been trained; 0: not known.
    """

    def __init__(self, networks: Sequence[Network], repeats: int, multiply_adds: Mapping[Network, int]) -> None:
        self.networks, self.repeats = tuple(networks), repeats
        self.failed: dict[Network, str] = {}
        """one line for each network that failed"""
        self._multiply_adds = multiply_adds
        self._trained: dict[Network, dict[int, Training]] = {network: {} for network in networks}
        self._known = False
        """whether the training that was told of last had been told of before"""
        self._images: tuple[int, int] | None = None
        self._started = self._last = time.monotonic()

    @property
    def all_trainings(self) -> list[Training]:
        """In the order of their networks and repeats."""
        return [trained[repeat] for trained in self._trained.values() for repeat in sorted(trained)]

    @property
    def trainings(self) -> int:
        """Trainings that were made, earlier or now."""
        return sum(map(len, self._trained.values()))

    @override
    def add(self, event: Event) -> None:
        match event:
            case SetTrained(network, training):
                self._known = training.repeat in self._trained[network]
                self._trained[network][training.repeat] = training
                self._last = time.monotonic()
            case NetworkFailed(network, error):
                self.failed[network] = error
                self._last = time.monotonic()
            case ImagesPrepared(_, done, total):
                self._images = (done, total) if done < total else None

    @override
    def line(self, event: Event) -> str | None:
        match event:
            case SetTrained() if self._known:
                return None
            case SetTrained(network, training, earlier):
                done = f"{network.title} {len(self._trained[network])}/{self.repeats}: {100 * training.accuracy:.1f} %"
                return f"kept       {done}" if earlier else f"trained    {done}{formatting.left(self.seconds_left())}"
            case NetworkFailed(network, error):
                return f"failed     {network.title}: {error}"
            case ImagesPrepared(data, done, total) if done == total:
                return f"prepared   {data}: {total:,} images"
            case _:
                return notice(event)

    @override
    def notice(self, event: Event) -> Text | None:
        if not isinstance(event, NetworkFailed | Retried):
            return None
        return Text(self.line(event) or "", style="red" if isinstance(event, NetworkFailed) else "yellow")

    @override
    def head(self) -> Text:
        done = f"[bold]{self.trainings}/{len(self.networks) * self.repeats}[/] trainings"
        return Text.from_markup(
            f"{done}  {formatting.clock(time.monotonic() - self._started)}{formatting.left(self.seconds_left())}"
        )

    @override
    def rows(self) -> Iterator[tuple[RenderableType, ...]]:
        if self._images is not None:
            done, total = self._images
            yield "real images", bar(done, total), f"image {done}/{total}", ""
        for network, trained in self._trained.items():
            state = "failed" if network in self.failed else f"{len(trained)}/{self.repeats}"
            yield escape(network.title), bar(len(trained), self.repeats), state, _accuracy(trained)

    @override
    def going_on(self) -> Iterator[str]:
        if self._images is not None:
            yield "real images: {}/{}".format(*self._images)

    @override
    def summary(self) -> str | None:
        return None

    def table(self, title: str) -> Table:
        """The accuracy of every network that has trainings or failed: mean and standard deviation over its repeats."""
        table = Table("network", "accuracy (%)", "repeats", "seconds", title=escape(title))
        for network, trained in self._trained.items():
            if not trained and network not in self.failed:
                continue
            whole = len(trained) == self.repeats
            repeats = str(self.repeats) if whole else f"{len(trained)} of {self.repeats}"
            seconds = sum(training.seconds for training in trained.values())
            accuracy = _accuracy(trained) or "failed"
            table.add_row(escape(network.title), accuracy, repeats, f"{seconds:.0f}")
        return table

    def metrics_table(self) -> Table | None:
        """The mean of every metric over the repeats, by network; None: none was asked for."""
        trained = {network: list(made.values()) for network, made in self._trained.items() if made}
        names = dict.fromkeys(name for made in trained.values() for each in made for name in each.metrics)
        if not names:
            return None
        table = Table("metric", *(escape(network.title) for network in trained))
        for name in names:
            means = (statistics.fmean(each.metrics[name] for each in made) for made in trained.values())
            table.add_row(escape(name), *(f"{mean:.4g}" for mean in means))
        return table

    def seconds_left(self) -> float | None:
        """Time to the end at the rates of the trainings made, earlier or now; None: there are none to go by."""
        took = {n: statistics.fmean(t.seconds for t in made.values()) for n, made in self._trained.items() if made}
        if not took:
            return None
        missing = {n: self.repeats - len(made) for n, made in self._trained.items() if n not in self.failed}
        left = sum(number * self._expected(network, took) for network, number in missing.items() if number)
        return max(0.0, left - (time.monotonic() - self._last)) if left else None

    def _expected(self, network: Network, took: Mapping[Network, float]) -> float:
        """Seconds of one training: as it took, else as the operations of others tell, else as others took."""
        if network in took:
            return took[network]
        known = {each: self._multiply_adds[each] for each in took if self._multiply_adds[each]}
        if known and self._multiply_adds[network]:
            return self._multiply_adds[network] * sum(took[each] for each in known) / sum(known.values())
        return statistics.fmean(took.values())


def _accuracy(trained: Mapping[int, Training]) -> str:
    scores = [100 * training.accuracy for training in trained.values()]
    return f"{statistics.fmean(scores):.1f} ± {statistics.pstdev(scores):.1f}" if scores else ""
