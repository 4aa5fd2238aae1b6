"""`report/search.html`: everything a search tells, at any moment of it, on one page that needs nothing but itself."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from markupsafe import Markup

from glad_ray.errors import UserError
from glad_ray.report import wording
from glad_ray.report.pictures import Picture
from glad_ray.report.rendering import render
from glad_ray.report.search.agreement import FEWEST, Agreement, agreements
from glad_ray.report.search.best import in_full, on_test_images, ranked
from glad_ray.report.search.export import trials_csv
from glad_ray.report.search.figures import (
    accuracy_by_layer,
    history,
    importance_bars,
    objective_values,
    objectives_figure,
    rung_scatter,
)
from glad_ray.report.search.front import front
from glad_ray.report.search.images import newest_images
from glad_ray.report.search.importance import FEWEST as FEWEST_TRIALS
from glad_ray.report.search.importance import importance
from glad_ray.report.search.layers import Layer, by_generator
from glad_ray.report.search.parallel import parallel_coordinates
from glad_ray.report.search.parameters import choice_names, parameters, ranges, shown
from glad_ray.results import SearchTrial, best_in_full, read_refused_draws, read_results, read_search, read_trials
from glad_ray.results.parquet import Tell, read_or_tell
from glad_ray.spec.searches.search import Rung, Search
from glad_ray.spec.written.code import as_code, import_line
from glad_ray.storage import Storage

_PICTURED = 4


def write_search_report(storage: Storage) -> str:
    """Write the page and its table of trials as CSV, from what is on storage alone; returns the page's path on storage.

    Raises `DataError` naming a file of the search itself that is missing or damaged, `UserError` if the page cannot be
    written. Of damaged files of a run the page tells, and shows the rest.
    """
    search, trials = read_search(storage), read_trials(storage)
    page = render("search.html.j2", _context(storage, search, trials))
    try:
        table = trials_csv(search, trials, parameters(search, trials))
        storage.write_bytes(storage.REPORT_SEARCH_TRIALS, table.encode("utf-8", "backslashreplace"))
        storage.write_bytes(storage.REPORT_SEARCH, page.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UserError(f"The report cannot be written to {storage}/report: {error.strerror or error}.") from error
    return storage.REPORT_SEARCH


@dataclass(frozen=True, kw_only=True)
class _Spent:
    """What trials that ended alike took."""

    fate: str
    trials: int
    seconds: float


def _context(storage: Storage, search: Search, trials: Sequence[SearchTrial]) -> dict[str, Any]:
    drawn, order, found = parameters(search, trials), ranked(trials), importance(trials, parameters(search, trials))
    compared = agreements(trials, len(search.evaluated_rungs))
    seen = bool(order)
    problems: list[str] = []
    return {
        "search": search,
        "trials": trials,
        "refused": read_refused_draws(storage),
        "algorithms": _algorithms(search),
        "ranges": ranges(search),
        "rungs": [_rung(search, number, rung) for number, rung in enumerate(search.evaluated_rungs, 1)],
        "states": Counter(trial.state for trial in trials),
        "spent": _spent(trials),
        "seconds": sum(trial.seconds + trial.full_seconds for trial in trials),
        "parameters": drawn,
        "shown": shown,
        "best": order[0] if order else None,
        **_of_the_best(storage, search, order, problems.append),
        "layers": _layers(trials, len(search.evaluated_rungs)),
        "importance": found,
        "importance_figure": Markup(importance_bars(found, "importance")) if found else None,
        "fewest_trials": FEWEST_TRIALS,
        "history": Markup(history(trials, "history")) if seen else None,
        "parallel": Markup(parallel_coordinates(trials, drawn, "parallel")) if seen and drawn else None,
        "agreements": compared,
        "fewest_pairs": FEWEST,
        "scatters": _scatters(compared),
        "front": front(trials, search.objectives) if len(search.objectives) > 1 else [],
        "front_figure": _front_figure(search, trials),
        "objective_values": objective_values,
        "pictures": _pictures(storage, order, problems.append),
        "problems": problems,
    }


def _of_the_best(storage: Storage, search: Search, order: Sequence[SearchTrial], tell: Tell) -> dict[str, Any]:
    """The best trial's run as code, and its test if it is the winner."""
    best, first = best_in_full(order), order[0] if order else None
    code = as_code(first.run) if first else ""
    return {
        "winner": best,
        "full": in_full(best) if best else [],
        "evaluated": sum(bool(trial.full) for trial in order),
        "code": f"{import_line(code)}\n\nrun = {code}" if first else "",
        "unseen": [network.key for network in search.evaluation.unseen_by(first.run)] if first else [],
        "tested": on_test_images(search, best, read_results(storage, tell).to_pylist()) if best else None,
    }


def _algorithms(search: Search) -> str:
    if "algorithm" not in search.vary:
        return wording.algorithm_title(search.base.algorithm.name)
    return wording.listed(choice_names(getattr(search.vary["algorithm"], "values", ())))


def _rung(search: Search, number: int, rung: Rung) -> str:
    """`rung 1 after 10 % of the steps: 1 unseen network, 1 repeat, 100 epochs`."""
    trained = [wording.counted(rung.networks, "unseen network"), wording.counted(rung.repeats, "repeat")]
    return f"rung {number} after {100 * rung.share:g} % of the steps: {', '.join(trained)}, {rung.epochs:,} epochs"


def _spent(trials: Sequence[SearchTrial]) -> list[_Spent]:
    """What was spent, by how far it came; the kinds that there are."""
    furthest = max((len(trial.rung_accuracies) for trial in trials), default=0)
    fates = [f"stopped after rung {number}" for number in range(furthest + 1)]
    seconds: dict[str, list[float]] = {fate: [] for fate in (*fates, "complete", "failed", "under way")}
    for trial in trials:
        fate = {"stopped": f"stopped after rung {len(trial.rung_accuracies)}", "running": "under way"}
        seconds[fate.get(trial.state, trial.state)].append(trial.seconds)
    spent = [_Spent(fate=fate, trials=len(took), seconds=sum(took)) for fate, took in seconds.items() if took]
    full = [trial.full_seconds for trial in trials if trial.full]
    return [*spent, _Spent(fate="of these, in full", trials=len(full), seconds=sum(full))] if full else spent


def _layers(trials: Sequence[SearchTrial], rungs: int) -> list[tuple[str, tuple[Layer, ...], Markup]]:
    return [
        (generator, layers, Markup(accuracy_by_layer(layers, f"layers-{number}")))
        for number, (generator, layers) in enumerate(by_generator(trials, rungs), 1)
    ]


def _scatters(compared: Sequence[Agreement]) -> list[Markup]:
    return [
        Markup(rung_scatter(each, f"rung-{each.rung + 1}")) for each in compared if each.later == "full" and each.pairs
    ]


def _front_figure(search: Search, trials: Sequence[SearchTrial]) -> Markup | None:
    if len(search.objectives) < 2 or not front(trials, search.objectives):
        return None
    return Markup(objectives_figure(trials, search.objectives, "objectives"))


def _pictures(storage: Storage, order: Sequence[SearchTrial], tell: Tell) -> list[tuple[SearchTrial, Picture, int]]:
    """The newest images of the best trials that have any, with the step that they are of."""
    found = [(trial, read_or_tell(partial(newest_images, storage, trial), tell)) for trial in order[:_PICTURED]]
    return [(trial, *images) for trial, images in found if images is not None]
