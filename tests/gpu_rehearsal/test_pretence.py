"""The pretended GPU refuses what a GPU refuses, waits where a GPU is waited for, and keeps account of its memory."""

import copy

import pytest
import torch
import torch.nn.functional as F

from tests.gpu_rehearsal.gpu import PretendedGPU

GPU = torch.device("cuda:0")


@pytest.fixture
def gpu():
    with PretendedGPU() as pretended:
        yield pretended


@pytest.fixture
def two_gpus():
    with PretendedGPU(count=2) as pretended:
        yield pretended


def numbers(*shape, device=GPU):
    return torch.arange(1.0, 1 + torch.Size(shape).numel(), device=device).view(shape)


REFUSED = {
    "a sum": lambda: numbers(3) + numbers(3, device="cpu"),
    "a product of matrices": lambda: numbers(3, 3) @ numbers(3, 3, device="cpu"),
    "a network on the CPU": lambda: torch.nn.Linear(3, 2)(numbers(1, 3)),
    "a loss with labels on the CPU": lambda: F.cross_entropy(numbers(2, 3), torch.tensor([0, 1])),
    "a concatenation": lambda: torch.cat([numbers(3), numbers(3, device="cpu")]),
    "a stack with a scalar of the CPU": lambda: torch.stack([numbers(2).sum(), torch.tensor(1.0)]),
    "tensors of the CPU by an index on the GPU": lambda: numbers(3, device="cpu")[
        torch.zeros(1, dtype=torch.long).to(GPU)
    ],
    "in place of one on the CPU": lambda: torch.tensor(1.0).add_(numbers(1).sum()),
    "an average on another device": lambda: numbers(3, device="cpu").lerp_(numbers(3), 0.5),
    "draws with a generator of the CPU": lambda: torch.rand(3, device=GPU, generator=torch.Generator()),
    "draws on the CPU with a generator of the GPU": lambda: torch.rand(3, generator=torch.Generator(GPU)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_refuses(what, gpu):
    with pytest.raises(RuntimeError, match=r"Expected .*, but found|indices should be"):
        REFUSED[what]()


def test_it_refuses_to_be_an_array(gpu):
    with pytest.raises(TypeError, match="to copy the tensor to host memory first"):
        numbers(3).numpy()
    assert numbers(3).cpu().numpy().tolist() == [1, 2, 3]


def test_it_refuses_tensors_of_another_gpu(two_gpus):
    with pytest.raises(RuntimeError, match="but found cuda:0 and cuda:1"):
        numbers(3) + numbers(3, device="cuda:1")
    assert numbers(3).to("cuda:1").device == torch.device("cuda:1")


WAITS = {
    "a value": (1, lambda x: x[0].item()),
    "a comparison": (1, lambda x: bool(x[0] > 0)),
    "a copy": (1, lambda x: x.cpu()),
    "a list": (1, lambda x: x.tolist()),
    "indices of what is not zero": (1, lambda x: x.nonzero()),
    "a mask": (1, lambda x: x[x > 1]),
    "a mask that is filled": (0, lambda x: x.masked_fill_(x > 1, 0.0)),
    "a mask that is set to one number": (0, lambda x: x.__setitem__(x > 1, 0.0)),
    "a mask that is set to numbers": (1, lambda x: x.__setitem__(x > 0, numbers(3))),
    "an index on the CPU": (1, lambda x: x[torch.tensor([0, 1])]),
    "an index on the GPU": (0, lambda x: x[x.argmax(0, keepdim=True)]),
    "an upload": (1, lambda x: torch.ones(3).to(x.device)),
    "an upload from memory that is not pinned": (1, lambda x: torch.ones(3).to(x.device, non_blocking=True)),
    "an upload from pinned memory": (0, lambda x: torch.ones(3).pin_memory().to(x.device, non_blocking=True)),
    "a tensor of numbers": (1, lambda x: torch.tensor([1.0, 2.0], device=x.device)),
    "a tensor of one number": (0, lambda x: torch.full((3,), 2.0, device=x.device)),
    "a scalar of the CPU": (0, lambda x: x * torch.tensor(2.0)),
    "the GPU": (1, lambda x: torch.cuda.synchronize()),
}


@pytest.mark.parametrize("what", WAITS)
def test_it_is_waited_for(what, gpu):
    expected, compute = WAITS[what]
    x = torch.ones(3, device=GPU)
    before = gpu.waits.total()
    compute(x)
    assert gpu.waits.total() - before == expected


def test_a_copy_that_is_not_waited_for_has_not_arrived(gpu):
    late = numbers(3).to("cpu", non_blocking=True)
    assert late.isnan().all()
    torch.cuda.synchronize()
    assert late.tolist() == [1, 2, 3]


def test_pinned_memory_is_not_written_into_before_it_is_uploaded(gpu):
    pinned = torch.zeros(3).pin_memory()
    pinned.to(GPU, non_blocking=True)
    pinned.add_(1)
    with pytest.raises(RuntimeError, match="written into before its upload had ended"):
        torch.cuda.synchronize()
    pinned.to(GPU, non_blocking=True)
    torch.cuda.synchronize()


def test_an_operation_that_gpus_lack_is_listed_in_the_end():
    histogram = torch.ops.aten._histogramdd_from_bin_cts
    with pytest.raises(NotImplementedError, match=r"aten\._histogramdd_from_bin_cts"), PretendedGPU():
        histogram(numbers(4, 2), [2, 2])


def test_attention_is_one_operation(gpu):
    q, k, v = (numbers(1, 1, 4, 8) for _ in range(3))
    before = gpu.launches.copy()
    torch.nn.functional.scaled_dot_product_attention(q, k, v)
    assert (gpu.launches - before).total() == 1


def capture(work):
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        made = work()
    return graph, made


def test_a_capture_computes_nothing_and_a_replay_reads_the_same_memory(gpu):
    given, total = numbers(3), torch.zeros(3, device=GPU)
    graph, doubled = capture(lambda: (total.add_(given), given * 2)[1])
    assert total.tolist() == [0, 0, 0]
    assert doubled.isnan().all()
    given.fill_(5)
    before = gpu.launches.copy()
    graph.replay()
    graph.replay()
    assert (gpu.launches - before).total() == 2
    assert total.tolist() == [10, 10, 10]
    assert doubled.tolist() == [10, 10, 10]


@pytest.mark.parametrize(
    "work",
    [
        lambda x: x.sum().item(),
        lambda x: x.cpu(),
        lambda x: x + torch.ones(3).pin_memory().to(GPU, non_blocking=True),
        lambda x: torch.rand(3, device=GPU),
        lambda x: torch.cuda.synchronize(),
    ],
)
def test_a_capture_refuses_what_a_replay_could_not_do(work, gpu):
    x = numbers(3)
    with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
        capture(lambda: work(x))
    assert (x + 1).tolist() == [2, 3, 4], "and goes on afterwards"


def test_gradients_and_modules(gpu):
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8, 2))
    other = copy.deepcopy(network).to(GPU)
    assert {parameter.device for parameter in other.parameters()} == {GPU}
    assert copy.deepcopy(other)[0].weight.device == GPU
    images = numbers(2, 1, 4, 4, device="cpu")
    for each in (network, other):
        optimiser = torch.optim.SGD(each.parameters(), lr=0.1, momentum=0.5, weight_decay=0.01)
        for _ in range(2):
            optimiser.zero_grad()
            each(images.to(each[0].weight.device)).square().mean().backward()
            optimiser.step()
    for ours, theirs in zip(other.parameters(), network.parameters(), strict=True):
        assert torch.equal(ours.cpu(), theirs)


