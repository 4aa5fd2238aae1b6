"""The GPU rehearsed on a CPU: what of the core would fail on a GPU, wait for one, or keep its memory.

`PretendedGPU` (gpu.py) makes PyTorch believe in GPUs. Its tensors (tensors.py) say that they are on `cuda:0`, lie in
the memory of the CPU and are computed there, so results are those of the CPU. It refuses what a GPU refuses and counts
what waits for one (rules.py), keeps account of memory (memory.py), and answers for `torch.cuda` (driver.py).

It changes PyTorch for the whole process. So pytest runs each test module of this folder in a process of its own, as one
test (conftest.py). It rests on private names of PyTorch, of the version that constraints.txt pins. mutations.py shows
that the tests find faults: it puts one after another into copies of the package.

What it cannot show: kernels of a GPU for each dtype, their rounding and speed, errors that come late, several streams,
memory that is in pieces.
"""
