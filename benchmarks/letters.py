r"""Whether a prior helps in colour and at 64 pixels: letters of many fonts, drawn in colours of chance.

Fashion-MNIST is grey and has 28 pixels. No dataset in colour was to be had without a download, but fonts were; the
letters A to J of some hundreds, as in notMNIST, are ten classes with much variety inside each. A generator is trained
on them by `glad-ray generator train`; learning rates and layers are chosen on held-out images, with as many settings of
pixels as of latents; then pixels and latents are compared on test images, which are of other fonts.

    apt-get install texlive-fonts-extra   # of Debian
    python benchmarks/letters.py images /usr/share/texlive/texmf-dist/fonts runs/letters/images
    glad-ray generator train --dataset folder:runs/letters/images --resolution 64 --storage runs/letters/generator \
        --in-process --set classifier_steps=800 --set autoencoder_steps=1600 --set adversarial_steps=1200 \
        --set batch_size=16 --set feature_width=16 --set discriminator_width=16 --set autoencoder_weight=2 \
        --set guidance_weight=1 --set score_images_per_class=200 --set score_epochs=15
    python benchmarks/letters.py compare runs/letters/images runs/letters/generator/generators/ID/generator.json \
        runs/letters
"""

import argparse
import colorsys
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fontTools.ttLib import TTFont, TTLibError
from PIL import Image, ImageDraw, ImageFont
from prior import plus_minus, search_prior, verdict_of

import glad_ray
from glad_ray import DM, Choice, Network, RandomReal, Results, Run, Search, Sweep
from glad_ray.errors import UserError
from glad_ray.report.tables.intervals import interval

SIDE = 64
LETTERS = "ABCDEFGHIJ"
FONTS_OF_A_FAMILY = 12
"""at most, so that a family of hundreds of weights is not most of the images"""
COLOURINGS = 2
"""images of each letter of each font"""
TEST = 5
"""every fifth family, or so, is for test images"""
NO_LETTERS = ("math", "symbol", "ornament", "dingbat", "emoji", "icon", "braille", "initials")
"""in the names of fonts that have other things where letters are"""

SEEDS = range(1, 6)
"""the search has seed 0"""
LAYERS = ("f3", "f5")
"""maps of 16 and 32 pixels"""
SPREAD = 5.0
"""the highest rate over the middle one, which is 1"""


def families(folder: Path) -> dict[str, list[Path]]:
    """The fonts in a folder that have the letters, at most `FONTS_OF_A_FAMILY` of each family, by its name."""
    found: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in sorted([*folder.rglob("*.otf"), *folder.rglob("*.ttf")]):
        of_family = found[path.parent.name]
        if len(of_family) < FONTS_OF_A_FAMILY and not any(name in path.stem.lower() for name in NO_LETTERS):
            try:
                characters = TTFont(path).getBestCmap() or {}
            except (TTLibError, AssertionError):
                continue
            if all(ord(letter) in characters for letter in LETTERS):
                # Some are there in both formats.
                of_family[path.stem] = path
    return {family: list(paths.values()) for family, paths in found.items() if paths}


