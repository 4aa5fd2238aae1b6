"""Peak memory of the generator's part of a distillation step against the number of images, in one graph and in chunks.

`one graph` decodes all images with a graph that is kept until the images' gradients are there. `chunks` is section 3.4
of GLaD (Cazenavette et al., 2023): it decodes without a graph, and again with one, a chunk at a time, to pull the
gradients back. Each number of images is measured in a process of its own, above weights, latents and gradients of the
images; `foretold` is what the settings say of one graph. Prints a table; --output adds it as CSV, and a plot.

    python benchmarks/stylegan_memory.py --images 1 2 4 8 16 --output figures
"""

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from own_process import MemoryAbove, fresh
from rich.console import Console
from rich.table import Table

from glad_ray.generators import build_generator
from glad_ray.machine import device_name, open_device
from glad_ray.spec import RandomStyleGAN
from glad_ray.spec.generators import GIB
from glad_ray.stylegan.settings import WORKING_BYTES

FORMS = ("one graph", "chunks")


@dataclass(frozen=True)
class Setting:
    """What all measurements share; small enough to be sent to another process."""

    resolution: int
    width: int
    space: str
    chunk: int
    device: str

    @property
    def record(self) -> RandomStyleGAN:
        """The generator: a stem of 3x3 kernels, with random weights."""
        return RandomStyleGAN(resolution=self.resolution, channel_max=self.width, calibrate=False)


class Row(NamedTuple):
    """Peak bytes of each form for a number of images."""

    images: int
    one_graph: int
    chunks: int
    foretold: int


def peak_bytes(setting: Setting, form: str, images: int) -> int:
    """Bytes that one step takes on top of what was there; for a process that has computed nothing before."""
    device, rng = open_device(setting.device), torch.Generator().manual_seed(0)
    settings = setting.record.synthesis_settings
    # Room for so many images: a generator keeps the graph of all, where it may and can, and else goes chunk by chunk.
    at_once = images if form == "one graph" else setting.chunk
    memory_gib = (WORKING_BYTES + (at_once + 0.5) * settings.graph_bytes(setting.space)) / GIB
    generator = build_generator(setting.record, device=device, memory_gib=memory_gib, keep_graph=form == "one graph")
    shapes = {**settings.latent_shapes(setting.space), "image_grads": settings.image_shape}
    latents = {kind: torch.randn(images, *shape, generator=rng).to(device) for kind, shape in shapes.items()}
    image_grads = latents.pop("image_grads")
    memory = MemoryAbove(device)
    generator.decode(setting.space, latents)
    generator.pullback(setting.space, latents, image_grads)
    return memory.peak_bytes


def measure(setting: Setting, threads: int, images: int) -> Row:
    """Both forms, each in a process of its own."""
    graph, chunks = (fresh(threads, peak_bytes, setting, form, images) for form in FORMS)
    return Row(images, graph, chunks, images * setting.record.synthesis_settings.graph_bytes(setting.space))


def table(rows: list[Row]) -> Table:
    """In MiB."""
    shown = Table("images", "one graph, MiB", "chunks, MiB", "one graph, foretold, MiB")
    for row in rows:
        shown.add_row(str(row.images), *(f"{size / 2**20:.0f}" for size in row[1:]))
    return shown


def figure(rows: list[Row], title: str) -> Figure:
    """Memory against images."""
    drawn = Figure(figsize=(5, 3.2), layout="constrained")
    axes = drawn.subplots()
    images = [row.images for row in rows]
    axes.plot(images, [row.one_graph / 2**20 for row in rows], "o-", label="one graph")
    axes.plot(images, [row.foretold / 2**20 for row in rows], ":", color="0.4", label="one graph, foretold")
    axes.plot(images, [row.chunks / 2**20 for row in rows], "s-", label="chunks")
    axes.set(xlabel="images", ylabel="peak memory above weights, MiB", ylim=(0, None), title=title)
    axes.legend()
    return drawn


def main() -> None:
    """Measure what the arguments ask for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[1, 2, 4, 8, 16], help="images of a step")
    parser.add_argument("--resolution", type=int, default=64, help="side of the images in pixels")
    parser.add_argument("--width", type=int, default=128, help="most channels of a layer")
    parser.add_argument("--space", default="f2", help="w+ or f<n>")
    parser.add_argument("--chunk", type=int, default=1, help="images of a chunk")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:<n>")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--output", type=Path, help="folder for stylegan_memory.csv and stylegan_memory.png")
    chosen = parser.parse_args()
    setting = Setting(chosen.resolution, chosen.width, chosen.space, chosen.chunk, chosen.device)
    title = f"{setting.space} at {setting.resolution} pixels, width {setting.width}, chunks of {setting.chunk}"
    console = Console(width=150)
    console.print(f"{title}, {device_name(open_device(setting.device))}, torch {torch.__version__}")
    rows = [measure(setting, chosen.threads, images) for images in chosen.images]
    console.print(table(rows))
    if chosen.output is not None:
        chosen.output.mkdir(parents=True, exist_ok=True)
        with (chosen.output / "stylegan_memory.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("images", "one_graph_bytes", "chunks_bytes", "foretold_bytes"), *rows])
        figure(rows, title).savefig(chosen.output / "stylegan_memory.png", dpi=100)


if __name__ == "__main__":
    main()
