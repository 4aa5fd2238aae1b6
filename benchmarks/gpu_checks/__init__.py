"""The checks of `on_gpu.py`, one a file: what only a GPU can show. `core_speed.py` times on a CPU what they compute."""
