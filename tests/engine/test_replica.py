"""Replicas: the generator itself, for many clients at once, whatever becomes of its process."""

import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import ray
import torch

from glad_ray.engine.remaining import remaining_work
from glad_ray.engine.replica import handle, watch
from glad_ray.engine.replica.actor import HEALTH, Replica, batches_at_once, start_replica
from glad_ray.engine.replica.arrays import arrays_of
from glad_ray.engine.replica.handle import RemoteGenerator
from glad_ray.errors import UserError
from glad_ray.generators import build_generator, read_file
from glad_ray.plan.machines import shared_generators
from glad_ray.progress.replica_stats import read_replicas
from glad_ray.spec import Resources
from glad_ray.spec.generators import GIB
from glad_ray.stylegan.settings import WORKING_BYTES
from tests.engine import tiny
from tests.faults.processes import until, workers
from tests.generators import kinds

pytestmark = [
    pytest.mark.usefixtures("ray_session"),
    # pytest takes back the filter of `glad_ray.engine.replica.arrays`.
    pytest.mark.filterwarnings("ignore:The given NumPy array is not writable"),
]

LABELS = torch.arange(10)
STANDARD = Resources()
GENERATORS = {
    "random": (tiny.GENERATOR, [("f2", "gaussian"), ("w+", "sampled")]),
    "file": (kinds.stylegan_file(tiny.GENERATOR.replace(classes=10)), [("f3", "average")]),
    "own": (kinds.BLOBS, [("z+", "sampled")]),
    "autoencoder": (kinds.autoencoder(16), [("f2", "real")]),
}
ROUNDING = {torch.float32: 1e-5, torch.float64: 1e-12}
ROOM_IMAGES = 25
SMALL = Resources(
    generator_memory_gib=(WORKING_BYTES + (ROOM_IMAGES + 0.5) * tiny.GENERATOR.pullback_bytes("f2")) / GIB
)
"""a batch at a time, of so many images in f2"""


def started(name, record=tiny.GENERATOR, file=None, resources=SMALL, **options):
    """A replica of two trials."""
    held = None if file is None else ray.put(file)
    return start_replica(name, record, held, ray.nodes()[0]["NodeID"], 2, resources, **options)


@pytest.fixture(scope="module")
def shared():
    """A replica that many tests ask; what it counts adds up."""
    actor = started("shared")
    yield actor
    ray.kill(actor)


@pytest.fixture
def start():
    """Starts replicas, which end with the test."""
    actors = []

    def start_one(*arguments, **options):
        actors.append(started(*arguments, **options))
        return actors[-1]

    yield start_one
    for actor in actors:
        ray.kill(actor)


def stats(actor):
    return ray.get(actor.stats.options(concurrency_group=HEALTH).remote())


def replica_processes():
    return [process for process, title in workers() if title.startswith("ray::Replica")]


@pytest.mark.parametrize(
    "kind", ["random", *(pytest.param(kind, marks=pytest.mark.full) for kind in GENERATORS if kind != "random")]
)
def test_replica_is_the_generator(kind, start, capfd):
    record, spaces = GENERATORS[kind]
    start(kind, record, read_file(record), STANDARD)
    there, here = RemoteGenerator(kind, record), build_generator(record)
    assert "constructor arguments" not in capfd.readouterr().err, "Ray prints nothing of weights"
    assert there.spaces == here.spaces
    side = record.resolution
    real_images = torch.rand(10, 1, side, side, generator=torch.Generator().manual_seed(2)) * 2 - 1
    for space, how in spaces:
        rngs = [torch.Generator().manual_seed(1) for _ in range(2)]
        given = real_images if how == "real" else None
        latents, expected = (
            each.init(space, LABELS, rng, how, given) for each, rng in zip((there, here), rngs, strict=True)
        )
        assert torch.equal(*(rng.get_state() for rng in rngs))
        torch.testing.assert_close(latents, expected)
        images = there.decode(space, latents)
        torch.testing.assert_close(images, here.decode(space, latents))
        image_grads = torch.randn(images.shape, generator=rngs[0])
        torch.testing.assert_close(
            there.pullback(space, latents, image_grads), here.pullback(space, latents, image_grads)
        )
        for later in record.later_spaces(space)[-1:]:
            handed = there.hand_over(space, later, latents)
            torch.testing.assert_close(handed, here.hand_over(space, later, latents))
            next(iter(handed.values())).add_(1)  # a copy, which steps may change


@pytest.mark.full
def test_hand_overs_of_several_clients_are_computed_together(shared):
    """To two layers at once, of which each client gets its own."""
    here = build_generator(tiny.GENERATOR)
    starts = [here.init("f1", torch.arange(3), torch.Generator().manual_seed(n), "sampled") for n in range(6)]
    together = threading.Barrier(len(starts))

    def one(number):
        generator = RemoteGenerator("shared", tiny.GENERATOR)
        together.wait()
        return generator.hand_over("f1", ("f2", "f4")[number % 2], starts[number])

    with ThreadPoolExecutor(len(starts)) as pool:
        found = list(pool.map(one, range(len(starts))))
    for number, (ours, start) in enumerate(zip(found, starts, strict=True)):
        expected = here.hand_over("f1", ("f2", "f4")[number % 2], start)
        assert_close([ours], [expected], ROUNDING[torch.float32])
    with pytest.raises(UserError, match="cannot be handed over to f1"):
        RemoteGenerator("shared", tiny.GENERATOR).hand_over("f1", "f1", starts[0])


def test_what_is_wrong_with_a_generator_is_told_to_who_calls(start):
    record = kinds.BLOBS.replace(name="tests.nowhere:blobs")
    start("broken", record)
    with pytest.raises(UserError, match=r"tests\.nowhere cannot be imported"):
        RemoteGenerator("broken", record).init("z", LABELS, torch.Generator(), "sampled")


def test_one_batch_at_a_time_fills_a_gpu_and_memory_bounds_them_on_cpus():
    assert batches_at_once(8, Resources(generator_gpus=0.5)) == 1
    assert batches_at_once(3, STANDARD) == 3
    assert batches_at_once(64, STANDARD) == 8
    assert batches_at_once(64, SMALL) == 1


def steps(generator, space, seed, images, dtype, count=4):
    """What a trial asks of a generator, and gets: images and gradients of every step."""
    rng = torch.Generator().manual_seed(seed)
    latents = generator.init(space, torch.arange(images), rng, "sampled")
    latents = {kind: value.to(dtype) for kind, value in latents.items()}
    found = []
    for _ in range(count):
        made = generator.decode(space, latents)
        grads = generator.pullback(space, latents, torch.randn(made.shape, generator=rng).to(dtype))
        found.append({"images": made, **grads})
        latents = {kind: value - 0.01 * grads[kind] for kind, value in latents.items()}
    return found


def assert_close(ours, expected, tolerance):
    """Every tensor of every step, by the norm of its error: single values may be small differences of large ones, and
    their rounding depends on the processor.
    """
    assert len(ours) == len(expected)
    for mine, theirs in zip(ours, expected, strict=True):
        assert mine.keys() == theirs.keys()
        for kind, value in theirs.items():
            assert float((mine[kind] - value).norm() / value.norm()) < tolerance, kind


def clients(name, record, askings):
    """What each of several clients got, all of which asked at once."""
    together = threading.Barrier(len(askings))

    def one(asking):
        generator = RemoteGenerator(name, record)
        together.wait()
        return steps(generator, *asking)

    with ThreadPoolExecutor(len(askings)) as pool:
        return list(pool.map(one, askings))


def test_many_clients_get_what_they_would_get_alone(shared, start):
    double = tiny.GENERATOR.replace(seed=1)
    replicas = {
        "shared": (tiny.GENERATOR, torch.float32, shared),
        "double": (double, torch.float64, start("double", double, dtype="float64")),
    }
    spaces = ("w+", "f1", "f2", "f3")

    def ask(name):
        record, dtype, _ = replicas[name]
        return clients(name, record, [(spaces[n % 4], n, 1 + n, dtype) for n in range(8)])

    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(replicas, pool.map(ask, replicas), strict=True))
    for name, (record, dtype, actor) in replicas.items():
        alone = build_generator(record, dtype=dtype)
        for n, ours in enumerate(found[name]):
            expected = steps(alone, spaces[n % 4], n, 1 + n, dtype)
            assert_close(ours, expected, ROUNDING[dtype])
        its = stats(actor)
        assert its.requests == 8 * (1 + 2 * 4)
        assert its.batches < its.requests
        assert its.largest_batch_requests == 2
    # One copy of each; those of earlier tests take a moment to end.
    until(lambda: len(replica_processes()) == len(replicas))


def test_batches_keep_within_the_memory(shared):
    clients("shared", tiny.GENERATOR, [("f2", n, 10, torch.float32) for n in range(8)])
    assert stats(shared).largest_batch_images == 20 <= ROOM_IMAGES


