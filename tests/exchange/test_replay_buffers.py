"""Replay buffers of the older code: what is written of them, and what is told of one that does not fit."""

import io
import os
import pickle

import pytest
import torch

from glad_ray.errors import DataError, UserError
from glad_ray.exchange import import_replay_buffers
from glad_ray.experts import ExpertFiles, missing_experts
from glad_ray.networks import build_network
from glad_ray.spec import Experts, ExpertSet, Network

EPOCHS = 3


def expert_set(network=None, **fields):
    return ExpertSet(
        dataset="fashion-mnist",
        resolution=28,
        held_out=0,
        network=network or Network(width=4),
        experts=Experts(**{"count": 3, "epochs": EPOCHS, **fields}),
    )


def trajectory(seed, network=None, *, channels=1, resolution=28, classes=10, epochs=EPOCHS):
    """As the older code makes one: the parameters of a network in their order, epoch after epoch."""
    rng = torch.Generator().manual_seed(seed)
    built = build_network(
        network or Network(width=4), channels=channels, resolution=resolution, classes=classes, rng=rng
    )
    start = [parameter.detach() for parameter in built.parameters()]
    return [[tensor + epoch for tensor in start] for epoch in range(epochs + 1)]


def flat(snapshot):
    return torch.cat([tensor.reshape(-1) for tensor in snapshot])


def save(path, *trajectories, **options):
    torch.save(list(trajectories), path, **options)
    return path


@pytest.fixture
def three(tmp_path):
    """Two experts in file 2 and one in file 10."""
    experts = [trajectory(seed) for seed in range(3)]
    # Given in the order a shell would: the numbers decide.
    return [
        save(tmp_path / "replay_buffer_10.pt", experts[2]),
        save(tmp_path / "replay_buffer_2.pt", *experts[:2]),
    ], experts


def test_experts_are_counted_over_the_files_in_order_and_read_as_they_were(three, storage):
    (files, experts), progress = three, []
    assert import_replay_buffers(files, expert_set(), storage, progress.append) == 3
    assert progress == [1, 2, 3]
    read = ExpertFiles(storage, expert_set())
    for index, expert in enumerate(experts):
        start, end = read.segment(index, 1, 2)
        assert torch.equal(start, flat(expert[1]))
        assert torch.equal(end, flat(expert[3]))


def test_an_import_goes_on_where_it_stopped(three, storage):
    files, which = three[0], expert_set()
    import_replay_buffers(files, which, storage, lambda count: None)
    kept, lost = (storage.expert_path(which.content_id, index) for index in (0, 1))
    storage.write_bytes(kept, b"left as it is")
    storage.delete(lost)
    assert missing_experts(storage, which) == [1]
    assert import_replay_buffers(files, which, storage, lambda count: None) == 1
    assert storage.read_bytes(kept) == b"left as it is"
    assert torch.equal(ExpertFiles(storage, which).segment(1, 0, 1)[0], flat(three[1][1][0]))


def test_fewer_experts_epochs_and_bits_are_kept_when_asked(three, storage):
    which = expert_set(count=2, keep_until=1, dtype="bfloat16")
    assert import_replay_buffers(three[0], which, storage, lambda count: None) == 2
    start, end = ExpertFiles(storage, which).segment(1, 0, 1)
    assert torch.equal(start, flat(three[1][1][0]).bfloat16().float())
    assert torch.equal(end, flat(three[1][1][1]).bfloat16().float())


def test_experts_of_whitened_images_are_kept_apart(three, storage):
    whitened = expert_set().replace(whitening="zca")
    assert import_replay_buffers(three[0], whitened, storage, lambda count: None) == 3
    assert len(missing_experts(storage, expert_set())) == 3
    assert torch.equal(ExpertFiles(storage, whitened).segment(0, 0, 1)[0], flat(three[1][0][0]))


def test_experts_of_whitened_images_are_no_others(three, storage):
    whitened = expert_set().replace(whitening="zca")
    import_replay_buffers(three[0], whitened, storage, lambda count: None)
    path = storage.expert_path(expert_set().content_id, 0)
    storage.write_bytes(path, storage.read_bytes(storage.expert_path(whitened.content_id, 0)))
    with pytest.raises(DataError, match=r"whitening zca.*whitening none"):
        ExpertFiles(storage, expert_set()).segment(0, 0, 1)


def test_files_of_before_zip_archives_are_read(tmp_path, storage):
    file = save(tmp_path / "replay_buffer_0.pt", trajectory(0), _use_new_zipfile_serialization=False)
    assert import_replay_buffers([file], expert_set(count=1), storage, lambda count: None) == 1