def colours(chance: random.Random) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of a letter and what it stands on, that can be told apart when they are grey too."""
    while True:
        pair = [colorsys.hsv_to_rgb(chance.random(), chance.random(), chance.random()) for _ in range(2)]
        light = [0.3 * red + 0.59 * green + 0.11 * blue for red, green, blue in pair]
        if abs(light[0] - light[1]) > 0.3:
            letter, ground = (tuple(round(255 * part) for part in each) for each in pair)
            return letter, ground


def draw(letter: str, font: Path, chance: random.Random) -> Image.Image | None:
    """A letter that fills half to four fifths of the side, somewhere near the middle; None where it is blank."""
    left, top, right, bottom = ImageFont.truetype(font, 200).getbbox(letter)
    extent = max(right - left, bottom - top)
    if not extent:
        return None
    scaled = ImageFont.truetype(font, max(4, round(200 * chance.uniform(0.5, 0.8) * SIDE / extent)))
    left, top, right, bottom = scaled.getbbox(letter)
    middle = [SIDE / 2 + chance.uniform(-4, 4) for _ in range(2)]
    colour, ground = colours(chance)
    image = Image.new("RGB", (SIDE, SIDE), ground)
    place = middle[0] - (left + right) / 2, middle[1] - (top + bottom) / 2
    ImageDraw.Draw(image).text(place, letter, font=scaled, fill=colour)
    return image


def drawn(fonts: Iterable[Path]) -> Iterator[tuple[str, str, Image.Image]]:
    """Letter, name of a file, image; of each font always the same."""
    for font in fonts:
        chance = random.Random(font.stem)
        for letter in LETTERS:
            for number in range(COLOURINGS):
                if (image := draw(letter, font, chance)) is not None:
                    yield letter, f"{font.stem}-{number}.png", image


def make_images(fonts: Path, folder: Path) -> str:
    """A dataset that `folder:` reads; returns what it has, in words."""
    counts = {"train": 0, "test": 0}
    used = families(fonts)
    if not used:
        raise UserError(
            f"There is no font with the letters {LETTERS} in {fonts}: name a folder with .otf or .ttf files."
        )
    for family, paths in used.items():
        split = "train" if int(hashlib.sha256(family.encode()).hexdigest(), 16) % TEST else "test"
        for letter, name, image in drawn(paths):
            path = folder / split / letter / name
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
            counts[split] += 1
    return (
        f"{folder}: {counts['train']} training and {counts['test']} test images, of {sum(map(len, used.values()))} "
        f"fonts of {len(used)} families."
    )


def base(images: str, **fields: Any) -> Run:
    """A run on the letters, one image per class."""
    backbone = Network(name="convnet", width=32, depth=4)
    return Run(dataset=images, resolution=SIDE, backbone=backbone, snapshots=1, checkpoint_every=20, **fields)


def search(images: str, generator: str) -> Search:
    """Six rates of pixels, and three of each layer of a generator, on held-out images."""
    rates = [SPREAD**number for number in (-1, 0, 1)]
    tried: list[dict[str, Any]] = [
        {"space": "pixel", search_prior.PIXELS: SPREAD ** (number / 3)} for number in (-4, -3, -1, 0, 1, 3)
    ]
    tried += [
        {"space": layer, search_prior.F: rate, search_prior.W: rate * search_prior.W_OF_F}
        for layer in LAYERS
        for rate in rates
    ]
    first = base(
        images,
        algorithm=DM(iterations=80, real_batch_size=64),
        space=LAYERS[0],
        generator=generator,
        init="sampled",
        held_out=100,
    )
    like = search_prior.search()
    rates_of = {name: like.vary[name] for name in (search_prior.PIXELS, search_prior.F, search_prior.W)}
    return like.replace(
        name="search-letters",
        description=__doc__ or "",
        base=first,
        vary={"space": Choice(values=("pixel", *LAYERS)), **rates_of},
        first=tuple(tried),
        trials=len(tried),
    )


def chosen(searched: Results) -> list[Run]:
    """The best settings of pixels and of latents by held-out images."""
    best: dict[bool, tuple[float, Run]] = {}
    for trial in searched.trials:
        if trial.state != "complete":
            raise UserError(f"Trial {trial.number} of {searched.storage} is not complete: give the command again.")
        in_pixels = trial.run.space == "pixel"
        if in_pixels not in best or trial.rung_accuracies[-1] > best[in_pixels][0]:
            best[in_pixels] = trial.rung_accuracies[-1], trial.run
    return [best[in_pixels][1] for in_pixels in (True, False)]


def sweep(images: str, settings: Iterable[Run]) -> Sweep:
    """Random real images, and settings that were chosen, with seeds of which none chose."""
    runs = [base(images, algorithm=RandomReal()), *settings]
    return Sweep(
        name="letters",
        description=__doc__ or "",
        runs=tuple(run.replace(seed=seed, held_out=0) for seed in SEEDS for run in runs),
        evaluations=search_prior.EVALUATION,
        first=tuple(f"seed={seed}" for seed in SEEDS),
    )


def rate_of(run: Run) -> str:
    """The learning rate of what a run distils; empty of real images."""
    rates = getattr(run.algorithm, "learning_rates", None)
    return "" if rates is None else f"{rates.pixels if run.space == 'pixel' else rates.f:.3g}"


def table(results: Results) -> str:
    """In Markdown: mean accuracies in percent over seeds, and how far from pixels."""
    last = results.to_pandas("last")
    unseen = 100 * last[~last.seen].groupby(["algorithm", "space", "seed"]).accuracy.mean()
    networks = list(dict.fromkeys(last.network))
    lines = [f"| algorithm | space | rate | {' | '.join(networks)} | unseen | less pixels | the interval lies |"]
    lines.append("|---" * (len(networks) + 6) + "|")
    for run in (run for run in results.runs if run.seed == SEEDS[0]):
        name, space = run.algorithm.name, run.space
        rows = last[(last.algorithm == name) & (last.space == space)]
        means = [f"{100 * rows[rows.network == network].accuracy.mean():.1f}" for network in networks]
        mine = unseen[name, space]
        difference = interval(list(mine - unseen["dm", "pixel"]))
        itself = (name, space) == ("dm", "pixel")
        cells = [
            name,
            space,
            rate_of(run),
            *means,
            plus_minus(interval(list(mine))),
            "" if itself else plus_minus(difference, "+"),
            "" if itself else verdict_of(difference),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def compare(images: Path, generator: Path, storage: Path) -> str:
    """Search, sweep, and what came out; called again, it goes on where it stopped."""
    dataset = f"folder:{images}"
    searched = glad_ray.search(search(dataset, str(generator)), storage / "search", in_process=True)
    tried = [
        f"{trial.run.space}, rate {rate_of(trial.run)}: {100 * trial.rung_accuracies[-1]:.1f} % on held-out images"
        for trial in searched.trials
    ]
    results = glad_ray.run(sweep(dataset, chosen(searched)), storage / "sweep", in_process=True)
    return "\n".join([*tried, "", table(results)])


def main() -> None:
    """Make images, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("images", help="draw the letters of all fonts in a folder")
    making.add_argument("fonts", type=Path)
    making.add_argument("folder", type=Path)
    comparing = commands.add_parser("compare", help="pixels and latents of a generator that was trained on the letters")
    comparing.add_argument("images", type=Path, help="what the first command wrote")
    comparing.add_argument("generator", type=Path, help="its generator.json")
    comparing.add_argument("storage", type=Path)
    given = parser.parse_args()
    try:
        if given.command == "images":
            print(make_images(given.fonts, given.folder))
        else:
            print(compare(given.images, given.generator, given.storage))
    except UserError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
