"""The table of trials as CSV; accuracies in percent."""

from collections.abc import Sequence

from glad_ray.report.export import as_csv, in_percent
from glad_ray.report.search.parameters import Parameter
from glad_ray.results import SearchTrial
from glad_ray.spec.searches.search import Search


def trials_csv(search: Search, trials: Sequence[SearchTrial], parameters: Sequence[Parameter]) -> str:
    """A line per trial: what was drawn, what was seen, what it took; empty where a trial does not have something."""
    rungs = range(len(search.evaluated_rungs))
    networks = list(dict.fromkeys(key for trial in trials for key in trial.full))
    columns = (
        "number",
        "state",
        "control",
        "run_id",
        "space",
        *(f"parameter_{parameter.name}" for parameter in parameters),
        *(f"look_{rung + 1}_percent" for rung in rungs),
        *(f"objective_{objective}" for objective in search.objectives),
        *(f"full_{key}_percent" for key in networks),
        "full_percent",
        "seconds",
        "full_seconds",
        "error",
    )
    return as_csv(
        columns,
        (
            (
                trial.number,
                trial.state,
                "yes" if trial.control else "no",
                trial.run.run_id,
                trial.run.space,
                *(trial.parameters.get(parameter.name, "") for parameter in parameters),
                *(
                    in_percent(trial.rung_accuracies[rung]) if rung < len(trial.rung_accuracies) else ""
                    for rung in rungs
                ),
                *(trial.values or [""] * len(search.objectives)),
                *(in_percent(_mean(trial, key)) for key in networks),
                in_percent(trial.full_accuracy),
                f"{trial.seconds:.1f}",
                f"{trial.full_seconds:.1f}",
                trial.error or "",
            )
            for trial in trials
        ),
    )


def _mean(trial: SearchTrial, network: str) -> float | None:
    repeats = trial.full.get(network)
    return sum(repeats) / len(repeats) if repeats else None
