"""The addresses of the page, and what each answers."""

import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any, get_args

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from glad_ray.errors import GladRayError
from glad_ray.progress.status import State
from glad_ray.progress.status_tables import driver_words
from glad_ray.report.tables.accuracy import SELECTIONS
from glad_ray.results import best_in_full
from glad_ray.serve import views
from glad_ray.serve.access import Access, Guard
from glad_ray.serve.figures import Figures, large_panel, read_curve
from glad_ray.serve.pages import render
from glad_ray.serve.pictures import final_picture, picture_at
from glad_ray.serve.watch import REFRESH_SECONDS, WRITTEN_REPORTS, Snapshot, Watch
from glad_ray.spec import Run
from glad_ray.storage import Storage

_REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
_IDLE_SECONDS = 20.0
_OVERVIEW_ROWS, _OVERVIEW_TABLES = 20, 2
_TRIALS_A_PAGE = 100


class Place:
    """A storage that the server shows."""

    def __init__(self, number: int, watch: Watch) -> None:
        self.number, self.watch, self.storage = number, watch, watch.storage
        self.figures = Figures()


def make_app(watches: Sequence[Watch], access: Access) -> Starlette:
    """What answers requests about some storages, which are being read."""
    places = {str(number): Place(number, watch) for number, watch in enumerate(watches, 1)}
    pages = _Pages(places)

    def route(path: str, answer: Callable[[Request, Place], Response]) -> Route:
        def of_place(request: Request) -> Response:
            place = places.get(request.path_params["place"])
            if place is None:
                raise HTTPException(404, "There is no such storage.")
            try:
                return answer(request, place)
            except GladRayError as error:
                raise HTTPException(404, str(error)) from error

        return Route(path, of_place)

    app = Starlette(
        routes=[
            Route("/", pages.index),
            Route("/static/{name}", _static),
            route("/{place}", lambda request, place: RedirectResponse(f"./{place.number}/")),
            route("/{place}/", pages.overview),
            route("/{place}/runs", pages.runs),
            route("/{place}/trials", pages.trials),
            route("/{place}/results", pages.results),
            route("/{place}/losses", pages.losses),
            route("/{place}/failures", pages.failures),
            route("/{place}/report/{kind}", pages.report),
            route("/{place}/runs/{run_id}", pages.run),
            route("/{place}/runs/{run_id}/images.png", pages.images),
            route("/{place}/runs/{run_id}/step-{step:int}.png", pages.images_at),
        ],
        middleware=[Middleware(Guard, access=access), Middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)],
        exception_handlers={HTTPException: _refuse, 500: _broke},
    )
    # It would send on to an address that is made of the Host header.
    app.router.redirect_slashes = False
    return app


