"""The pretended GPUs: every operation of PyTorch goes through `PretendedGPU.run`."""

import contextlib
import importlib
import sys
from collections import Counter
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import glad_ray
from tests.gpu_rehearsal import rules
from tests.gpu_rehearsal.driver import Driver
from tests.gpu_rehearsal.graphs import Graphs
from tests.gpu_rehearsal.memory import Memory
from tests.gpu_rehearsal.rules import aten
from tests.gpu_rehearsal.tensors import CudaTensor, GeneratorOfAnyDevice, gpu_index

_PACKAGE = str(Path(glad_ray.__file__).parent) + "/"


class Mode(TorchDispatchMode):
    """Nothing in it is compiled, so that what compiles is not imported, which takes a process 2.5 s."""

    @classmethod
    def _should_skip_dynamo(cls):
        return False


class PretendedGPU(Mode):
    """As a context: there are `count` GPUs, each with `limit` bytes of memory.

    With `sizes_only`, tensors have shapes and sizes and no numbers, so that large steps take no time and no memory.
    """

    def __init__(self, count=1, *, limit=2**40, sizes_only=False):
        super().__init__()
        self.count, self.sizes_only = count, sizes_only
        self.memories = [Memory(limit) for _ in range(count)]
        self.waits = Counter()
        """how often the CPU waited for a GPU: by how, and by the line of the package"""
        self.without_kernel = Counter()
        """operations that were asked of a GPU, and that PyTorch cannot compute on one, by line of the package"""
        self.launches = Counter()
        """operations that a GPU was given, by line of the package; each is one kernel or more"""
        self.fp32_precisions = {}
        """a line of the package for each way in which PyTorch was set to make convolutions and other products"""
        self._driver = Driver(self.memories, self._wait)
        self._graphs, self._aside = Graphs(self), False
        self._uploading, self._downloading, self._generators = [], [], {}

    @property
    def memory(self):
        """The account of the first GPU."""
        return self.memories[0]

    @property
    def current(self):
        """The GPU that is meant where none is named."""
        return self._driver.current

    @property
    def contexts(self):
        """The GPUs that were used."""
        return self._driver.contexts

    @property
    def emptied(self):
        """Bytes that lay on the first GPU each time the caches were emptied."""
        return self._driver.emptied

    @contextlib.contextmanager
    def counted(self):
        """The waits within, apart from those before."""
        before = self.waits.copy()
        counted = Counter()
        yield counted
        counted.update(self.waits - before)

    def keep_generator(self, generator):
        """Know a random state of a GPU again."""
        self._generators[generator._cdata] = generator

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return self.run(func, args, kwargs or {})

    def run(self, func, args, kwargs):
        """Compute an operation, as a GPU would if its result or an argument is there."""
        if self._aside:
            return func(*args, **kwargs)
        if func is aten.is_pinned.default:
            return _is_pinned(args[0])
        if func is aten._pin_memory.default:
            self._driver.begin()
            return _pinned(args[0])
        tensors = _tensors_in(args, kwargs)
        there = [each for each in tensors if isinstance(each, CudaTensor)]
        asked, generator = kwargs.get("device"), kwargs.get("generator")
        target = gpu_index(asked) if asked is not None else there[0].index if there else None
        drawn_by = None if generator is None else getattr(self._generators.get(generator._cdata), "index", None)
        if target is None and drawn_by is None and not there:
            return func(*args, **kwargs)
        self._driver.begin(target)
        if not rules.has_kernel(func):
            self.without_kernel[str(func), self._line()] += 1
        draws = target if generator is None else drawn_by
        if (wrong := rules.refusal(func, args, tensors, target, draws)) is not None:
            raise RuntimeError(f"{wrong} ({func}, {self._line()})")
        copy, goes_on = rules.copy_between(func, args, kwargs, target)
        if copy is not None or rules.wait(func, args, kwargs) is not None or (target is not None and rules.draws(func)):
            self._graphs.refuse(func)
        if copy == "upload" and goes_on and _is_pinned(source := rules.copied(func, args)):
            self._uploading.append((source, source._version))
        elif copy == "upload" or (copy == "download" and not goes_on):
            self._wait(f"{copy} that is waited for")
        elif copy is None and (how := rules.wait(func, args, kwargs)) is not None:
            self._wait(how)
        if target is not None and generator is None and rules.draws(func):
            with self._own_random_state(target):
                out = self._compute(func, args, kwargs, tensors, target)
        else:
            out = self._compute(func, args, kwargs, tensors, target)
        if target is not None and rules.launches(func) and self._graphs.recording is None:
            self.count_launch()
        if copy == "download" and goes_on:
            # Until the GPU is waited for, the CPU reads what is not there yet.
            self._downloading.append((out, out.clone()))
            out.fill_(torch.nan if out.is_floating_point() else torch.iinfo(out.dtype).max)
        return out

    def _compute(self, func, args, kwargs, given, target):
        sizes_only = self.sizes_only and target is not None
        args, kwargs = _held(args, sizes_only), {name: _held(each, sizes_only) for name, each in kwargs.items()}
        if kwargs.get("device") is not None and target is not None:
            kwargs["device"] = "meta" if self.sizes_only else "cpu"
        if target is not None and func.overloadpacket in _SUMS_OF_PRODUCTS and given[0].dtype == torch.float32:
            backends = torch.backends
            self.fp32_precisions[backends.cudnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision] = self._line()
        recording = None if target is None else self._graphs.recording
        if recording is not None:
            recording.before(func, args)
        if func.overloadpacket in _SUMS_OF_PRODUCTS and (half := _half_precision(given)) is not None:
            out = _rounded(func(*_float32(args), **kwargs), half)
        else:
            out = func(*args, **kwargs)
        if target is None:
            return out
        if recording is not None:
            recording.after(func, args, kwargs, out)
        own = {id(each.held if isinstance(each, CudaTensor) else each): each for each in given}
        return self._placed(out, target, own)

    def _placed(self, out, index, own):
        """What an operation returned as tensors of a GPU; `own` are those that it was given."""
        if isinstance(out, list | tuple):
            return type(out)([self._placed(each, index, own) for each in out])
        if not isinstance(out, Tensor):
            return out
        if (known := own.get(id(out))) is not None:
            return known
        made = CudaTensor(out, index)
        self.memories[index].hold(made, self._line)
        return made

    def count_launch(self):
        """A GPU is given something to do."""
        self.launches[self._line()] += 1

    @contextlib.contextmanager
    def aside(self):
        """Operations within are no operations of a GPU."""
        before, self._aside = self._aside, True
        yield
        self._aside = before

    def _wait(self, how):
        self._graphs.refuse(how)
        self.waits[how, self._line()] += 1
        self.finish()

    def finish(self):
        """The GPU has done all it was given; raises `RuntimeError` if it was given something else in the end."""
        for into, arrived in self._downloading:
            into.copy_(arrived)
        uploaded, self._uploading, self._downloading = self._uploading, [], []
        if any(source._version != version for source, version in uploaded):
            raise RuntimeError("pinned memory was written into before its upload had ended")

    @contextlib.contextmanager
    def _own_random_state(self, index):
        """For draws without a generator: a GPU has a random state of its own."""
        kept = torch.default_generator.get_state()
        torch.default_generator.set_state(self._driver.get_rng_state(index))
        yield
        self._driver.set_rng_state(torch.default_generator.get_state(), index)
        torch.default_generator.set_state(kept)

    def _line(self):
        """The line of the package that is being executed."""
        frame = sys._getframe(1)
        while frame is not None and not frame.f_code.co_filename.startswith(_PACKAGE):
            frame = frame.f_back
        return (
            "outside of the package"
            if frame is None
            else f"{frame.f_code.co_filename[len(_PACKAGE) :]}:{frame.f_lineno}"
        )

    def begin(self):
        """Let there be GPUs; what computes on them does so within this context, too."""
        assert CudaTensor.gpu is None, "one pretence at a time"
        with contextlib.ExitStack() as around:
            for name, replacement in (self._driver.replacements() | self._graphs.replacements()).items():
                around.enter_context(mock.patch.object(torch.cuda, name, replacement))
            around.enter_context(mock.patch.object(torch, "Generator", GeneratorOfAnyDevice))
            around.enter_context(mock.patch.object(CudaTensor, "gpu", self))
            for name in ("torch.optim.optimizer", "torch.utils._foreach_utils"):
                # As for tensors of a GPU, optimisers step all parameters at once.
                module = importlib.import_module(name)
                types = [*module._foreach_supported_types, CudaTensor]
                around.enter_context(mock.patch.object(module, "_foreach_supported_types", types))
            around.enter_context(torch.autograd.set_multithreading_enabled(False))
            around.callback(torch._C._set_only_lift_cpu_tensors, torch._C._only_lift_cpu_tensors())
            # A tensor of given numbers is made on the CPU and then copied.
            torch._C._set_only_lift_cpu_tensors(True)
            self._around = around.pop_all()

    def __enter__(self):
        self.begin()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self._around.close()
        if error == (None, None, None):
            self.finish()
            if self.without_kernel:
                raise NotImplementedError(
                    f"PyTorch has no kernels for GPUs of {', '.join(map(str, self.without_kernel))}"
                )


