"""The way of events from units of work to the driver, which shows them: an actor that keeps them in between.

They pass as bytes, so that the actor needs no module that they come from.
"""


class EventQueue:
    """The actor; what it holds when it dies is not shown, and nothing else depends on it."""

    def __init__(self) -> None:
        self.events: list[bytes] = []

    def put(self, event: bytes) -> None:
        """Keep an event."""
        self.events.append(event)

    def take(self) -> list[bytes]:
        """All events since the last call."""
        events, self.events = self.events, []
        return events