class _Pages:
    """The pages, made of what was read last."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self.places = places

    def index(self, request: Request) -> Response:
        """All storages; of a single one its own page."""
        if len(self.places) == 1:
            return RedirectResponse("1/")
        shown = [(place, snapshot, views.phase(snapshot)) for place, snapshot in self._snapshots()]
        running = any(phase == "running" for _, _, phase in shown)
        context = {
            "shown": [(*each, _bar(each[1])) for each in shown],
            "at": max(snapshot.at for _, snapshot, _ in shown),
            "refresh": REFRESH_SECONDS if running else _IDLE_SECONDS,
        }
        return _page(request, "index.html.j2", context)

    def overview(self, request: Request, place: Place) -> Response:
        """What a sweep or search does, in short."""
        snapshot = place.watch.snapshot()
        results = place.watch.results.of(SELECTIONS[0])
        cards, under_way = views.cards(snapshot, place.storage, place.figures)
        tables = []
        if results is not None:
            numbers = range(min(len(results.sections), _OVERVIEW_TABLES))
            tables = [views.table_view(results, number, 1, _OVERVIEW_ROWS, place.figures) for number in numbers]
        context = {
            "experts": views.experts(snapshot),
            "cards": cards,
            "under_way": under_way,
            "failures": views.failures(snapshot)[: views.LATEST_FAILURES],
            "results": results,
            "tables": tables,
            "pictures": views.latest_pictures(snapshot),
            "winner": None if snapshot.search is None else best_in_full(snapshot.search.trials),
        }
        return self._page(request, place, snapshot, "overview", context)

    def runs(self, request: Request, place: Place) -> Response:
        """Runs of the sweep, those in a state or with some words alone."""
        snapshot = place.watch.snapshot()
        state, words = request.query_params.get("state", ""), request.query_params.get("words", "")[:200]
        state = state if state in get_args(State) else ""
        found = views.filtered(snapshot, state, words)
        context = {
            "part": views.Part.of(found, _number(request), views.RUNS_A_PAGE),
            "state": state,
            "words": words,
            "fields": {"state": state, "words": words},
            "states": views.BAR_ORDER,
            "accuracies": views.headlines(snapshot, place.watch.results.of(SELECTIONS[0])),
        }
        return self._page(request, place, snapshot, "runs", context)

    def trials(self, request: Request, place: Place) -> Response:
        """Trials of the search, and what was drawn and made no run."""
        snapshot = place.watch.snapshot()
        trials = () if snapshot.search is None else snapshot.search.trials
        context = {
            "part": views.Part.of(trials, _number(request), _TRIALS_A_PAGE),
            "fields": {},
            "winner": best_in_full(trials),
            "rungs": 0 if snapshot.search is None else len(snapshot.search.search.evaluated_rungs),
        }
        return self._page(request, place, snapshot, "trials", context)

    def results(self, request: Request, place: Place) -> Response:
        """Accuracies of one section under one selection."""
        snapshot = place.watch.snapshot()
        asked = request.query_params.get("selection", "")
        selection = next((each for each in SELECTIONS if each == asked), SELECTIONS[0])
        results, table, section = place.watch.results.of(selection), None, 1
        if results is not None and results.sections:
            section = min(max(_number(request, "section"), 1), len(results.sections))
            table = views.table_view(results, section - 1, _number(request), views.ROWS_A_PAGE, place.figures)
        context = {
            "results": results,
            "table": table,
            "section": section,
            "fields": {"selection": "" if results is None else results.selection, "section": section},
        }
        return self._page(request, place, snapshot, "results", context)

    def losses(self, request: Request, place: Place) -> Response:
        """Losses of runs that are distilled or being distilled, a figure for each algorithm and space."""
        snapshot = place.watch.snapshot()
        part = views.Part.of(views.loss_groups(snapshot), _number(request), views.PANELS_A_PAGE)
        drawn = views.panels(place.storage, [group.shown for group in part.items], place.figures)
        context = {"part": part, "panels": list(zip(part.items, drawn, strict=True)), "fields": {}}
        return self._page(request, place, snapshot, "losses", context)

    def failures(self, request: Request, place: Place) -> Response:
        """Why runs failed."""
        snapshot = place.watch.snapshot()
        part = views.Part.of(views.failures(snapshot), _number(request), views.FAILURES_A_PAGE)
        return self._page(request, place, snapshot, "failures", {"part": part, "fields": {}})

    def run(self, request: Request, place: Place) -> Response:
        """All that is known of a run."""
        snapshot = place.watch.snapshot()
        run = _run(request, snapshot)
        status = snapshot.statuses.get(run.run_id)
        curve = None if status is None else read_curve(place.storage, status)
        figure = None
        if curve is not None:
            figure = place.figures.draw(
                ("run", run.run_id, len(curve.losses)),
                lambda: large_panel(curve, run.steps, run.algorithm.name, "loss", "Matching loss by step"),
            )
        trainings = 0
        if snapshot.status is not None and status is not None:
            trainings = snapshot.status.sweep_progress.trainings_of(run)
        context = {
            "run": run,
            "status": status,
            "trial": snapshot.trials.get(run.run_id),
            "trainings": trainings,
            "curve": curve,
            "figure": figure,
            "scored": place.watch.results.of_run(run.run_id),
            "kept": _kept_steps(place.storage, run),
            "ledger": [] if status is None else sorted(status.entries.items(), key=lambda named: named[1].at),
            "record": run.model_dump_json(indent=1),
        }
        return self._page(request, place, snapshot, "run", context)

    def images(self, request: Request, place: Place) -> Response:
        """The picture that a run wrote after its last step."""
        run = _run(request, place.watch.snapshot())
        return _with_tag(request, final_picture(place.storage, run), "image/png")

    def images_at(self, request: Request, place: Place) -> Response:
        """The images of a run at a kept step."""
        run, step = _run(request, place.watch.snapshot()), request.path_params["step"]
        if step not in run.snapshot_steps:
            raise HTTPException(404, "The images of this step are not kept.")
        return _with_tag(request, picture_at(place.storage, run, step), "image/png")

    def report(self, request: Request, place: Place) -> Response:
        """A report as it was written last, in a sandbox: whoever wrote the storage may have written anything there."""
        path = WRITTEN_REPORTS.get(request.path_params["kind"])
        if path is None:
            raise HTTPException(404, "There is no such report.")
        answer = _with_tag(request, place.storage.read_bytes(path), "text/html; charset=utf-8")
        answer.headers["Content-Security-Policy"] = _REPORT_POLICY
        return answer

    def _snapshots(self) -> list[tuple[Place, Snapshot]]:
        return [(place, place.watch.snapshot()) for place in self.places.values()]

    def _page(
        self, request: Request, place: Place, snapshot: Snapshot, name: str, context: Mapping[str, Any]
    ) -> Response:
        phase = views.phase(snapshot)
        kind = "sweep" if snapshot.search is None else "search"
        common = {
            "place": place,
            "several": len(self.places) > 1,
            "snapshot": snapshot,
            "status": snapshot.status,
            "search": snapshot.search,
            "at": snapshot.at,
            "phase": phase,
            "driver": "" if snapshot.driver is None else driver_words(snapshot.driver, snapshot.at, kind),
            "bar": _bar(snapshot),
            "page": name,
            "failed_runs": 0 if snapshot.status is None else snapshot.status.counts.get("failed", 0),
            "refresh": REFRESH_SECONDS if phase == "running" else _IDLE_SECONDS,
        }
        return _page(request, f"{name}.html.j2", common | dict(context))


def _bar(snapshot: Snapshot) -> list[views.Bar]:
    if snapshot.status is not None:
        return views.bars(snapshot.status.counts, views.BAR_ORDER)
    return [] if snapshot.search is None else views.bars(snapshot.search.counts, views.TRIAL_ORDER)


def _page(request: Request, template: str, context: Mapping[str, Any]) -> Response:
    """A page with links that are relative, so that it works behind a proxy that puts it below another path."""
    base = "../" * (request.scope["path"].count("/") - 1) or "./"
    return _with_tag(request, render(template, {**context, "base": base}), "text/html; charset=utf-8")


def _with_tag(request: Request, content: bytes, kind: str) -> Response:
    """An answer that a browser need not take twice."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"ETag": tag})
    return Response(content, media_type=kind, headers={"ETag": tag})


