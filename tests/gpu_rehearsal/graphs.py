"""CUDA graphs on a pretended GPU: a capture computes nothing and writes down what it was given, a replay computes it.

As on a GPU: what is captured reads and writes the same memory in every replay, be it as it may by then; results lie
where the capture put them, and mean nothing before the first replay; nothing may be waited for, uploaded or drawn; and
the graphs of a pool share memory, which is theirs as long as one of them is there.
"""

import contextlib
import inspect
from types import SimpleNamespace

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from tests.gpu_rehearsal import rules

_CAPTURE = inspect.signature(torch.cuda.graph)


class Recording:
    """What a graph is made of."""

    def __init__(self):
        self.operations = []
        self._untouched, self._own = [], set()

    def before(self, func, args):
        """Keep what an operation is about to write into, unless this recording made it."""
        for arg, writes in zip(args, rules.written(func), strict=False):
            for tensor in (each for each in tree_leaves(arg) if writes and isinstance(each, Tensor)):
                if tensor.untyped_storage()._cdata not in self._own:
                    self._untouched.append((tensor, tensor.clone()))

    def after(self, func, args, kwargs, out):
        """Take an operation down."""
        given = {each.untyped_storage()._cdata for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)}
        made = [each for each in tree_leaves(out) if isinstance(each, Tensor)]
        self._own |= {each.untyped_storage()._cdata for each in made} - given
        if rules.launches(func):
            # Scalars of the CPU are numbers of the kernel.
            self.operations.append((func, args, kwargs, made))

    def end(self):
        """Nothing was computed: put back what was written into, and leave no meaning in what was made."""
        for tensor, kept in reversed(self._untouched):
            tensor.copy_(kept)
        for *_, made in self.operations:
            for each in made:
                if each.untyped_storage()._cdata in self._own and each.is_floating_point():
                    each.fill_(torch.nan)
        self._untouched.clear()


class Pool:
    """The memory of graphs that share it; `room` is a tensor that takes it."""

    def __init__(self):
        self.room = None


class Graphs:
    """Answers for the parts of `torch.cuda` that graphs and streams need."""

    def __init__(self, gpu):
        self._gpu = gpu
        self.recording = None
        """what is being captured, if anything is"""

    def refuse(self, what):
        """What would wait for a GPU, or be there but once, cannot be captured."""
        if self.recording is not None:
            raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing ({what}, pretended)")

    @contextlib.contextmanager
    def capture(self, graph, pool, memory):
        """Record the operations within."""
        assert self.recording is None, "one capture at a time"
        torch.cuda.synchronize()
        pool.room = None
        live, memory.peak, peak = memory.live, memory.live, memory.peak
        self.recording = recording = Recording()
        try:
            yield
        finally:
            self.recording = None
            with self._gpu.aside():
                recording.end()
        graph.operations, graph.shared = recording.operations, pool
        taken, memory.peak = memory.peak - live, max(peak, memory.peak)
        pool.room = torch.empty(taken, dtype=torch.uint8, device="cuda")

    def replacements(self):
        """What stands in place of names of `torch.cuda`."""
        gpu, graphs = self._gpu, self

        class CUDAGraph:
            """Operations that were captured."""

            def replay(self):
                graphs.refuse("a replay")
                gpu.count_launch()
                with gpu.aside():
                    for func, args, kwargs, made in self.operations:
                        out = [each for each in tree_leaves(func(*args, **kwargs)) if isinstance(each, Tensor)]
                        for into, value in zip(made, out, strict=True):
                            if into is not value:
                                into.copy_(value)

        def graph(*args, **kwargs):
            given = _CAPTURE.bind(*args, **kwargs).arguments
            assert given["capture_error_mode"] in ("global", "thread_local", "relaxed")
            return self.capture(given["cuda_graph"], given.get("pool") or Pool(), gpu.memory)

        stream = SimpleNamespace(wait_stream=lambda other: None)
        return {
            "CUDAGraph": CUDAGraph,
            "graph": graph,
            "graph_pool_handle": Pool,
            "Stream": lambda device=None: stream,
            "current_stream": lambda device=None: stream,
            "stream": lambda stream: contextlib.nullcontext(),
        }
