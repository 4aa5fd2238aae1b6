"""One run that cannot be shown costs a report that run alone."""

from collections.abc import Callable

from glad_ray.report.report_data import Found


def without_odd_runs(found: Found, make: Callable[[Found], object]) -> Found:
    """What was found without the runs that break what is made of it, which become problems to tell; raises what breaks
    it if that is no run.
    """
    problems: list[str] = []
    make(found.only([]))

    def sound(run_ids: list[str], beside: list[str]) -> list[str]:
        """Those that can be shown beside others, found by halving."""
        try:
            make(found.only({*beside, *run_ids}))
        except Exception as error:
            if len(run_ids) == 1:
                reason = f"{type(error).__name__}: {error}"
                problems.append(f"Run {run_ids[0]} is left out, for it cannot be shown ({reason}).")
                return []
            half = len(run_ids) // 2
            first = sound(run_ids[:half], beside)
            return first + sound(run_ids[half:], beside + first)
        return run_ids

    return found.only(sound(found.run_ids, []), problems)
