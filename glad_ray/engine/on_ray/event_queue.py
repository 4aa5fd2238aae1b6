"""The way of events from jobs to the driver, which shows them, and back: an actor that keeps them in between.

They pass as bytes, so that the actor needs no module that they come from.
"""


class EventQueue:
    """The actor; what it holds when it dies is not shown, and nothing else depends on it."""

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self.ending = False

    def put(self, event: bytes) -> bool:
        """Keep an event; returns whether the work that it comes from is to end."""
        self.events.append(event)
        return self.ending

    def is_ending(self) -> bool:
        """Whether all work is to end."""
        return self.ending

    def take(self, ending: bool) -> list[bytes]:
        """All events since the last call; `ending`: whether all work is to end."""
        self.ending = ending
        events, self.events = self.events, []
        return events
