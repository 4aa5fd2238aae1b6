"""Errors as PyTorch words them for what CUDA and its libraries say."""

import pytest
import torch

from glad_ray.generators.custom import build_custom
from glad_ray.gpu_errors import gpu_failed, lacks_gpu_memory
from glad_ray.importing import import_callable
from glad_ray.networks import check_network, takes_one_image
from glad_ray.progress.faults import Fault
from glad_ray.spec import Network
from tests.generators import kinds

pytestmark = pytest.mark.unit
MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 139 GiB"),
    torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
)
FAILED = (
    torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
    torch.AcceleratorError("CUDA error: unspecified launch failure"),
    torch.AcceleratorError("CUDA error: device-side assert triggered"),
    torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered"),
    RuntimeError("CUDA driver error: unknown error"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle)`"),
)
OWN = (
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you passed in a tensor"),
    RuntimeError("CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasSgemm( handle)`"),
    torch.AcceleratorError("CUDA error: invalid device ordinal"),
    torch.AcceleratorError("CUDA error: no kernel image is available for execution on the device"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (1x2 and 3x4)"),
    ValueError("CUDA error: in the words of another exception"),
)


@pytest.mark.parametrize("error", MEMORY, ids=str)
def test_memory(error):
    assert lacks_gpu_memory(error)
    assert not gpu_failed(error)
    assert Fault.of(error).kind == "GPU memory"


@pytest.mark.parametrize("error", FAILED, ids=str)
def test_a_gpu_that_failed(error):
    assert gpu_failed(error)
    assert not lacks_gpu_memory(error)
    assert Fault.of(error).kind == "infrastructure"


@pytest.mark.parametrize("error", OWN, ids=str)
def test_what_comes_of_what_was_asked_for(error):
    assert not gpu_failed(error)
    assert not lacks_gpu_memory(error)
    assert Fault.of(error).kind == "own"


class _Lacking(torch.nn.Module):
    """A network that finds a GPU without memory when it computes."""

    def forward(self, images):
        raise MEMORY[0]


def lacking_network(num_classes, in_chans):
    """One that computes so."""
    return _Lacking()


def lacking(**options):
    """A network or generator that finds a GPU without memory when it is made."""
    raise MEMORY[0]


THROUGH = {
    "an import": lambda: import_callable("lacks_memory:made", "Network", "a network"),
    "a generator": lambda: build_custom(kinds.BLOBS.replace(name=f"{__name__}:lacking"), device="cpu"),
    "a network": lambda: check_network(Network(name=f"{__name__}:lacking"), channels=1, resolution=8, classes=2),
    "its images": lambda: check_network(
        Network(name=f"{__name__}:lacking_network"), channels=1, resolution=8, classes=2
    ),
    "a single image": lambda: takes_one_image(_Lacking(), torch.zeros(1, 1, 8, 8)),
}


@pytest.mark.parametrize("way", THROUGH)
def test_they_pass_through_code_of_others_as_they_are(way, tmp_path, monkeypatch):
    (tmp_path / "lacks_memory.py").write_text(f"import torch\nraise torch.OutOfMemoryError({str(MEMORY[0])!r})\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(torch.OutOfMemoryError):
        THROUGH[way]()
