"""Faults that programs for GPUs have, put into copies of the package, to see that the tests find each of them.

    python -m tests.gpu_rehearsal.mutations            # all of them, some twenty seconds each
    python -m tests.gpu_rehearsal.mutations upload     # those with this word in their names

Prints which test fails and why; ends with 1 if one fault was not found. Where the text to be changed is no longer in
the package, adapt the table.
"""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.gpu_rehearsal.process import rehearse

ROOT = Path(__file__).parents[2]


class Mutation(NamedTuple):
    """A fault: what of a file of the package is replaced, and where it is looked for."""

    name: str
    file: str
    before: str
    after: str
    tests: str
    """the module, and what `pytest -k` selects of it"""


DEVICES = (
    Mutation(
        "a network that is not moved", "experts/train.py",
        "_begun(expert_set, index, dataset).to(target)", "_begun(expert_set, index, dataset)",
        "test_given_back.py test_experts",
    ),
    Mutation(
        "an array made of a tensor on the GPU", "experts/train.py",
        "len(indices)).cpu(), losses", "len(indices)), losses",
        "test_given_back.py test_experts",
    ),
    Mutation(
        "masks drawn with a generator of the CPU", "networks/vit.py",
        "torch.Generator(device).manual_seed(seed)", "torch.Generator().manual_seed(seed)",
        "test_networks.py soft",
    ),
    Mutation(
        "a constant of a layer that stays on the CPU", "generators/stylegan_xl/synthesis.py",
        'self.register_buffer("power", power)', "self.power = power.cpu()",
        "test_waits.py test_a_step and w+",
    ),
    Mutation(
        "averaged weights on the CPU", "averages.py",
        "deepcopy(network).requires_grad_(False)", "deepcopy(network).cpu().requires_grad_(False)",
        "test_given_back.py test_an_evaluation",
    ),
    Mutation(
        "labels on the CPU in a loss", "algorithms/dc.py",
        "torch.full((len(images),), label, device=images.device)", "torch.full((len(images),), label)",
        "test_waits.py test_a_step",
    ),
    Mutation(
        "positions that stay on the CPU", "augment/operations.py",
        "self.compute(images, *upload_together(self.tensors, images.device))", "self.compute(images, *self.tensors)",
        "test_waits.py test_a_step",
    ),
    Mutation(
        "momenta on the CPU", "optimisers/latents.py",
        "name: torch.zeros_like(value) for", "name: torch.zeros(value.shape) for",
        "test_waits.py test_a_step",
    ),
    Mutation(
        "a checkpoint that stays on the CPU", "checkpoints.py",
        "k.removeprefix(prefix): v.to(device) for", "k.removeprefix(prefix): v for",
        "test_sweep.py stopped",
    ),
    Mutation(
        "soft labels that stay on the CPU", "set_evaluation.py",
        "taught.to(device), step, step_size", "taught, step, step_size",
        "test_networks.py soft",
    ),
    Mutation(
        "uploads to the first GPU, whichever it is", "machine.py",
        ".to(device, non_blocking=True)", '.to("cuda", non_blocking=True)',
        "test_sweep.py second_of_two",
    ),
    Mutation(
        "draws of other packages' networks with the GPU's own state", "networks/foreign.py",
        'devices = [] if device.type in ("cpu", "meta") else [device]', "devices = []",
        "test_networks.py another_package",
    ),
    Mutation(
        "a set that is written before it has arrived", "distillation.py",
        "{name: value.cpu() for name, value in state.latents.items()}",
        '{name: value.to("cpu", non_blocking=True) for name, value in state.latents.items()}',
        "test_networks.py together",
    ),
    Mutation(
        "half precision that is never left", "generators/stylegan_xl/synthesis.py",
        "return (x.to(codes.dtype) * self.settings.output_scale)", "return (x * self.settings.output_scale)",
        "../test_gpu.py half_precision",
    ),
    Mutation(
        "a peak reset of a GPU that was not used yet", "machine.py",
        "        torch.cuda.init()\n", "",
        "test_given_back.py test_a_run",
    ),
    Mutation(
        "pinned memory that begins to use the first GPU", "engine/computing.py",
        "with restored(), current_device(torch.device(device)):", "with restored():",
        "test_sweep.py second_of_two",
    ),
    Mutation(
        "a precision that is left to PyTorch", "distillation.py",
        "        with fp32_precision(run.precision, device):\n            state = yield",
        "        with contextlib.nullcontext():\n            state = yield",
        "test_given_back.py fp32_precision",
    ),
    Mutation(
        "a constant that the GPU rounds as it multiplies", "generators/stylegan_xl/activation.py",
        "return _banded(taps, (size - 1) * factor + len(taps) - 2 * crop, size, factor, crop).contiguous()",
        "return F.conv_transpose1d(torch.eye(size, device=taps.device)[:, None], taps[None, None], stride=factor, "
        "padding=crop)[:, 0].T.contiguous()",
        "test_given_back.py fp32_precision",
    ),
    Mutation(
        "a gradient that is added up in any order", "augment/operations.py",
        "if torch.are_deterministic_algorithms_enabled():", "if False:",
        "test_sweep.py deterministic_kernels",
    ),
)  # fmt: skip
WAITS = (
    Mutation(
        "an order that is uploaded by waiting", "algorithms/dc.py",
        "augmented[upload(order, self.device)]", "augmented[order.to(self.device)]",
        "test_waits.py test_a_step",
    ),
    Mutation(
        "a loss that is read after every mini-batch", "training.py",
        "total = total + losses * len(batches[0].index)",
        "total = total + losses.new_tensor(losses.tolist()) * len(batches[0].index)",
        "test_waits.py batch",
    ),
    Mutation(
        "draws that are uploaded by waiting", "augment/dsa.py",
        "upload_together([order, order.argsort(), *needed], images.device)",
        "[each.to(images.device) for each in (order, order.argsort(), *needed)]",
        "test_waits.py test_a_step",
    ),
    Mutation(
        "an upload that is asked not to wait, from memory that is not pinned", "machine.py",
        "tensor.pin_memory().to(device", "tensor.to(device",
        "test_waits.py test_a_step",
    ),
    Mutation(
        "a learning rate that a graph would keep for good", "captured.py",
        "self._optimiser.lr = numbers.rate\n", "self._optimiser.lr = float(numbers.rate)\n",
        "test_captured.py same_bits and convnet",
    ),
    Mutation(
        "a wait for the GPU in every step", "distillation.py",
        "    state.step += 1\n", "    state.step += 1\n    torch.cuda.synchronize()\n",
        "test_waits.py test_a_step",
    ),
    Mutation(
        "an index on the CPU", "data/draws.py",
        "kept[upload(index, device)]", "kept[index]",
        "test_waits.py test_a_step",
    ),
)  # fmt: skip
MEMORY = (
    Mutation(
        "features of every step that are kept", "algorithms/dm.py",
        "        return Match(loss=",
        '        vars(self).setdefault("seen", []).append(features)\n        return Match(loss=',
        "test_given_back.py test_a_run",
    ),
    Mutation(
        "real images kept from run to run", "data/draws.py",
        "    kept = torch.tensor(images, device=device)",
        "    kept = vars(dataset).setdefault(str(images.shape), torch.tensor(images, device=device))",
        "test_given_back.py test_a_run or test_an_evaluation",
    ),
    Mutation(
        "a class's real images all at once", "algorithms/real_batches.py",
        "return max(1, REAL_BATCH_BYTES // one)", "return len(dataset.train_images)",
        "test_memory.py real_images",
    ),
    Mutation(
        "graphs of all student steps", "algorithms/mtt.py",
        "kept = graph_bytes // max(1, saved.total)", "kept = len(steps)",
        "test_memory.py trajectories",
    ),
    Mutation(
        "a share that is given back with its cache", "engine/on_ray/devices.py",
        "        raise\n    torch.cuda.empty_cache()\n", "        raise\n",
        "test_given_back.py share",
    ),
    Mutation(
        "a graph that is measured and never freed", "machine.py",
        "        return tensor.detach()\n", "        return tensor\n",
        "test_given_back.py autoencoder",
    ),
    Mutation(
        "the graph of a set that was written", "distillation.py",
        "    with torch.no_grad():\n        space = inputs", "    with torch.enable_grad():\n        space = inputs",
        "test_given_back.py test_a_run",
    ),
    Mutation(
        "a cache that is emptied while an error holds tensors", "engine/replica/computing.py",
        "                        raise\n"
        "                # Only here does nothing refer any more to what it computed so far.\n"
        "                torch.cuda.empty_cache()\n",
        "                        raise\n"
        "                    torch.cuda.empty_cache()\n",
        "test_given_back.py replica",
    ),
    Mutation(
        "a cache that is emptied while the frames of an error hold tensors", "engine/on_ray/devices.py",
        "        free_frames(error)\n", "",
        "test_given_back.py share",
    ),
)  # fmt: skip


