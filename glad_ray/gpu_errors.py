"""What an error says of a GPU: by its text, where PyTorch has no exception of its own for what CUDA says.

Nothing here imports PyTorch, which processes of one kind or another go without.
"""

import re
import sys

_MEMORY = re.compile(r"(CUDA|HIP)\b.*out of memory|CU[A-Z]+_STATUS_ALLOC_FAILED", re.IGNORECASE)
# These come of what was asked for, and the GPU goes on.
_REFUSED = r"invalid|no kernel image|operation not supported|CU[A-Z]+_STATUS_"
_FAILED = re.compile(
    rf"(CUDA|HIP)( driver)? error: (?!{_REFUSED})|"
    r"CU[A-Z]+_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR|MAPPING_ERROR|NOT_INITIALIZED)"
)


def lacks_gpu_memory(error: BaseException) -> bool:
    """Whether it says that a GPU has too little memory left."""
    if isinstance(error, getattr(sys.modules.get("torch"), "OutOfMemoryError", ())):
        return True
    return isinstance(error, RuntimeError) and _MEMORY.search(str(error)) is not None


def gpu_failed(error: BaseException) -> bool:
    """Whether it says that a GPU failed, after which this process can compute nothing there: an illegal access of
    memory, a launch that failed, a cable that came loose.
    """
    told = isinstance(error, RuntimeError) and _FAILED.search(str(error)) is not None
    return told and not lacks_gpu_memory(error)


def of_gpu(error: BaseException) -> bool:
    """Whether it is either: no fault of the code that it came through."""
    return lacks_gpu_memory(error) or gpu_failed(error)
