"""Errors as PyTorch words them for what CUDA and its libraries say."""

import pytest
import torch

from glad_ray.engine.faults import Fault
from glad_ray.gpu_errors import gpu_failed, lacks_gpu_memory

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
