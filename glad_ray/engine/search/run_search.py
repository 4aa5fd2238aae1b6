"""A search from its first trial to its winner, on Ray or in this process."""

from typing import NamedTuple

from glad_ray.engine.checks import CheckedPlan, check_plan
from glad_ray.engine.in_process import search_in_process
from glad_ray.engine.remaining import RemainingWork
from glad_ray.engine.search.study import Study
from glad_ray.engine.search.study_storage import told_in_a_sentence
from glad_ray.plan import Plan, make_plan, plan_search
from glad_ray.progress.events import PointReached
from glad_ray.progress.view import View
from glad_ray.results import RefusedDraw, SearchTrial, write_search
from glad_ray.spec import Run, Sweep
from glad_ray.spec.searches.check import check_search
from glad_ray.spec.searches.search import Search
from glad_ray.storage import Storage


class Found(NamedTuple):
    """What a search came to."""

    winner: SearchTrial | None
    """the best of those evaluated in full; None: there is none, or none yet"""
    budget: str | None
    """which ended it before it had a winner, in words"""
    others: int
    """trials under way that other drivers began; the one that ends last evaluates in full"""
    begun: int
    """trials, of all drivers"""
    asked: int
    """trials that were to be begun"""
    refused: tuple[RefusedDraw, ...]
    """draws of which no run can be made, in whose place the search drew again"""


def run_search(
    search: Search,
    storage: Storage,
    *,
    where: str | None,
    alone: bool,
    address: str | None,
    device: str | None,
    view: View,
) -> Found:
    """Evaluate trials at rungs until the study has all it wants, then the best in full; resumes an earlier call.

    `where`: the study, a file or a database's URL; None: a journal beside the results. `alone`: trials of other drivers
    that are under way are lost. `device`: of this process, one after another; None: on Ray, at `address`. Raises
    `UserError` before anything is started if the search or the study cannot be used.
    """
    check_search(search)
    plan = plan_search(search, storage)
    remaining = RemainingWork((), plan.runs, (), plan.expert_sets, ())
    checked = check_plan(plan, remaining, device=device)
    view.show(PointReached("checks"))
    with view, told_in_a_sentence():
        study = Study(search, storage, where, alone, view.show)
        write_search(storage, search)
        try:
            budget = _run(study, checked, storage, address, device, view)
        finally:
            study.write()
    return Found(study.winner, budget, study.others, len(study.rows()), study.asked, tuple(study.refused()))


def plan_winner(search: Search, winner: Run) -> Plan:
    """The winner with fresh seeds, to be tested."""
    return make_plan(
        Sweep(
            name=search.name,
            runs=search.winner_runs(winner),
            evaluations=(search.evaluation,),
            resources=search.resources,
            description=search.description,
        )
    )


def _run(
    study: Study, checked: CheckedPlan, storage: Storage, address: str | None, device: str | None, view: View
) -> str | None:
    if device is None:
        # A search in this process goes without Ray.
        from glad_ray.engine.on_ray.run import search_on_ray

        return search_on_ray(study, checked, storage, address=address, view=view)
    return search_in_process(study, checked, storage, device=device, view=view)
