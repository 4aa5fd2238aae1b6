"""The folder that a storm has to itself.

A file system in memory is mounted on it, which no process outside sees, for Ray's sessions, the storage and the cache.
Nothing else is below it, so that the mount hides neither a checkout nor a virtual environment, wherever they are. Its
name is short because Ray's sockets have names of at most 107 bytes.
"""

from pathlib import Path

PLACE = Path("/tmp/glad-ray-place")
DISK = PLACE / "disk"
"""where the storage's own file system is mounted"""
IMAGES = PLACE / "images"
"""prepared images"""
TEMPORARY = PLACE / "tmp"
"""temporary files, those of Ray among them"""