def test_memory_is_counted_as_long_as_anything_refers_to_it(gpu):
    memory = gpu.memory
    x = torch.zeros(256, device=GPU, requires_grad=True)
    assert memory.live == 1024
    view = x.view(16, 16)[3:]
    assert memory.live == 1024, "a view takes none"
    y = (2 * x).sin().sum()
    assert memory.live == 1024 + 1024 + 4, "autograd keeps what the sine is taken of"
    del y, view
    assert memory.live == 1024
    (kept,) = memory.kept()
    assert (kept.bytes, kept.shape, kept.line) == (1024, (256,), "outside of the package")
    del x
    assert memory.live == 0
    assert memory.peak > 2048


def test_memory_has_a_limit():
    with PretendedGPU(limit=1000) as gpu:
        x = torch.zeros(200, device=GPU)
        with pytest.raises(torch.OutOfMemoryError):
            torch.zeros(100, device=GPU)
        assert gpu.memory.live == 800
        del x
        torch.zeros(250, device=GPU)


def test_sizes_only():
    with PretendedGPU(sizes_only=True) as gpu:
        x = torch.zeros(2**20, 2**10, device=GPU, requires_grad=True)
        (gradient,) = torch.autograd.grad((x * 2).exp().sum(), x)
        assert gradient.shape == x.shape
        assert gpu.memory.peak >= 3 * 2**32


def test_a_gpu_has_a_random_state_of_its_own(gpu):
    before = torch.get_rng_state()
    torch.cuda.set_rng_state(torch.Generator().manual_seed(3).get_state(), GPU)
    drawn = torch.rand(3, device=GPU)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(drawn.cpu(), torch.rand(3, generator=torch.Generator().manual_seed(3)))
    assert torch.equal(torch.rand(3, device=GPU, generator=torch.Generator(GPU).manual_seed(3)).cpu(), drawn.cpu())


def test_peaks_are_measured_only_of_a_gpu_that_was_used(gpu):
    with pytest.raises(RuntimeError, match="did you call init"):
        torch.cuda.reset_peak_memory_stats(GPU)
    torch.zeros(100, device=GPU)
    assert torch.cuda.max_memory_allocated(GPU) == 400
    torch.cuda.reset_peak_memory_stats(GPU)
    assert torch.cuda.max_memory_allocated(GPU) == 0