ALL = (*DEVICES, *WAITS, *MEMORY)


def outcome(mutation, folder):
    """The first test that fails in a copy with the fault, and its error; None: none fails."""
    shutil.copytree(ROOT / "glad_ray", folder / "glad_ray", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    changed = folder / "glad_ray" / mutation.file
    text = changed.read_text()
    if text.count(mutation.before) != 1:
        sys.exit(f"{mutation.file} has {text.count(mutation.before)} times what is to be changed: {mutation.before!r}")
    changed.write_text(text.replace(mutation.before, mutation.after))
    module, selected = mutation.tests.split(" ", 1)
    environment = os.environ | {"PYTHONPATH": str(folder)}
    arguments = ("-x", "--tb=line", f"tests/gpu_rehearsal/{module}", "-k", selected)
    code, said = rehearse(*arguments, root=folder, environment=environment)
    if code == 0:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (\S.*?)(?: - (.*))?$", said, re.MULTILINE)
    errors = re.findall(r"^(?:E  |/.*?:\d+: )\s*(\S.*)$", said, re.MULTILINE)
    if failed is None:
        return "the process", said.strip().splitlines()[0]
    return failed[1].removeprefix("tests/"), errors[0] if errors else failed[2]


def main(words):
    chosen = [each for each in ALL if all(word in each.name for word in words)]
    missed = 0
    for mutation in chosen:
        with tempfile.TemporaryDirectory() as folder:
            found = outcome(mutation, Path(folder))
        missed += found is None
        print(f"{mutation.name} ({mutation.file})", flush=True)
        print(f"    {'NOT FOUND' if found is None else f'{found[0]}: {found[1]}'}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} faults were found")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