def _tensors_in(args, kwargs):
    """Those among the arguments of an operation, also in lists."""
    tensors = []
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor):
            tensors.append(value)
        elif isinstance(value, list | tuple):
            tensors += [each for each in value if isinstance(each, Tensor)]
    return tensors


# A GPU adds up products of half precision in float32; a CPU takes long to do it in another way.
_SUMS_OF_PRODUCTS = (aten.convolution, aten.convolution_backward, aten.mm, aten.addmm, aten.bmm, aten.baddbmm)


def _half_precision(tensors):
    return next((each.dtype for each in tensors if each.dtype in (torch.float16, torch.bfloat16)), None)


def _float32(args):
    return [each.float() if isinstance(each, Tensor) and each.is_floating_point() else each for each in args]


def _rounded(out, dtype):
    return (
        tuple(map(_rounded, out, [dtype] * len(out)))
        if isinstance(out, tuple)
        else out
        if out is None
        else out.to(dtype)
    )


def _held(value, sizes_only):
    """An argument of an operation without tensors of GPUs."""
    if isinstance(value, CudaTensor):
        return value.held
    if isinstance(value, list | tuple):
        return type(value)([_held(each, sizes_only) for each in value])
    return value.to("meta") if sizes_only and isinstance(value, Tensor) and value.dim() else value


def _is_pinned(tensor):
    return getattr(tensor, "pinned", False)


def _pinned(tensor):
    copy = tensor.clone()
    copy.pinned = True
    return copy
