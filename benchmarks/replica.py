"""What a shared generator costs a client that is alone, and what batches are worth to several.

Clients in threads of their own ask one replica for steps, a decode and a pullback each, with nothing in between: all
the time is the generator's and the way there. The same on a replica that computes every request alone, on one that
computes what waits and is alike together, and on one that computes for every client beside the others, as on a machine
with as many CPUs. They and a generator of this process take turns, round by round. CPU seconds are those of the replica
and of this process, all threads: where other work shares the machine, they tell more than the clock.

    python benchmarks/replica.py
    python benchmarks/replica.py --resolution 64 --width 64 --space f4 --clients 1 4
"""

import argparse
import logging
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import ray
import torch
from rich.console import Console
from rich.table import Table

from glad_ray.engine.replica.actor import start_replica
from glad_ray.engine.replica.handle import RemoteGenerator
from glad_ray.generators import Generator, Latents, build_generator
from glad_ray.machine import device_name, keep_freed_memory
from glad_ray.spec import RandomStyleGAN, Resources

CPU = torch.device("cpu")
EACH_ALONE = "each alone"
BATCHED = "batched"
SENT_TWICE = "latents sent twice"


class Work(NamedTuple):
    """What every client asks for."""

    record: RandomStyleGAN
    space: str
    images: int
    steps: int

    def latents(self, generator: Generator) -> Latents:
        """To start from."""
        return generator.init(self.space, torch.arange(self.images), torch.Generator().manual_seed(0), "sampled")

    def ask(self, generator: Generator, latents: Latents, send_twice: bool = False) -> None:
        """All steps, from the same latents; `send_twice`: a pullback sends those that were decoded once more."""
        for _ in range(self.steps):
            images = generator.decode(self.space, latents)
            # Other tensors over the same memory are not known to be the same latents.
            again = {kind: value.view_as(value) for kind, value in latents.items()} if send_twice else latents
            generator.pullback(self.space, again, torch.ones_like(images))


class Way(NamedTuple):
    """One way to serve clients."""

    name: str
    at_once: int
    """batches computed beside one another"""
    most_images: int | None
    """of a batch; 1: every request alone"""


class Measured(NamedTuple):
    """Medians over the rounds."""

    requests_per_second: float
    requests_per_cpu_second: float
    requests_per_batch: float


def measure(work: Work, ways: Sequence[Way], clients: int, rounds: int) -> dict[str, Measured]:
    """Every way, with so many clients at once; a lone one also with a generator of its own."""
    node = ray.nodes()[0]["NodeID"]
    latents = work.latents(build_generator(work.record))
    actors, calls = {}, {}
    for name, at_once, most_images in ways:
        named = f"{name} {clients}"
        actors[name] = start_replica(named, work.record, None, node, at_once, Resources(), most_images=most_images)
        calls[name] = partial(
            _ask_together, work, latents, [RemoteGenerator(named, work.record) for _ in range(clients)]
        )
    if clients == 1:
        client = RemoteGenerator(f"{BATCHED} {clients}", work.record)
        calls[SENT_TWICE] = partial(_ask_together, work, latents, [client], send_twice=True)
        actors[SENT_TWICE] = actors[BATCHED]
        calls["own generator"] = partial(_ask_together, work, latents, [build_generator(work.record)])
        calls["own, graph kept"] = partial(
            _ask_together, work, latents, [build_generator(work.record, keep_graph=True)]
        )
    walls: dict[str, list[float]] = {name: [] for name in calls}
    cpus: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), _cpu_seconds(actors.get(name))
            call()
            if number > 0:
                walls[name].append(time.perf_counter() - wall)
                cpus[name].append(_cpu_seconds(actors.get(name)) - cpu)
    counted = {name: ray.get(actor.stats.remote()) for name, actor in actors.items()}
    for actor in set(actors.values()):
        ray.kill(actor)
    requests = 2 * work.steps * clients
    batches = {name: stats.requests / stats.batches for name, stats in counted.items()}
    return {
        name: Measured(
            requests / statistics.median(walls[name]), requests / statistics.median(cpus[name]), batches.get(name, 1.0)
        )
        for name in calls
    }


def _cpu_seconds(actor: Any) -> float:
    """Of this process, and of an actor's."""
    there = 0.0 if actor is None else ray.get(actor.__ray_call__.remote(lambda replica: time.process_time()))
    return time.process_time() + there


def _ask_together(work: Work, latents: Latents, generators: Sequence[Generator], send_twice: bool = False) -> None:
    with ThreadPoolExecutor(len(generators)) as pool:
        list(pool.map(partial(work.ask, latents=latents, send_twice=send_twice), generators))


def main() -> None:
    """Measure with every number of clients, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=32, help="side of the images in pixels")
    parser.add_argument("--width", type=int, default=16, help="channels of a layer at most")
    parser.add_argument("--space", default="f4")
    parser.add_argument("--images", type=int, default=10, help="of a request")
    parser.add_argument("--steps", type=int, default=20, help="of a client, a decode and a pullback each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 2, 4, 8], help="numbers of clients at once")
    given = parser.parse_args()

    record = RandomStyleGAN(
        resolution=given.resolution,
        image_channels=1,
        channel_base=32 * given.width,
        channel_max=given.width,
        w_dim=64,
        calibrate=False,
    )
    work = Work(record, given.space, given.images, given.steps)
    keep_freed_memory()
    torch.set_num_threads(1)
    title = f"{given.resolution}px from {given.space}, width {given.width}, {given.images} images; {device_name(CPU)}"
    table = Table("clients", "way", *("requests/s", "ratio", "per CPU second", "ratio", "per batch"), title=title)
    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=0,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        for clients in given.clients:
            ways = [Way(EACH_ALONE, 1, 1), Way(BATCHED, 1, None)]
            if clients > 1:
                ways.append(Way("side by side", clients, None))
            measured = measure(work, ways, clients, given.rounds)
            base = measured[EACH_ALONE]
            for name, its in measured.items():
                table.add_row(
                    *(str(clients), name, f"{its.requests_per_second:.1f}"),
                    f"{its.requests_per_second / base.requests_per_second:.2f}",
                    f"{its.requests_per_cpu_second:.1f}",
                    f"{its.requests_per_cpu_second / base.requests_per_cpu_second:.2f}",
                    f"{its.requests_per_batch:.1f}",
                )
            table.add_section()
    finally:
        ray.shutdown()
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
