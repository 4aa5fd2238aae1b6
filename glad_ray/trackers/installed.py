"""Whether the packages of trackers are there: looked for, and not imported."""

import importlib.util
from collections.abc import Iterable

from glad_ray.errors import UserError
from glad_ray.spec.trackers import parse_tracker


def check_trackers(trackers: Iterable[str]) -> None:
    """Raise `UserError` if a tracker is not known, or its package is not installed."""
    for text in trackers:
        name = parse_tracker(text).name
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f"The tracker {name} needs its package, which is not installed: pip install 'glad-ray[{name}]'."
            )
