"""The StyleGAN-XL synthesis network beside the official modules: equality, time, peak memory.

From each point, a space and a resolution, random features and codes are decoded without a graph, then decoded with one
and pulled back to both: one step of a distillation. The layers are those of the released ImageNet networks, a 16-pixel
stem of config R and stages of seven layers that double the resolution, with at most `--width` channels; at 128 pixels
1024, the released number, takes the official modules more than 20 GiB. Both get the same random weights. Each is
measured in processes of its own, in turn, after one call that is not timed; CPU seconds on a CPU. Both keep the memory
they free, as all runs of this project do; --plain-allocator leaves that to glibc.

    python benchmarks/stylegan_speed.py --official stylegan-xl
    python benchmarks/stylegan_speed.py --official stylegan-xl --points f2/32 --width 1024 --batch 2

`kept` is where the graph of the decode is kept for the pullback, which is then all that a step takes of ours.

`--official` is a checkout of github.com/autonomousvision/stylegan-xl, which needs `requests` and scipy; without it,
ours are measured alone. In float32, gradients differ by up to 1e-3: a sample near zero takes the other slope under
another rounding. Tests hold ours to 1e-6 of a plain network in float64, which the official modules do not compute in.
"""

import argparse
import importlib
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from own_process import MemoryAbove, fresh, seconds
from rich.console import Console
from rich.table import Table
from torch import Tensor

from glad_ray.errors import UserError
from glad_ray.generators.random_stylegan import random_state
from glad_ray.generators.stylegan_xl.synthesis import SynthesisNetwork
from glad_ray.machine import device_name, open_device
from glad_ray.stylegan.expected import expected_network
from glad_ray.stylegan.settings import LayerSettings, MappingSettings, SynthesisSettings

W_DIM = 512
PRECISIONS = {"float32": None, "float16": torch.float16, "bfloat16": torch.bfloat16}

Decoder = Callable[[Tensor, Tensor], Tensor]
"""Images from codes and features."""


@dataclass(frozen=True)
class Setting:
    """What is measured, but for the candidate; small enough to be sent to another process."""

    space: str
    resolution: int
    width: int
    batch: int
    precision: str
    device: str
    official: str
    """checkout of the official repository"""

    @property
    def synthesis(self) -> SynthesisSettings:
        """The network from the point on, so that its layer 0 is the first that is needed."""
        expected = expected_network("imagenet", self.resolution, self.width)
        if expected is None:
            raise UserError(f"No network of {self.resolution} pixels was released: use 16, 32, 64, ... 1024.")
        settings = expected[1]
        return replace(settings, layers=settings.layers[settings.layer_of(self.space) :])


class Cost(NamedTuple):
    """What one candidate took in one process."""

    decode_seconds: float
    pullback_seconds: float
    peak_bytes: int
    """above the weights"""

    @property
    def seconds(self) -> float:
        """Of decoding and pulling back."""
        return self.decode_seconds + self.pullback_seconds


def our_decoder(setting: Setting, state: dict[str, Tensor]) -> Decoder:
    """The network of this project."""
    network = SynthesisNetwork(setting.synthesis, state, PRECISIONS[setting.precision]).to(setting.device)
    return partial(network.from_f, n=0)


def official_decoder(setting: Setting, state: dict[str, Tensor]) -> Decoder:
    """The official modules, frozen, in a chain."""
    modules = [official_layer(setting, layer, state) for layer in setting.synthesis.layers]

    def decode(codes: Tensor, f: Tensor) -> Tensor:
        for module, w in zip(modules, codes.unbind(1), strict=True):
            f = module(f, w, force_fp32=setting.precision == "float32")
        return f.float() * setting.synthesis.output_scale

    return decode


def official_layer(setting: Setting, layer: LayerSettings, state: dict[str, Tensor]) -> torch.nn.Module:
    """The official module of a layer's shape, with its weights."""
    if setting.official not in sys.path:
        sys.path.insert(0, setting.official)
    module = importlib.import_module("training.networks_stylegan3_resetting").SynthesisLayer(
        w_dim=W_DIM,
        is_torgb=layer.to_rgb,
        is_critically_sampled=not layer.radial,
        use_fp16=layer.half,
        in_channels=layer.in_channels,
        out_channels=layer.out_channels,
        in_size=layer.in_size,
        out_size=layer.out_size,
        in_sampling_rate=int(layer.in_rate),
        out_sampling_rate=int(layer.out_rate),
        in_cutoff=layer.in_cutoff,
        out_cutoff=layer.out_cutoff,
        in_half_width=layer.in_half_width,
        out_half_width=layer.out_half_width,
        conv_kernel=layer.kernel_size,
        use_radial_filters=layer.radial,
        conv_clamp=layer.clamp,
    )
    prefix = f"synthesis.{layer.name}."
    weights = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    module.load_state_dict(weights)
    return module.requires_grad_(False).to(setting.device)


CANDIDATES = {"official": official_decoder, "ours": our_decoder}


