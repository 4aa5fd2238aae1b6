"""`--set key=value`: one field changed in every run of a sweep, or its evaluations or resources; `--only key=value`."""

import json
from collections.abc import Sequence
from typing import Any

from glad_ray.errors import UserError, unknown
from glad_ray.spec.experts import ExpertSet
from glad_ray.spec.generator_training import GeneratorTraining
from glad_ray.spec.record import R, Record, field_paths, replace_at, value_at
from glad_ray.spec.resources import Resources, field_of_today
from glad_ray.spec.run import Run
from glad_ray.spec.searches.search import Search
from glad_ray.spec.sweep import Sweep

_RUN_ID = "run_id"
"""what `--only` and `--first` also know of a run: it is no field of it"""


def parse_assignment(text: str, option: str = "--set") -> tuple[str, Any]:
    """`algorithm.iterations=20` as a key and a value; values are JSON where they can be read as it, else text."""
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise UserError(f"{option} takes key=value, for example algorithm.iterations=20; {text!r} is not of that form.")
    if key.strip() == _RUN_ID:
        # Twelve digits, some of which read as a number.
        return _RUN_ID, value.strip()
    try:
        return _of_today(key.strip()), json.loads(value)
    except json.JSONDecodeError:
        return _of_today(key.strip()), None if value.lower() == "none" else value


def _of_today(key: str) -> str:
    record, _, path = key.partition(".")
    return f"{record}.{field_of_today(path)}" if record == "resources" else key


def override(records: Sequence[R], key: str, value: Any, also: Sequence[str] = ()) -> tuple[R, ...]:
    """Every record that has the field `key` with it changed; raises `UserError` if none of them has it."""
    having = [key in set(field_paths(record)) for record in records]
    if not any(having):
        known = sorted({path for record in records for path in field_paths(record)} | set(also))
        raise unknown("key", key, known)
    return tuple(replace_at(record, key, value) if has else record for record, has in zip(records, having, strict=True))


def override_sweep(sweep: Sweep, assignments: Sequence[str]) -> Sweep:
    """The sweep with `key=value` applied: to every run, to every evaluation (`evaluation.<field>`), or to
    `resources.<field>`.
    """
    of_evaluation, of_resources = "evaluation.", "resources."
    shared = [of_evaluation + path for evaluation in sweep.evaluations for path in field_paths(evaluation)]
    shared += [of_resources + path for path in field_paths(sweep.resources)]
    for key, value in map(parse_assignment, assignments):
        if key.startswith(of_evaluation) and key in shared:
            changed = override(sweep.evaluations, key.removeprefix(of_evaluation), value)
            # What made two evaluations different may be what was set.
            sweep = sweep.replace(evaluations=tuple({each.content_id: each for each in changed}.values()))
        elif key in shared:
            sweep = sweep.replace(resources=replace_at(sweep.resources, key.removeprefix(of_resources), value))
        else:
            sweep = sweep.replace(runs=override(sweep.runs, key, value, also=shared))
    return sweep


def override_search(search: Search, assignments: Sequence[str]) -> Search:
    """A search with `key=value` applied: to a field of its own (`trials`, `evaluation.epochs`, `resources.trial.gpus`),
    or of the run that varies.
    """
    of_run = "base."
    for key, value in map(parse_assignment, assignments):
        own = set(field_paths(search))
        path = of_run + key if key not in own and of_run + key in own else key
        known = {name.removeprefix(of_run) for name in own}
        if path not in own:
            raise unknown("key", key, sorted(known))
        search = replace_at(search, path, value)
    return search


def override_experts(expert_set: ExpertSet, assignments: Sequence[str]) -> tuple[ExpertSet, Resources]:
    """A set of experts with `key=value` applied to it, and what `resources.<field>` is to be while it is trained."""
    resources, of_resources = Resources(), "resources."
    shared = [of_resources + path for path in field_paths(resources)]
    for key, value in map(parse_assignment, assignments):
        if key in shared:
            resources = replace_at(resources, key.removeprefix(of_resources), value)
        else:
            (expert_set,) = override((expert_set,), key, value, also=shared)
    return expert_set, resources


def override_training(training: GeneratorTraining, assignments: Sequence[str]) -> GeneratorTraining:
    """The training of a generator with `key=value` applied to it."""
    for key, value in map(parse_assignment, assignments):
        (training,) = override((training,), key, value)
    return training


def _is(value: Any, wanted: Any) -> bool:
    """Whether a field has the value that a condition asks for: `none` is None, or the word where that is a value; of a
    record, its name is enough.
    """
    return wanted in (value, _name(value)) or (wanted is None and value == "none")


def _name(value: Any) -> Any:
    """The name of a record that has one, another value itself."""
    return getattr(value, "name", value) if isinstance(value, Record) else value


def rank(run: Run, conditions: Sequence[str]) -> int:
    """Which of the conditions `key=value` a run meets, the first one; their number if it meets none."""
    paths = _known_of(run)
    met = (key in paths and _is(_value_of(run, key), value) for key, value in map(parse_assignment, conditions))
    return next((number for number, meets in enumerate(met) if meets), len(conditions))


def _known_of(run: Run) -> set[str]:
    """The keys of conditions on a run: the paths of its fields, and its id."""
    return {*field_paths(run), _RUN_ID}


def _value_of(run: Run, key: str) -> Any:
    return run.run_id if key == _RUN_ID else value_at(run, key)


def _parsed_conditions(runs: Sequence[Run], conditions: Sequence[str], option: str) -> list[tuple[str, Any]]:
    """Keys and values; raises `UserError` if a condition is of another form, or no run has such a field."""
    known = {path for run in runs for path in _known_of(run)}
    pairs = [parse_assignment(condition, option) for condition in conditions]
    for key, _ in pairs:
        if key not in known:
            raise unknown("key", key, sorted(known))
    return pairs


def first(sweep: Sweep, conditions: Sequence[str]) -> Sweep:
    """The sweep with runs that meet these conditions before those that the file itself puts first.

    Raises `UserError` if a condition is of another form than `key=value`, or its key no field of any run.
    """
    _parsed_conditions(sweep.runs, conditions, "--first")
    _parsed_conditions(sweep.runs, sweep.first, "first")
    return sweep.replace(first=(*conditions, *sweep.first))


def only(sweep: Sweep, conditions: Sequence[str]) -> Sweep:
    """The sweep with those of its runs that have `key=value`: for every key that is named, one of the values named.

    Raises `UserError` if a key is no field of any run or no run is left.
    """
    return sweep.replace(runs=runs_with(sweep.runs, conditions, f"the runs of {sweep.name}"))


def runs_with(runs: Sequence[Run], conditions: Sequence[str], whose: str) -> tuple[Run, ...]:
    """Those runs that have `key=value`, as `only`; `whose` names all of them in the errors that are raised."""
    allowed: dict[str, list[Any]] = {}
    for key, value in _parsed_conditions(runs, conditions, "--only"):
        allowed.setdefault(key, []).append(value)
    left = tuple(runs)
    for key, values in allowed.items():
        having = [(run, _value_of(run, key)) for run in left if key in _known_of(run)]
        left = tuple(run for run, value in having if any(_is(value, wanted) for wanted in values))
        if not left:
            there = ", ".join(dict.fromkeys(str(_name(value)) for _, value in having))
            raise UserError(f"--only leaves no run: {key} is {there} in {whose}.")
    return left
