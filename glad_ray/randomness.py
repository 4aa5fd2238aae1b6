"""Random numbers by name: every draw comes from (identity, purpose, step) and from nothing else.

So a resumed run is the uninterrupted run, and what runs beside it does not matter.
"""

import hashlib

import torch


def seed_for(identity: str, purpose: str, *steps: int) -> int:
    """A 63-bit seed that follows from the names alone, the same on every machine."""
    text = "/".join([identity, purpose, *map(str, steps)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def rng_for(identity: str, purpose: str, *steps: int) -> torch.Generator:
    """A CPU random state for one purpose at one step of a run (or of an expert): draws are made on the CPU, then
    moved, so that CPU and GPU runs draw alike.
    """
    return torch.Generator().manual_seed(seed_for(identity, purpose, *steps))
