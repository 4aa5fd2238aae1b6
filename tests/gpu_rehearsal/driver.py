"""What `torch.cuda` is asked for: which GPUs there are, their memory and their random states."""

from types import SimpleNamespace

import torch

from tests.gpu_rehearsal.tensors import gpu_index


class Driver:
    """Answers for `torch.cuda`; `memories` are the accounts of the GPUs, `wait` is told when one is waited for."""

    def __init__(self, memories, wait):
        self.memories, self.wait = memories, wait
        self.current = 0
        """the GPU that is meant where none is named"""
        self.contexts = set()
        """the GPUs that were used, each of which keeps some memory for this process"""
        self.emptied = []
        """bytes that lay on the first GPU each time the caches were emptied"""
        self.states = {}

    @property
    def begun(self):
        """Whether a GPU was used, before which some calls fail."""
        return bool(self.contexts)

    def begin(self, index=None):
        self.contexts.add(self.current if index is None else index)

    def current_device(self):
        self.begin()
        return self.current

    def exchange_device(self, index):
        before, self.current = self.current, self.current if index < 0 else index
        return before

    def memory(self, device=None):
        return self.memories[self._index(device)]

    def _index(self, device):
        return self.current if device is None else device if isinstance(device, int) else gpu_index(device)

    def get_rng_state(self, device="cuda"):
        index = self._index(device)
        return self.states.get(index, torch.Generator().manual_seed(index).get_state())

    def set_rng_state(self, state, device="cuda"):
        self.states[self._index(device)] = state.clone()

    def empty_cache(self):
        self.emptied.append(self.memory().live)

    def reset_peak_memory_stats(self, device=None):
        if not self.begun:
            raise RuntimeError("Invalid device argument: did you call init?")
        self.memory(device).peak = self.memory(device).live

    def replacements(self):
        """What stands in place of functions of `torch.cuda`, by their names."""
        return {
            "_lazy_init": self.begin,
            "init": self.begin,
            "is_available": lambda: True,
            "is_initialized": lambda: self.begun,
            "device_count": lambda: len(self.memories),
            "current_device": self.current_device,
            "_exchange_device": self.exchange_device,
            "_maybe_exchange_device": self.exchange_device,
            "synchronize": lambda device=None: self.wait("the GPU is waited for"),
            "get_device_capability": lambda device=None: (9, 0),
            "get_device_name": lambda device=None: f"pretended GPU {self._index(device)}",
            "get_device_properties": lambda device=None: SimpleNamespace(total_memory=self.memory(device).limit),
            "get_rng_state": self.get_rng_state,
            "set_rng_state": self.set_rng_state,
            "empty_cache": self.empty_cache,
            "reset_peak_memory_stats": self.reset_peak_memory_stats,
            "memory_allocated": lambda device=None: self.memory(device).live,
            "memory_reserved": lambda device=None: self.memory(device).live,
            "max_memory_allocated": lambda device=None: self.memory(device).peak,
            "max_memory_reserved": lambda device=None: self.memory(device).peak,
            "mem_get_info": lambda device=None: (
                self.memory(device).limit - self.memory(device).live,
                self.memory(device).limit,
            ),
        }
