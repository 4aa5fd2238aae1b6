"""Whether trackers can be used here; their packages are looked for, and not imported."""

import importlib.util
import os
from collections.abc import Iterable

from glad_ray.errors import UserError
from glad_ray.spec.trackers import parse_tracker

_SERVERS_OF_TRACKIO = ("TRACKIO_SERVER_URL", "TRACKIO_SPACE_ID")


def check_trackers(trackers: Iterable[str]) -> None:
    """Raise `UserError` if a tracker is not known, not installed, or told to write where it cannot go on later."""
    for text in trackers:
        name = parse_tracker(text).name
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f"The tracker {name} needs its package, which is not installed: pip install 'glad-ray[{name}]'."
            )
        server = next((each for each in _SERVERS_OF_TRACKIO if os.environ.get(each)), None)
        if name == "trackio" and server is not None:
            raise UserError(
                "Trackio is written on this machine, for a server of it cannot be asked what it holds of a run that "
                f"goes on: unset {server}, and publish the project afterwards with trackio sync."
            )
