"""A view for tests: it keeps every event."""


class Recorded:
    """A view that keeps every event; `on_event` may do something at some of them."""

    def __init__(self, on_event=lambda event: None):
        self.events, self.on_event = [], on_event

    def show(self, event):
        self.events.append(event)
        self.on_event(event)

    def of(self, kind):
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass
