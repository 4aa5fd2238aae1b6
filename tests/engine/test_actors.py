"""What trials share: handles in place of a generator and of expert files, and tasks that are lost."""

import os

import numpy as np
import pytest
import ray
import torch

from glad_ray.engine.connection import connected
from glad_ray.engine.expert_store import ExpertStore, RemoteTrajectories, start_expert_store
from glad_ray.engine.faults import RETRIES
from glad_ray.engine.replica import RemoteGenerator, start_replica
from glad_ray.engine.tasks import Tasks
from glad_ray.errors import DataError, UserError
from glad_ray.experts import ExpertFiles
from glad_ray.generators import build_generator, read_file
from glad_ray.spec import Resources
from tests.engine import tiny
from tests.generators import kinds

pytestmark = pytest.mark.usefixtures("ray_session")

LABELS = torch.arange(10)


GENERATORS = {
    "random": (tiny.GENERATOR, [("f2", "gaussian"), ("w+", "sampled")]),
    "file": (kinds.stylegan_file(tiny.GENERATOR.replace(classes=10)), [("f3", "average")]),
    "own": (kinds.BLOBS, [("z+", "sampled")]),
    "autoencoder": (kinds.autoencoder(16), [("f2", "real")]),
}


@pytest.mark.parametrize("kind", GENERATORS)
def test_replica_is_the_generator(kind):
    record, spaces = GENERATORS[kind]
    file = read_file(record)
    held = None if file is None else ray.put(file)
    actor = start_replica(f"replica {kind}", record, held, ray.nodes()[0]["NodeID"], 2, Resources())
    there, here = RemoteGenerator(f"replica {kind}", record), build_generator(record)
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
    if kind == "random":
        with pytest.raises(UserError, match="no latent space 'f9'"):
            there.init("f9", LABELS, rngs[0], "sampled")
    ray.kill(actor)


def test_what_is_wrong_with_a_generator_is_told_to_who_calls():
    record = kinds.BLOBS.replace(name="tests.nowhere:blobs")
    actor = start_replica("broken", record, None, ray.nodes()[0]["NodeID"], 2, Resources())
    with pytest.raises(UserError, match=r"tests\.nowhere cannot be imported"):
        RemoteGenerator("broken", record).init("z", LABELS, torch.Generator(), "sampled")
    ray.kill(actor)


def test_experts_outlive_their_store(in_process):
    storage, _ = in_process
    expert_set = tiny.RUNS["mtt"].expert_set
    files = ExpertFiles(storage, expert_set)
    store = start_expert_store("store", storage, expert_set)
    handle = RemoteTrajectories("store", expert_set)
    assert handle.expert_set == files.expert_set

    def assert_all_segments():
        for expert, start in np.ndindex(2, 2):
            for there, here in zip(handle.segment(expert, start, 1), files.segment(expert, start, 1), strict=True):
                assert torch.equal(there, here)

    assert_all_segments()
    handle.expect(1, 0, 1)
    assert_all_segments()
    kept = ray.get(store.segment.remote(0, 0, 1))
    assert kept == ray.get(store.segment.remote(0, 0, 1)), "a snapshot is stored once"
    handle.expect(0, 0, 1)
    ray.kill(store, no_restart=False)
    assert_all_segments()
    ray.kill(store)


class Counting(ExpertStore):
    """A store that remembers what it was asked."""

    def __init__(self, storage, expert_set):
        super().__init__(storage, expert_set)
        self.questions = []

    def segment(self, *of):
        self.questions.append(of)
        return super().segment(*of)

    def asked(self):
        return self.questions


def test_what_is_expected_is_fetched_before_it_is_asked_for(in_process):
    storage, _ = in_process
    expert_set = tiny.RUNS["mtt"].expert_set
    store = ray.remote(Counting).options(name="counting", num_cpus=0).remote(storage, expert_set)
    handle, files = RemoteTrajectories("counting", expert_set), ExpertFiles(storage, expert_set)
    handle.expect(1, 1, 1)
    assert ray.get(store.asked.remote()) == [(1, 1, 1)]
    for question in ((0, 0, 1), (1, 1, 1)):
        assert all(map(torch.equal, handle.segment(*question), files.segment(*question)))
    assert ray.get(store.asked.remote()) == [(1, 1, 1), (0, 0, 1)]
    handle.segment(1, 1, 1)
    assert len(ray.get(store.asked.remote())) == 3, "an answer is taken once"
    ray.kill(store)


def test_what_is_wrong_with_a_file_is_told_to_the_trial(in_process, storage):
    expert_set = tiny.RUNS["mtt"].expert_set
    store = start_expert_store("empty", storage, expert_set)
    handle = RemoteTrajectories("empty", expert_set)
    handle.expect(0, 0, 1)
    with pytest.raises(DataError, match=r"expert-0000\.arrow is missing: run again"):
        handle.segment(0, 0, 1)
    ray.kill(store)


@ray.remote(max_retries=0)
def lost_times(folder, times):
    """Takes its process with it as many times as asked."""
    if len(os.listdir(folder)) < times:
        open(os.path.join(folder, str(os.getpid())), "x").close()
        os.kill(os.getpid(), 9)
    return "here"


@pytest.mark.parametrize("times", [1, RETRIES + 1])
def test_lost_tasks_are_submitted_again(times, tmp_path):
    retried, ended, failed = [], [], []
    tasks = Tasks(lambda what, error: retried.append(what), pause=lambda tries: 0.1)
    tasks.submit(
        "it",
        lambda tries: lost_times.remote(str(tmp_path), times),
        ended.append,
        lambda error, fault: failed.append(fault),
    )
    while len(tasks):
        tasks.poll(10)
    assert retried == ["it"] * min(times, RETRIES)
    assert (len(ended), len(failed)) == ((1, 0) if times <= RETRIES else (0, 1))
    if failed:
        assert failed[0].error == f"lost with its process or machine, {RETRIES + 1} times"


def test_a_client_is_no_driver():
    with pytest.raises(UserError, match="on the cluster"), connected("ray://somewhere:10001"):
        pass