def test_parameters_that_require_a_gradient_are_read_as_their_values(tmp_path, storage):
    saved = [[torch.nn.Parameter(tensor) for tensor in snapshot] for snapshot in trajectory(0)]
    file = save(tmp_path / "replay_buffer_0.pt", saved)
    assert import_replay_buffers([file], expert_set(count=1), storage, lambda count: None) == 1
    start, _ = ExpertFiles(storage, expert_set(count=1)).segment(0, 0, 1)
    assert torch.equal(start, flat(trajectory(0)[0]))


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "resnet18", "vit"])
def test_experts_of_other_networks_are_taken_too(name, tmp_path, storage):
    network = Network(name=name, width=16)
    expert = trajectory(0, network, resolution=32)
    file = save(tmp_path / "replay_buffer_0.pt", expert)
    which = expert_set(network, count=1).replace(resolution=32)
    import_replay_buffers([file], which, storage, lambda count: None)
    assert torch.equal(ExpertFiles(storage, which).segment(0, 2, 0)[0], flat(expert[2]))


class Runs:
    """An object whose loading would run code."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


def with_number(value):
    made = trajectory(0)
    made[2][5][0] = value
    return made


def unchanged():
    made = trajectory(0)
    return [made[0] for _ in made]


@pytest.mark.parametrize(
    ("held", "sentence"),
    [
        (
            [trajectory(0)],
            "The files hold 1 trajectories and the set is to have 3 experts: name more files, or set the",
        ),
        ([], "The files hold 0 trajectories and the set is to have 3 experts: name more files."),
        ([trajectory(0, epochs=2)], "has 2 epochs, not 3: set the experts' epochs to 2."),
        ([trajectory(0, epochs=5)], "has 5 epochs, not 3: set the experts' epochs to 5, and keep_until to keep fewer."),
        ([[]], "has 0 epochs, not 3."),
        (
            [trajectory(0, Network(width=4, depth=2))],
            "has 10 tensors a snapshot and ConvNet (width 4) on fashion-mnist",
        ),
        ([trajectory(0, Network(width=4, norm="none"))], "another network, depth or norm"),
        (
            [trajectory(0, classes=100)],
            "classifier.weight of ConvNet (width 4) on fashion-mnist at 28 pixels has 10 x 64",
        ),
        ([trajectory(0, classes=100)], "it is of 100 classes, not 10"),
        ([trajectory(0, channels=3, resolution=32)], "it is of images of 3 channels, not 1"),
        ([trajectory(0, Network(width=4, depth=3), resolution=64)], "another resolution, or of another depth"),
        ([trajectory(0, Network(width=8))], "has 8 x 1 x 3 x 3 numbers where blocks.0.conv.weight of"),
        ([trajectory(0, Network(width=8))], "it is of another network, width or norm"),
        ([[[t.double() for t in s] for s in trajectory(0)]], "has no float32 tensor for blocks.0.conv.weight after 0"),
        ([[[1.0 for _ in s] for s in trajectory(0)]], "has no float32 tensor for blocks.0.conv.weight after 0 epochs"),
        ([[[t.to_sparse() for t in s] for s in trajectory(0)]], "has no float32 tensor for blocks.0.conv.weight"),
        ([[[torch.zeros(1).expand(t.shape) for t in s] for s in trajectory(0)]], "has no float32 tensor for"),
        ({"trajectories": [trajectory(0)]}, "is not a list of trajectories, each a list of snapshots"),
        ([torch.zeros(3)], "is not a list of trajectories, each a list of snapshots"),
        ([trajectory(0), [Runs()]], "holds more than tensors, and other objects are never loaded"),
        ([trajectory(0), trajectory(1), with_number(float("nan"))], "Trajectory 2 of replay_buffer_0.pt is not finite"),
        ([unchanged(), trajectory(1), trajectory(2)], "ends with the parameters it starts with"),
    ],
)
def test_files_that_do_not_fit_are_told_in_one_sentence(held, sentence, tmp_path, storage, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(held, tmp_path / "replay_buffer_0.pt")
    with pytest.raises(UserError) as caught:
        import_replay_buffers([tmp_path / "replay_buffer_0.pt"], expert_set(), storage, lambda count: None)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_nothing_is_written_where_a_later_trajectory_is_of_another_form(tmp_path, storage):
    file = save(tmp_path / "replay_buffer_0.pt", trajectory(0), trajectory(1), trajectory(2, classes=9))
    with pytest.raises(UserError, match=r"Trajectory 2 of .*9 classes, not 10"):
        import_replay_buffers([file], expert_set(), storage, lambda count: None)
    assert missing_experts(storage, expert_set()) == [0, 1, 2]


def _zip_bytes():
    buffer = io.BytesIO()
    torch.save([trajectory(0)], buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"no archive", _zip_bytes()[:5000], pickle.dumps(Runs())],
)
def test_damaged_files_are_told_in_one_sentence(content, tmp_path, storage, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "replay_buffer_0.pt"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"replay_buffer_0.pt is damaged or holds more than tensors") as caught:
        import_replay_buffers([file], expert_set(), storage, lambda count: None)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_not_there_is_told(tmp_path, storage):
    with pytest.raises(UserError, match=r"replay_buffer_0.pt cannot be read .No such file"):
        import_replay_buffers([tmp_path / "replay_buffer_0.pt"], expert_set(), storage, lambda count: None)
