"""From a record to the generator it describes, in this process."""

import numpy as np
import torch

from glad_ray.errors import UserError
from glad_ray.generators.autoencoder import Autoencoder, check_autoencoder
from glad_ray.generators.base import DifferentiableGenerator
from glad_ray.generators.custom import build_custom, import_generator
from glad_ray.generators.in_process import InProcessGenerator
from glad_ray.generators.random_stylegan import random_stylegan
from glad_ray.generators.stylegan_xl.generator import State, StyleGAN
from glad_ray.spec import CustomGenerator, DiffusersAutoencoder, GeneratorRecord, RandomStyleGAN, StyleGANFile
from glad_ray.spec.generators import StyleGANRecord
from glad_ray.stylegan.bundled import generator_path
from glad_ray.stylegan.files import GeneratorFile, read_generator

DEFAULT_MEMORY_GIB = 4.0


def build_generator(
    record: GeneratorRecord,
    *,
    device: torch.device | str = "cpu",
    memory_gib: float = DEFAULT_MEMORY_GIB,
    keep_graph: bool = False,
    learn: bool = False,
    file: GeneratorFile | None = None,
    dtype: torch.dtype | None = None,
) -> InProcessGenerator:
    """The generator of a record.

    `memory_gib` and `keep_graph` are those of `InProcessGenerator`; `learn`: its weights are among the latents; `file`:
    what `StyleGANFile` names, if it has been read already; `dtype`: in place of the record's precision. Raises
    `UserError` for what is not there or not what the record says, and for half precision on a CPU.
    """
    device = torch.device(device)
    if dtype is None:
        dtype = _precision(record, device)
    network: DifferentiableGenerator
    match record:
        case StyleGANRecord():
            network = StyleGAN(
                record.mapping_settings,
                record.synthesis_settings,
                _state(record, file),
                truncation=record.truncation,
                precision=dtype,
                device=device,
                learn=learn,
                encoder=record.encoder if isinstance(record, StyleGANFile) else None,
            )
        case DiffusersAutoencoder():
            network = Autoencoder(record, precision=dtype, device=device)
        case CustomGenerator():
            network = build_custom(record, device=device)
        case _:
            raise AssertionError(f"{record.kind} is not built")
    return InProcessGenerator(
        network,
        device=device,
        dtype=torch.float64 if dtype == torch.float64 else torch.float32,
        memory_gib=memory_gib,
        keep_graph=keep_graph,
        fp32="tf32" if getattr(record, "precision", None) == "tf32" else "float32",
    )


def check_generator(record: GeneratorRecord, device: torch.device | str) -> None:
    """Raise the `UserError` that building it on such a device would meet, as far as that can be told without it."""
    if record.missing is not None:
        raise UserError(record.missing)
    _precision(record, torch.device(device))
    match record:
        case DiffusersAutoencoder():
            check_autoencoder(record)
        case CustomGenerator():
            import_generator(record)


def read_file(record: GeneratorRecord) -> GeneratorFile | None:
    """What a record's file holds, if it names one; raises `UserError` if it is not there or has changed."""
    if not isinstance(record, StyleGANFile):
        return None
    if record.missing is not None:
        raise UserError(record.missing)
    file = read_generator(generator_path(record.path))
    if file.sha256 != record.sha256:
        raise UserError(f"Generator file {record.path} has changed since the sweep was made: start it again.")
    return file


def _state(record: StyleGANRecord, file: GeneratorFile | None) -> State:
    if isinstance(record, RandomStyleGAN):
        return random_stylegan(record)
    file = file or read_file(record)
    assert file is not None, "a StyleGAN that is not random has a file"
    # A copy: arrays shared between processes are read-only, and tensors cannot be.
    return {name: torch.tensor(np.asarray(array)) for name, array in file.state.items()}


def _precision(record: GeneratorRecord, device: torch.device) -> torch.dtype:
    precision = getattr(record, "precision", "float32")
    if precision == "tf32":
        return torch.float32
    if precision != "float32" and device.type == "cpu":
        raise UserError(
            f"generator.precision {precision} is for GPUs, where it saves time and memory: use float32 on a CPU."
        )
    dtype: torch.dtype = getattr(torch, precision)
    return dtype
