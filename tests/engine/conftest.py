"""One Ray instance for all tests of the engine, one sweep in this process to compare with, and a view that records."""

import pytest
import ray

from glad_ray.engine.budget import Budget
from glad_ray.engine.in_process import run_in_process
from glad_ray.storage import Storage
from tests.engine import tiny


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


@pytest.fixture
def view():
    return Recorded()


@pytest.fixture
def spend(monkeypatch):
    """Spends every budget when it is called, and gives a new one when called with False."""
    state = {"spent": False}
    monkeypatch.setattr(Budget, "spent", property(lambda budget: "the hours of this test" if state["spent"] else None))
    return lambda spent=True: state.update(spent=spent)


@pytest.fixture(scope="session")
def in_process(tmp_path_factory):
    """The storage and the view of a sweep in this process, with runs that fail among the others."""
    storage, view = Storage.open(tmp_path_factory.mktemp("in-process")), Recorded()
    run_in_process(tiny.plan(*tiny.RUNS), storage, device="cpu", view=view)
    return storage, view


@pytest.fixture(scope="session")
def ray_session():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_idle_worker_killing_time_threshold_ms", "600000")
        ray.init(
            address="local",
            num_cpus=2,
            num_gpus=0,
            object_store_memory=150 * 2**20,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
        yield
        ray.shutdown()