@pytest.mark.fault
@pytest.mark.full
def test_clients_go_on_when_their_replica_is_killed(start):
    """In float64, for so many steps make large differences of roundings."""
    killed = start("killed", tiny.GENERATOR, dtype="float64")
    askings = [("f2", n, 2, torch.float64, 30) for n in range(4)]
    requests = 4 * (1 + 2 * 30)
    # Answered in turn by the process that is killed.
    before = stats(killed).requests

    def kill():
        until(lambda: stats(killed).requests > before + 20)
        for process in replica_processes():
            os.kill(process, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    found = clients("killed", tiny.GENERATOR, askings)
    killer.join()
    assert stats(killed).requests < requests, "another process did the rest"
    alone = build_generator(tiny.GENERATOR, dtype=torch.float64)
    for asking, ours in zip(askings, found, strict=True):
        assert_close(ours, steps(alone, *asking), 1e-9)


def test_a_wrong_call_is_its_own_callers_fault(shared):
    generators = [RemoteGenerator("shared", tiny.GENERATOR) for _ in range(4)]
    latents = generators[0].init("f2", LABELS, torch.Generator().manual_seed(0), "sampled")
    misshapen = {kind: value[..., :-1] for kind, value in latents.items()}
    wrong = {
        "need an entry per image each, not {'f': 10, 'w': 3}": ("f2", latents | {"w": latents["w"][:3]}),
        "no latent space 'f9'": ("f9", latents),
        "another generator's": ("f2", misshapen),
    }
    expected = build_generator(tiny.GENERATOR).decode("f2", latents)
    with ThreadPoolExecutor(16) as pool:
        right = [pool.submit(generators[n].decode, "f2", latents) for n in (0, 1) for _ in range(5)]
        told = {match: pool.submit(generators[2].decode, *given) for match, given in wrong.items()}
    for future in right:
        torch.testing.assert_close(future.result(), expected)
    for match, future in told.items():
        with pytest.raises(UserError, match=match):
            future.result()


def test_latents_cross_once_a_step_unless_they_change_within_it(shared, monkeypatch):
    there, here = RemoteGenerator("shared", tiny.GENERATOR), build_generator(tiny.GENERATOR)
    latents = here.init("f2", LABELS, torch.Generator().manual_seed(0), "sampled")
    assert sum(value.nbytes for value in latents.values()) > handle.SENT_ALONG_BYTES
    crossed = []
    monkeypatch.setattr(handle, "arrays_of", lambda values: crossed.append(values) or arrays_of(values))
    for changed_by, crossings in ((0, 1), (1, 2)):
        crossed.clear()
        image_grads = torch.ones_like(there.decode("f2", latents))
        if changed_by:
            latents["f"].add_(changed_by)
        expected = here.pullback("f2", latents, image_grads)
        torch.testing.assert_close(there.pullback("f2", latents, image_grads), expected)
        assert len(crossed) == crossings


@pytest.mark.parametrize(
    ("resources", "names", "shared"),
    [
        ({}, ("dc",), False),
        ({}, ("dc", "dm"), False),
        ({}, ("dc", "dm f3"), True),
        ({"trial": {"gpus": 0.5}}, ("dc", "dm f3"), False),
        ({"trial": {"gpus": 0.5}, "generator_gpus": 0.5}, ("dc",), False),
        ({"generator_gpus": 0.5}, ("dc",), True),
    ],
)
def test_generators_of_several_runs_are_shared(resources, names, shared, storage):
    plan = tiny.plan(*names, **resources)
    found = shared_generators(remaining_work(plan, storage).to_distill, plan.sweep.resources)
    assert found == ({tiny.GENERATOR} if shared else set())


def test_the_driver_is_told_how_replicas_are_and_waits_for_none(shared, start, storage, monkeypatch):
    monkeypatch.setattr(watch, "ASK_SECONDS", 0.1)
    # One that waits for a GPU: there is none.
    waiting = ray.remote(concurrency_groups={HEALTH: 1})(Replica).options(num_gpus=1)
    nowhere = waiting.remote(tiny.GENERATOR, (), SMALL, 1, None, None)
    unused = start("unused")
    RemoteGenerator("shared", tiny.GENERATOR).init("f2", LABELS, torch.Generator(), "sampled")
    shown = []
    replicas = {"shared": shared, "nowhere": nowhere, "unused": unused}
    watching = watch.ReplicaWatch(lambda: replicas, storage, shown.append)

    def polled():
        watching.poll()
        return any(event.stats for event in shown)

    until(polled)
    (its,) = shown[-1].stats
    assert (its.generator, its.host, its.waiting) == ("random StyleGAN-XL", socket.gethostname(), 0)
    assert its.requests >= its.batches > 0
    assert its.requests_per_second > 0
    assert its.requests_per_batch >= 1
    assert its.memory_bytes > 2**20
    assert read_replicas(storage) == (its,)
    # Once in a while: what was left for other terminals is not written again at every answer.
    shown.clear()
    until(polled)
    assert shown[-1].stats != (its,)
    assert read_replicas(storage) == (its,)
