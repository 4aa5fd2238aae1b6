"""What a GPU refuses to compute, and what makes the CPU wait for it."""

from functools import cache

import torch

from tests.gpu_rehearsal.tensors import CudaTensor

aten = torch.ops.aten
_COPIES = (aten._to_copy, aten.copy_)
_INDEXING = (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index)
# The CPU reads a value, or the size of the result depends on values.
_READING = {
    aten._local_scalar_dense: "a value is read",
    aten.equal: "a value is read",
    aten.is_nonzero: "a value is read",
    aten.nonzero: "the size depends on values",
    aten.masked_select: "the size depends on values",
    aten._unique2: "the size depends on values",
    aten.unique_dim: "the size depends on values",
    aten.unique_consecutive: "the size depends on values",
    aten.bincount: "the size depends on values",
}
# A scalar of the CPU may stand among tensors of a GPU where an operation goes number by number, and in these.
_TAKE_SCALARS = (aten.fill_, aten.fill, aten.masked_fill, aten.masked_fill_, *_INDEXING)
# PyTorch has no deterministic kernels for these (alertNotDeterministic); for index_add, index_put and scatter it has.
_IN_ANY_ORDER = (
    aten.grid_sampler_2d_backward,
    aten._adaptive_avg_pool2d_backward,
    aten.adaptive_max_pool2d_backward,
    aten.reflection_pad2d_backward,
    aten.replication_pad2d_backward,
    aten.upsample_bilinear2d_backward,
    aten.upsample_bicubic2d_backward,
)
# Each is computed by one of another name on a GPU.
_NAMED_OTHERWISE = (
    aten._scaled_dot_product_flash_attention_for_cpu,
    aten._scaled_dot_product_flash_attention_for_cpu_backward,
)
_WITHOUT_KERNELS = (
    aten.detach,
    aten.empty,
    aten.empty_like,
    aten.empty_strided,
    aten.lift_fresh,
    aten.new_empty,
    aten.new_empty_strided,
    aten._unsafe_view,
)
_KERNELS = (
    "CUDA",
    "CompositeExplicitAutograd",
    "CompositeExplicitAutogradNonFunctional",
    "CompositeImplicitAutograd",
)


@cache
def has_kernel(func):
    """Whether this build of PyTorch has an operation for GPUs, as a kernel or made of others."""
    if func.overloadpacket in _NAMED_OTHERWISE:
        return True
    return any(func.has_kernel_for_dispatch_key(getattr(torch._C.DispatchKey, key)) for key in _KERNELS)


@cache
def draws(func):
    """Whether an operation draws random numbers."""
    # Attention draws where it has dropout of its own, which is used nowhere here.
    return torch.Tag.nondeterministic_seeded in func.tags and func.overloadpacket not in _NAMED_OTHERWISE


@cache
def launches(func):
    """Whether an operation lets a GPU compute or copy: not views, nor room without content."""
    views = any(each.alias_info and not each.alias_info.is_write for each in func._schema.returns)
    return not views and func.overloadpacket not in _WITHOUT_KERNELS


@cache
def _number_by_number(func):
    return func.overloadpacket in _TAKE_SCALARS or torch.Tag.pointwise in func.tags


@cache
def written(func):
    """Which arguments an operation writes into."""
    if func.overloadpacket is aten.native_batch_norm:
        # The running mean and variance, which its schema does not tell.
        return [False] * 3 + [True] * 2
    return [bool(each.alias_info and each.alias_info.is_write) for each in func._schema.arguments]


def refusal(func, args, tensors, target, draws):
    """Why an operation cannot be computed; None if it can.

    `target` is the number of the GPU of its result, `draws` of that whose random state it draws from; None: the CPU.
    """
    if func.overloadpacket in _IN_ANY_ORDER and torch.are_deterministic_algorithms_enabled():
        return f"{func} does not have a deterministic implementation"
    there = {each.index for each in tensors if isinstance(each, CudaTensor)}
    name = func.overloadpacket
    if draws != target:
        return f"Expected a generator of {_named(target)}, but found one of {_named(draws)}"
    if name in _COPIES:
        return None
    if len(there) > 1:
        return f"Expected all tensors to be on the same device, but found cuda:{' and cuda:'.join(map(str, there))}"
    on_cpu = [each for each in tensors if not isinstance(each, CudaTensor)]
    if not there or not on_cpu:
        return None
    if name in _INDEXING:
        if not isinstance(args[0], CudaTensor):
            return "indices should be either on cpu or on the same device as the indexed tensor (cpu)"
        on_cpu = [each for each in on_cpu if not any(each is index for index in args[1])]
    scalars = _number_by_number(func)
    into = [arg for arg, writes in zip(args, written(func), strict=False) if writes]
    wrong = [each for each in on_cpu if each.dim() or not scalars or any(each is arg for arg in into)]
    if not wrong:
        return None
    shapes = ", ".join(str(tuple(each.shape)) for each in wrong)
    return f"Expected all tensors to be on the same device, but found at least two devices: of the CPU {shapes}"


def copy_between(func, args, kwargs, target):
    """`upload` or `download` if an operation copies between CPU and GPU, and whether the CPU is to go on meanwhile."""
    name = func.overloadpacket
    if name not in _COPIES:
        return None, False
    if name is aten.copy_:
        into, source = args[:2]
        to_gpu, asynchronous = isinstance(into, CudaTensor), kwargs.get("non_blocking", args[2:] == (True,))
    else:
        source, to_gpu, asynchronous = args[0], target is not None, kwargs.get("non_blocking", False)
    if to_gpu == isinstance(source, CudaTensor):
        return None, False
    return ("upload" if to_gpu else "download"), asynchronous


def copied(func, args):
    """What a copy is made of."""
    return args[1] if func.overloadpacket is aten.copy_ else args[0]


def wait(func, args, kwargs):
    """How an operation other than a copy makes the CPU wait for the GPU; None if it does not."""
    name = func.overloadpacket
    if name in _INDEXING and isinstance(args[0], CudaTensor):
        indices = [each for each in args[1] if each is not None]
        if not all(isinstance(each, CudaTensor) for each in indices):
            return "an index that lies on the CPU"
        # A mask that is filled with one number needs no indices.
        filled = len(args) > 2 and args[2].numel() == 1
        if not filled and any(each.dtype in (torch.bool, torch.uint8) for each in indices):
            return "a mask as an index"
        return None
    if name is aten.repeat_interleave and kwargs.get("output_size") is None:
        return "the size depends on values"
    return _READING.get(name)


def _named(index):
    return "the CPU" if index is None else f"cuda:{index}"
