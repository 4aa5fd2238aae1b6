"""The checks of `on_gpu.py`, one a file: what only a GPU can show."""
