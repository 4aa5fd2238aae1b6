"""GPUs pretended in the processes of Ray, where what computes tells which it used, and some of it fails.

As CUDA does, a process reads once, at its start, which GPUs it sees.
"""

import contextlib
import json
import os
from pathlib import Path

import ray
import torch

from glad_ray import machine
from tests.gpu_rehearsal.gpu import Mode, PretendedGPU
from tests.gpu_rehearsal.uses import COUNT, FAULTS, TOLD, Use

ERRORS = {
    "memory": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB. (pretended)"),
    "library": lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "failure": lambda: torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
}
_TASKS = {
    "DistillationTrial": "distil",
    "Replica": "replica",
    "evaluation of": "evaluation",
    "expert ": "experts",
    "measurement of": "measurement",
}
"""by how the names of Ray's tasks begin"""
_OPERATIONS_BEFORE = 40
_CALLS_BEFORE = 8
"""of a replica, so that its generator is there"""


class _GPU(PretendedGPU):
    """Fails after some operations, and goes on failing where that is what a GPU does."""

    def __init__(self, count):
        super().__init__(count)
        self.error, self.operations_left, self.calls = None, 0, 0

    def run(self, func, args, kwargs):
        if self.error is not None:
            self.operations_left -= 1
            if self.operations_left < 0:
                error = ERRORS[self.error]()
                if self.error != "failure":
                    self.error = None
                raise error
        return super().run(func, args, kwargs)


class _InThisThread(Mode):
    def __init__(self, gpu):
        super().__init__()
        self.gpu = gpu

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return self.gpu.run(func, args, kwargs or {})


def begin():
    """Let there be GPUs in this process, from now on."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = list(map(str, range(int(os.environ[COUNT])))) if seen is None else seen.split(",")
    gpu = _GPU(len(names))
    gpu.begin()

    @contextlib.contextmanager
    def current_device(device):
        if device.type != "cuda":
            yield
            return
        task = _task()
        gpu.calls += 1
        if task != "replica" or gpu.calls > _CALLS_BEFORE:
            _meet_fault(gpu, task)
        before = [memory.live for memory in gpu.memories]
        for memory in gpu.memories:
            memory.peak = memory.live
        try:
            with _InThisThread(gpu), torch.cuda.device(device), torch.autograd.set_multithreading_enabled(False):
                yield
        finally:
            used = [name for name, memory, live in zip(names, gpu.memories, before, strict=True) if memory.peak > live]
            use = Use(os.getpid(), task, [str(each).strip() for each in ray.get_gpu_ids()], used)
            with open(Path(os.environ[TOLD]) / str(os.getpid()), "a") as file:
                print(json.dumps(use), file=file)

    machine.current_device = current_device


def _task():
    name = ray.get_runtime_context().get_task_name() or ""
    # A replica computes in threads of its own.
    return next((kind for title, kind in _TASKS.items() if name.startswith(title)), "replica")


def _meet_fault(gpu, task):
    for kind in ERRORS:
        with contextlib.suppress(OSError):
            (Path(os.environ.get(FAULTS, "/nowhere")) / f"{task} {kind}").unlink()
            gpu.error, gpu.operations_left = kind, _OPERATIONS_BEFORE
            return