def random_weights(synthesis: SynthesisSettings, rng: torch.Generator) -> dict[str, Tensor]:
    """By official names; with biases, which networks begin without."""
    mapping = MappingSettings(z_dim=1, w_dim=W_DIM, classes=0, embedding_rows=0)
    state = random_state(mapping, synthesis, rng)
    for layer in synthesis.layers:
        state[f"synthesis.{layer.name}.bias"] = torch.randn(layer.out_channels, generator=rng) / 4
    return state


def measure(setting: Setting, candidate: str, results: Path) -> Cost:
    """The cost of one candidate in this process; images and gradients go to the file `results`."""
    rng, device, synthesis = torch.Generator().manual_seed(0), open_device(setting.device), setting.synthesis
    shapes = {**synthesis.latent_shapes("f0"), "image_grads": synthesis.image_shape}
    given = {name: torch.randn(setting.batch, *shape, generator=rng).to(device) for name, shape in shapes.items()}
    decoder = CANDIDATES[candidate](setting, random_weights(synthesis, rng))
    decode, pull = partial(decoded, decoder, given), partial(pulled_back, decoder, given)
    memory = MemoryAbove(device)
    torch.save([decode(), *pull()], results)
    peak_bytes = memory.peak_bytes
    return Cost(seconds(decode, device), seconds(pull, device), peak_bytes)


@torch.no_grad()
def decoded(decoder: Decoder, given: dict[str, Tensor]) -> Tensor:
    """The images, without a graph."""
    return decoder(given["w"], given["f"])


def pulled_back(decoder: Decoder, given: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """The gradients of features and codes."""
    w, f = (given[kind].detach().requires_grad_() for kind in ("w", "f"))
    return torch.autograd.grad(decoder(w, f), (f, w), given["image_grads"])


def errors(results: dict[str, Path]) -> list[str]:
    """Relative errors of our images and gradients, of features and codes, beside the official ones."""
    pairs = zip(*(torch.load(path) for path in results.values()), strict=True)
    return [f"{float((ours.cpu() - official.cpu()).norm() / official.norm()):.0e}" for official, ours in pairs]


def rows(setting: Setting, candidates: list[str], rounds: int, threads: int, *, keep_freed: bool) -> list[list[str]]:
    """The cells of each candidate at one point: medians over the rounds, ratios to ours."""
    with tempfile.TemporaryDirectory() as folder:
        results = {candidate: Path(folder) / candidate for candidate in candidates}
        costs: dict[str, list[Cost]] = {candidate: [] for candidate in candidates}
        for _ in range(rounds):
            for candidate, path in results.items():
                costs[candidate].append(fresh(threads, measure, setting, candidate, path, keep_freed=keep_freed))
        compared = errors(results) if len(candidates) > 1 else []
    medians = {name: Cost(*map(statistics.median, zip(*taken, strict=True))) for name, taken in costs.items()}
    ours = medians["ours"]
    return [
        [
            f"{setting.space}/{setting.resolution}",
            name,
            *(f"{value:.2f}" for value in (cost.decode_seconds, cost.pullback_seconds, cost.seconds)),
            f"{cost.seconds / ours.seconds:.2f}",
            f"{cost.seconds / ours.pullback_seconds:.2f}",
            f"{cost.peak_bytes / 2**20:.0f}",
            f"{cost.peak_bytes / ours.peak_bytes:.2f}",
            *(compared if name == "ours" else []),
        ]
        for name, cost in medians.items()
    ]


def main() -> None:
    """Measure what the arguments ask for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", help="checkout of the official repository")
    parser.add_argument("--points", nargs="+", default=["f2/32", "f12/128", "f16/128", "f20/128"], help="space/pixels")
    parser.add_argument("--width", type=int, default=256, help="most channels of a layer")
    parser.add_argument("--batch", type=int, default=1, help="images in a call")
    parser.add_argument("--rounds", type=int, default=1, help="processes of each candidate")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of the layers that allow it")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:<n>")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument(
        "--plain-allocator", action="store_true", help="leave freed memory to glibc, as the official code does"
    )
    chosen = parser.parse_args()
    console = Console(width=150)
    console.print(
        f"width {chosen.width}, {chosen.batch} images, {chosen.precision}, {device_name(open_device(chosen.device))}, "
        f"{chosen.threads} threads, torch {torch.__version__}"
    )
    shown = Table(
        *("point", "", "decode, s", "pull back, s", "both, s", "/ ours", "/ ours, kept", "peak MiB", "/ ours"),
        *("images: error", "gradient of f", "of w"),
    )
    for point in chosen.points:
        space, _, pixels = point.partition("/")
        setting = Setting(
            space=space,
            resolution=int(pixels),
            width=chosen.width,
            batch=chosen.batch,
            precision=chosen.precision,
            device=chosen.device,
            official=chosen.official or "",
        )
        candidates = list(CANDIDATES) if chosen.official else ["ours"]
        for cells in rows(setting, candidates, chosen.rounds, chosen.threads, keep_freed=not chosen.plain_allocator):
            shown.add_row(*cells, end_section=cells[1] == "ours")
    console.print(shown)


if __name__ == "__main__":
    main()
