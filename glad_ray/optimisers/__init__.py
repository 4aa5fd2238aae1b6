"""Steps along gradients. PyTorch's own optimisers import its compiler, see `glad_ray.optimisers.sgd`."""
