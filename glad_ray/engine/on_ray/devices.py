"""The device of a job on Ray: the CPU, or by its number the GPU that Ray gave; and the end of a process whose
GPU has failed.

Ray gives a process jobs that have different GPUs, and CUDA reads once which of them the process sees. So here
every process sees all GPUs of its machine.
"""

import contextlib
import os
import threading
import traceback
from collections.abc import Iterator

import ray
import torch

from glad_ray.errors import UserError
from glad_ray.gpu_errors import gpu_failed
from glad_ray.interrupts import exit_soon
from glad_ray.machine import current_device
from glad_ray.spec import Resources

ALL_SEEN = "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"
"""a variable of Ray's: if it is 1, Ray does not set CUDA_VISIBLE_DEVICES, and its processes see all GPUs"""
_VISIBLE = "CUDA_VISIBLE_DEVICES"

_ended = threading.Event()


def job_device(resources: Resources, gpus: float) -> str:
    """The device of a job with this share of GPUs; raises `UserError` rather than fall back to the CPU.

    Where that is the CPU, no GPU is seen by whatever it calls: Ray gives its process no jobs with GPUs.
    """
    if gpus == 0 or resources.logical_gpus:
        os.environ[_VISIBLE] = ""
        return "cpu"
    if not ray.get_gpu_ids() or not torch.cuda.is_available():
        raise UserError(
            "A GPU was asked for and PyTorch sees none on the machine: "
            "set resources.trial.gpus=0, or that of evaluation or expert."
        )
    return f"cuda:{_number(str(ray.get_gpu_ids()[0]).strip())}"


def _number(given: str) -> int:
    """The position of a GPU among those that are seen, where it may be named: `1`, `GPU-8932f937`, `MIG-GPU-8932f937`.

    Raises `UserError` where Ray hides GPUs from processes.
    """
    if os.environ.get(ALL_SEEN, "0").lower() not in ("1", "true"):
        here = ray.get_runtime_context().get_node_id()
        if any(node["NodeID"] == here and node["Resources"].get("GPU", 0) > 1 for node in ray.nodes()):
            raise UserError(
                f"This machine has several GPUs, and Ray was started without {ALL_SEEN}=1, so that its processes would "
                "use wrong ones: set it in the environment (os.environ) before ray.init, or let the sweep start Ray."
            )
    seen = os.environ.get(_VISIBLE)
    return int(given) if seen is None else [each.strip() for each in seen.split(",")].index(given)


@contextlib.contextmanager
def given_back(device: str) -> Iterator[None]:
    """Compute on a device, and afterwards give back the memory of a GPU that PyTorch keeps for later: Ray only counts
    shares of GPUs, and what an idle process keeps, others lack.

    A process whose GPU has failed ends as soon as it has told so: CUDA computes nothing there any more.
    """
    if _ended.is_set():
        os._exit(1)
    if device == "cpu":
        yield
        return
    try:
        with current_device(torch.device(device)):
            yield
    except Exception as error:
        if gpu_failed(error):
            end_process()
            raise
        free_frames(error)
        torch.cuda.empty_cache()
        raise
    torch.cuda.empty_cache()


def free_frames(error: BaseException) -> None:
    """Let go of what lies in the frames that an error came through, and the errors that led to it: tensors, for one."""
    seen, left = set[int](), [error]
    while left:
        each = left.pop()
        if id(each) not in seen:
            seen.add(id(each))
            traceback.clear_frames(each.__traceback__)
            left += [other for other in (each.__cause__, each.__context__) if other is not None]


def end_process() -> None:
    """End this process as soon as it has told why, and at once if it is given more to do."""
    if not _ended.is_set():
        _ended.set()
        exit_soon()
