"""Tensors and random states that say they are on a GPU, and lie in the memory of the CPU.

PyTorch's C++ takes such a tensor for one of a backend of another name: of a CUDA tensor, autograd would ask a GPU for
its streams. Python sees `cuda:<index>`.
"""

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_BACKEND = "pretended"
_setup_privateuseone_for_python_backend(_BACKEND)
torch._C._ensureCUDADeviceGuardSet()
_PlainGenerator = torch.Generator


def _not_reached(*args):
    raise AssertionError("tensors of a pretended GPU have no kernels")


# GPUs have kernels for these; for other backends without one, PyTorch would take them apart.
_KERNELS = torch.library.Library("aten", "IMPL")
for _name in ("silu_backward", "mish_backward", "_fused_rms_norm"):
    _KERNELS.impl(_name, _not_reached, "PrivateUse1")


def _attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, *, scale=None, enable_gqa=False):
    """On a GPU attention is one operation, unless that is turned off; for other backends PyTorch takes it apart."""
    fused = torch.backends.cuda.flash_sdp_enabled()
    aten = torch.ops.aten
    attend = aten._scaled_dot_product_flash_attention_for_cpu if fused else aten._scaled_dot_product_attention_math
    return attend(q, k, v, dropout_p=dropout_p, is_causal=is_causal, attn_mask=attn_mask, scale=scale)[0]


_KERNELS.impl("scaled_dot_product_attention", _attention, "AutogradPrivateUse1")


def gpu_index(device):
    """The number of the GPU that is meant, None for other devices; `cuda` alone means the current one."""
    device = torch.device(device)
    if device.type not in ("cuda", _BACKEND):
        return None
    return CudaTensor.gpu.current if device.index is None and CudaTensor.gpu is not None else device.index or 0


def _for_cpp(device):
    """The device as PyTorch's C++ knows it."""
    index = gpu_index(device)
    return device if index is None else torch.device(_BACKEND, index)


class CudaTensor(Tensor):
    """A tensor that says it is on a GPU; `held` is the one that has the numbers."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    gpu = None
    """the pretended GPU that is there"""

    @staticmethod
    def __new__(cls, held, index):
        made = Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=torch.device(_BACKEND, index),
        )
        made.held, made.index = held, index
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        assert cls.gpu is not None, "a tensor of a pretended GPU is used after it"
        return cls.gpu.run(func, args, kwargs or {})

    @property
    def device(self):
        return torch.device("cuda", self.index)

    @property
    def is_cuda(self):
        return True

    def to(self, *args, **kwargs):
        args, kwargs = tree_map_only((str, torch.device), _for_cpp, (args, kwargs))
        return super().to(*args, **kwargs)

    def cuda(self, device="cuda", **kwargs):
        return self.to(device, **kwargs)

    def numpy(self, *, force=False):
        if force:
            return self.detach().cpu().numpy()
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
            "memory first."
        )

    def tolist(self):
        return self.cpu().tolist()

    def untyped_storage(self):
        return self.held.untyped_storage()

    def __repr__(self):
        return f"CudaTensor({self.held}, {self.device})"

    def __deepcopy__(self, memo):
        copy = self.detach().clone().requires_grad_(self.requires_grad)
        copy._is_param = getattr(self, "_is_param", False)
        return memo.setdefault(id(self), copy)

    # Modules ask for these two before they take a tensor of another type for a parameter.
    def __tensor_flatten__(self):
        return ["held"], self.index

    @staticmethod
    def __tensor_unflatten__(inner, index, size, stride):
        return CudaTensor(inner["held"], index)


class CudaGenerator(_PlainGenerator):
    """A random state of a GPU, which draws the numbers of one of a CPU."""

    def __new__(cls, device="cuda"):
        return super().__new__(cls)

    def __init__(self, device="cuda"):
        self.index = gpu_index(device)
        # By its address in C++, which other objects in Python may have; kept, so that no other gets that address.
        CudaTensor.gpu.keep_generator(self)

    @property
    def device(self):
        return torch.device("cuda", self.index)


class _EitherKind(type):
    def __instancecheck__(cls, instance):
        return isinstance(instance, _PlainGenerator)


class GeneratorOfAnyDevice(metaclass=_EitherKind):
    """What stands in place of `torch.Generator`."""

    def __new__(cls, device="cpu"):
        return _PlainGenerator(device) if gpu_index(device) is None else CudaGenerator(device)
