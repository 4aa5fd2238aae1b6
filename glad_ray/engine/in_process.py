"""Sweeps, single runs and searches in this process."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from glad_ray.engine.budget import Budget
from glad_ray.engine.carry_out import Reached, carry_out, perform
from glad_ray.engine.checks import CheckedPlan, check_plan
from glad_ray.engine.jobs import Job, Outcome
from glad_ray.engine.local_executor import LocalContext, LocalExecutor
from glad_ray.engine.remaining import raise_unless_recorded, remaining_work, show_begun
from glad_ray.engine.scheduler import Policy, Scheduler
from glad_ray.engine.shares import ShareTable
from glad_ray.engine.sweep_policy import SweepPolicy
from glad_ray.errors import StoppedError
from glad_ray.plan import Plan, write_plan
from glad_ray.progress.events import PointReached
from glad_ray.progress.faults import Fault
from glad_ray.progress.view import View
from glad_ray.run_evaluation import finish_run
from glad_ray.storage import Storage

if TYPE_CHECKING:
    from glad_ray.engine.search.study import Study


def run_in_process(plan: Plan, storage: Storage, *, device: str, view: View) -> str | None:
    """Run what is left of a plan on one device, and keep the plan beside it; a run that fails is recorded, and the
    others go on.

    Returns the budget that ended it before all was done, in words; None: none did. Raises `UserError` before anything
    is started if data is not there, or some network cannot be built; `RunError` if experts fail that are those of no
    run.
    """
    checked = _checked(plan, storage, device, view)
    write_plan(plan, storage)
    policy = SweepPolicy(checked.remaining, plan.sweep, storage, view, finish_run)
    spent = _schedule(policy, checked, storage, device, view)
    raise_unless_recorded(plan.sweep, checked.remaining.expert_sets, policy.experts.faults)
    return spent if policy.unfinished else None


def distill_in_process(plan: Plan, storage: Storage, *, device: str, view: View) -> str | None:
    """Distil the one run of a plan, after the experts it needs, with as many threads as PyTorch takes.

    Returns what `run_in_process` does; raises what the run raises, and `UserError` before anything is started if the
    backbone cannot be built.
    """
    checked = _checked(plan, storage, device, view, evaluated=False)
    policy = SweepPolicy(checked.remaining, plan.sweep, storage, view, finish=None)
    # Whoever waits for one run alone sees what it raises.
    spent = _schedule(policy, checked, storage, device, view, _performed, all_cpus=True)
    return spent if policy.unfinished else None


def search_in_process(study: "Study", checked: CheckedPlan, storage: Storage, *, device: str, view: View) -> str | None:
    """Distil and evaluate all that a study asks for.

    Returns and raises what `run_in_process` does.
    """
    # A sweep needs neither Optuna nor what keeps its studies.
    from glad_ray.engine.search.policy import SearchPolicy

    spent = _schedule(SearchPolicy(study, checked.plan, storage), checked, storage, device, view)
    return None if study.finished else spent


def _checked(plan: Plan, storage: Storage, device: str, view: View, *, evaluated: bool = True) -> CheckedPlan:
    """What is left of a plan; it is shown first, and then checked."""
    remaining = remaining_work(plan, storage)
    show_begun(plan, remaining, storage, view)
    checked = check_plan(plan, remaining, device=device, evaluated=evaluated)
    if remaining.data:
        view.show(PointReached("checks"))
    return checked


def _schedule(
    policy: Policy,
    checked: CheckedPlan,
    storage: Storage,
    device: str,
    view: View,
    do: Callable[[Job, LocalContext], Outcome] = carry_out,
    *,
    all_cpus: bool = False,
) -> str | None:
    """Bring a policy to its end, or to that of its budget, which is returned in words."""
    sweep = checked.plan.sweep
    budget = Budget(sweep.resources)
    budget.taken("this process", 0.0 if device == "cpu" else 1.0)
    data = {key: key.load(view) for key in checked.remaining.data}
    if data:
        view.show(PointReached("images"))
    context = LocalContext(sweep, storage, device, data, checked.files, all_cpus)
    executor = LocalExecutor(lambda job, on_event: do(job, context.telling(on_event)))
    Scheduler(executor, policy, ShareTable(sweep.resources), budget, view).run()
    return budget.spent


def _performed(job: Job, context: LocalContext) -> Outcome:
    """Do a job as `carry_out` does, but raise what goes wrong."""
    reached = Reached()
    try:
        return Outcome(perform(job, context, reached))
    except StoppedError as error:
        return Outcome(fault=Fault.of(error), step=reached.step)
