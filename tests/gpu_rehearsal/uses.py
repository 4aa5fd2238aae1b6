"""What processes with pretended GPUs are told, and tell, of themselves; nothing here pretends any."""

from typing import NamedTuple

COUNT = "GLAD_RAY_TESTS_GPUS"
TOLD = "GLAD_RAY_TESTS_TOLD"
"""a folder"""
FAULTS = "GLAD_RAY_TESTS_FAULTS"
"""a folder with a file for each, `<task> <kind>`, which whoever it meets takes away"""


class Use(NamedTuple):
    """What a unit of work, or a call of a replica, did."""

    process: int
    task: str
    given: list[str]
    """the GPUs that Ray gave it"""
    used: list[str]
    """those on which it made tensors"""
