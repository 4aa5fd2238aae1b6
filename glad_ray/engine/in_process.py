"""Sweeps, single runs and searches in this process."""

from collections.abc import Callable, Mapping

from glad_ray.engine.budget import Budget
from glad_ray.engine.carry_out import Reached, carry_out, perform
from glad_ray.engine.checks import check_plan
from glad_ray.engine.jobs import Job, Outcome
from glad_ray.engine.local_executor import LocalContext, LocalExecutor
from glad_ray.engine.remaining import RemainingWork, raise_unless_recorded, remaining_work, show_begun
from glad_ray.engine.scheduler import Scheduler
from glad_ray.engine.search.policy import SearchPolicy
from glad_ray.engine.search.study import Study
from glad_ray.engine.shares import ShareTable
from glad_ray.engine.sweep_policy import SweepPolicy
from glad_ray.errors import StoppedError
from glad_ray.plan import Plan, write_plan
from glad_ray.progress.view import View
from glad_ray.run_evaluation import finish_run
from glad_ray.spec import GeneratorRecord
from glad_ray.storage import Storage
from glad_ray.stylegan.files import GeneratorFile


def run_in_process(plan: Plan, storage: Storage, *, device: str, view: View) -> str | None:
    """Run what is left of a plan on one device, and keep the plan beside it; a run that fails is recorded, and the
    others go on.

    Returns the budget that ended it before all was done, in words; None: none did. Raises `UserError` before anything
    is started if data is not there, or some network cannot be built; `RunError` if experts fail that are those of no
    run.
    """
    remaining = remaining_work(plan, storage)
    show_begun(plan, remaining, storage, view)
    files = check_plan(plan, remaining, device=device)
    write_plan(plan, storage)
    budget = _budget(plan, device)
    policy = SweepPolicy(remaining, plan.sweep, storage, view, finish_run)
    executor = _executor(_context(plan, remaining, files, storage, device, view))
    Scheduler(executor, policy, ShareTable(plan.sweep.resources), budget, view).run()
    raise_unless_recorded(plan.sweep, remaining.expert_sets, policy.experts.faults)
    return budget.spent if policy.unfinished else None


def distill_in_process(plan: Plan, storage: Storage, *, device: str, view: View) -> str | None:
    """Distil the one run of a plan, after the experts it needs, with as many threads as PyTorch takes.

    Returns what `run_in_process` does; raises what the run raises, and `UserError` before anything is started if the
    backbone cannot be built.
    """
    remaining = remaining_work(plan, storage)
    show_begun(plan, remaining, storage, view)
    files = check_plan(plan, remaining, device=device, evaluated=False)
    budget = _budget(plan, device)
    policy = SweepPolicy(remaining, plan.sweep, storage, view, finish=None)
    # Whoever waits for one run alone sees what it raises.
    executor = _executor(_context(plan, remaining, files, storage, device, view, all_cpus=True), _performed)
    try:
        Scheduler(executor, policy, ShareTable(plan.sweep.resources), budget, view).run()
    except StoppedError:
        return budget.spent
    return budget.spent if policy.unfinished else None


def search_in_process(
    study: Study,
    plan: Plan,
    remaining: RemainingWork,
    files: Mapping[GeneratorRecord, GeneratorFile],
    storage: Storage,
    *,
    device: str,
    view: View,
) -> str | None:
    """Distil and evaluate all that a study asks for; `plan` and `remaining` have runs that need what any of its runs
    needs, `files` the weights of their generators.

    Returns and raises what `run_in_process` does.
    """
    budget = _budget(plan, device)
    policy = SearchPolicy(study, plan, storage)
    executor = _executor(_context(plan, remaining, files, storage, device, view))
    Scheduler(executor, policy, ShareTable(plan.sweep.resources), budget, view).run()
    return None if study.finished else budget.spent


def _context(
    plan: Plan,
    remaining: RemainingWork,
    files: Mapping[GeneratorRecord, GeneratorFile],
    storage: Storage,
    device: str,
    view: View,
    all_cpus: bool = False,
) -> LocalContext:
    data = {key: key.load(view) for key in remaining.data}
    return LocalContext(plan.sweep, storage, device, data, files, all_cpus)


def _budget(plan: Plan, device: str) -> Budget:
    budget = Budget(plan.sweep.resources)
    budget.taken("this process", 0.0 if device == "cpu" else 1.0)
    return budget


def _executor(context: LocalContext, do: Callable[[Job, LocalContext], Outcome] = carry_out) -> LocalExecutor:
    return LocalExecutor(lambda job, on_event: do(job, context.telling(on_event)))


def _performed(job: Job, context: LocalContext) -> Outcome:
    return Outcome(perform(job, context, Reached()))