def _run(request: Request, snapshot: Snapshot) -> Run:
    """The run that an address names: no other text of it reaches the storage."""
    run = snapshot.runs.get(request.path_params["run_id"])
    if run is None:
        raise HTTPException(404, "There is no such run.")
    return run


def _kept_steps(storage: Storage, run: Run) -> list[int]:
    """Steps whose sets are there."""
    there = set(storage.list(storage.set_folder(run.run_id)))
    return [step for step in run.snapshot_steps if storage.set_path(run.run_id, step) in there]


def _number(request: Request, name: str = "page") -> int:
    with contextlib.suppress(ValueError):
        return int(request.query_params.get(name, "1")[:9])
    return 1


def _static(request: Request) -> Response:
    match request.path_params["name"]:
        case "page.css":
            return _with_tag(request, render("page.css", {}), "text/css; charset=utf-8")
        case "live.js":
            script = files("glad_ray.serve").joinpath("static", "live.js").read_bytes()
            return _with_tag(request, script, "text/javascript; charset=utf-8")
    raise HTTPException(404, "There is no such file.")


def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return PlainTextResponse(error.detail.encode("utf-8", "backslashreplace").decode(), error.status_code)


def _broke(request: Request, error: Exception) -> Response:
    return PlainTextResponse("This page could not be made; the terminal of glad-ray serve says why.", 500)
