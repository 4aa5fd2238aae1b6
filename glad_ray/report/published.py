"""Published numbers, and the results that may stand beside them.

`published.csv` has a line per number: where it is printed and what it is of. A result is set beside it only if it is of
the same thing: dataset, resolution, images per class, algorithm, augmentation, whitening, latents and their generator,
networks of the standard width and depth, hard labels. Such a comparison still says under which budget ours was made.

What print leaves unsaid may be what ours has in its place, and the comparison says so. Images per class may be any
number that the source states elsewhere (GLaD: 1 and 10), the layer any, the network the one that distilled or the mean
of the unseen ones, and the numbers of MTT and TESLA on CIFAR may be of whitened images. Where several results fit they
all stand there, for print does not tell which was meant.
"""

import csv
import functools
import importlib.resources
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from glad_ray.paper import UNSEEN
from glad_ray.report import wording
from glad_ray.report.budget import LEAST_EPOCHS, PAPER_REPEATS
from glad_ray.report.tables import Row, Score, Section
from glad_ray.spec import DSA, Network, Run, Selection, WholeDataset
from glad_ray.spec.algorithms import algorithm_kind
from glad_ray.spec.formation import Formation

MEAN_OF_UNSEEN = "mean of 4 unseen"
NOT_STATED = "not stated"
_BACKBONE = Network().key
_WITHOUT_AUGMENTATION = "without augmentation"
_WHITENED = "ZCA whitening"
# Their code whitens where it is asked to, and print does not say for which numbers on CIFAR it was.
_MAY_WHITEN = ("MTT", "TESLA")
_TWO_DEVIATIONS = 2.0


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published number."""

    source: str
    table: str
    dataset: str
    resolution: int
    ipc: int | None
    """None of the whole dataset, and where it is not stated"""
    algorithm: str
    parameterisation: str
    """pixel, latent, real images or other"""
    generator: str
    layer: str
    """empty without latents, and where it is not stated"""
    network: str
    """a network's key, `mean of 4 unseen` or `not stated`"""
    score: Score
    """its deviation is None where none is printed"""
    note: str

    @property
    def paper_protocol(self) -> bool:
        """Whether the step was chosen on the test set, as GLaD's code does."""
        return self.source.startswith("GLaD")

    @property
    def whitening(self) -> str | None:
        """Of its images: zca or none; None where it is not stated."""
        if _WHITENED in self.note:
            return "zca"
        return None if self.source.startswith(_MAY_WHITEN) and self.dataset.startswith("cifar") else "none"

    @property
    def whole(self) -> bool:
        """Whether it is of the whole dataset, which has no images per class to state."""
        return self.algorithm == WholeDataset.printed_as

    def may_have(self, ipc: int | None) -> bool:
        """Whether it is of so many images per class, or may be for all that is stated."""
        if self.ipc is None and not self.whole:
            return ipc in _stated_ipcs(self.source)
        return self.ipc == ipc


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One of our numbers beside the published one."""

    published: Published
    selection: Selection
    row: Row
    network: str
    """what ours was tested on: a network's key, or `mean of 4 unseen`"""
    ours: Score

    @property
    def unstated(self) -> str:
        """What print leaves unsaid, and ours: `images per class and layer not stated; ours: 1, f2`; empty: nothing."""
        said = {}
        if self.published.ipc is None and not self.published.whole:
            said["images per class"] = str(self.row.ipc)
        if self.published.parameterisation == "latent" and not self.published.layer:
            said["layer"] = self.row.space
        if self.published.network == NOT_STATED:
            said["network"] = wording.network_name(self.network)
        if self.published.whitening is None:
            said["whitening"] = self.row.conditions.whitening or "none"
        return f"{wording.listed([*said])} not stated; ours: {', '.join(said.values())}" if said else ""

    @property
    def difference(self) -> float:
        """Ours minus the published one, 0 to 1."""
        return self.ours.mean - self.published.score.mean

    @property
    def deviations(self) -> float | None:
        """The difference in combined deviations, sqrt(ours^2 + published^2); None where either is not known."""
        if self.ours.std is None or self.published.score.std is None:
            return None
        combined = math.hypot(self.ours.std, self.published.score.std)
        return self.difference / combined if combined else None

    @property
    def apart(self) -> bool:
        """Whether the two are more than two combined deviations apart."""
        return self.deviations is not None and abs(self.deviations) > _TWO_DEVIATIONS


@functools.cache
def published_numbers() -> tuple[Published, ...]:
    """All of `published.csv`, in its order."""
    text = (importlib.resources.files("glad_ray.report") / "published.csv").read_text("utf-8")
    return tuple(
        Published(
            source=line["source"],
            table=line["table"],
            dataset=line["dataset"],
            resolution=int(line["resolution"]),
            ipc=int(line["ipc"]) if line["ipc"] else None,
            algorithm=line["algorithm"],
            parameterisation=line["parameterisation"],
            generator=line["generator"],
            layer=line["layer"],
            network=line["network"],
            score=Score(
                mean=float(line["accuracy_percent"]) / 100,
                std=float(line["std_percent"]) / 100 if line["std_percent"] else None,
            ),
            note=line["note"],
        )
        for line in csv.DictReader(text.splitlines())
    )


def comparisons(
    section: Section, runs: Mapping[str, Run], published: Iterable[Published] | None = None
) -> tuple[Comparison, ...]:
    """Our numbers of a section that have a published one: of the last step, and by the source's own protocol.

    `runs` are records by run id; a distilled set whose record is lost is of unknown augmentation and matches nothing.
    """
    found = []
    for number in published_numbers() if published is None else published:
        if (number.dataset, number.resolution) != (section.dataset, section.resolution):
            continue
        for table in section.tables:
            own = table.selection == "best-on-test" and number.paper_protocol and not table.same_scores(section.last)
            if table.selection != "last" and not own:
                continue
            for row in table.rows:
                found += [
                    Comparison(published=number, selection=table.selection, row=row, network=network, ours=ours)
                    for network, ours in _ours(number, row, [runs.get(run_id) for run_id in row.run_ids])
                ]
    return tuple(found)


def context(
    section: Section, compared: Sequence[Comparison], published: Iterable[Published] | None = None
) -> tuple[Published, ...]:
    """Published numbers of the same dataset that nothing of ours stands by: of as many images per class, as far as that
    is stated, and of the whole.
    """
    matched = {comparison.published for comparison in compared}
    return tuple(
        number
        for number in (published_numbers() if published is None else published)
        if number.dataset == section.dataset
        and (number.whole or (section.ipc is not None and number.may_have(section.ipc)))
        and number not in matched
    )


def shortfalls(compared: Sequence[Comparison], runs: Mapping[str, Run]) -> tuple[str, ...]:
    """Where ours had a smaller budget than the originals, or was trained otherwise, a phrase each."""
    said: dict[str, None] = {}
    rows = {comparison.row.run_ids: comparison.row for comparison in compared}.values()
    for row in rows:
        least = LEAST_EPOCHS[bool(row.conditions.augmentation)]
        if row.ipc is not None and row.conditions.epochs < least:
            epochs = wording.counted(row.conditions.epochs, "evaluation epoch")
            said[f"{epochs} (theirs: {wording.count(least)})"] = None
    for trainings in sorted({row.trainings for row in rows if row.trainings < PAPER_REPEATS}):
        said[f"{wording.counted(trainings, 'training')} (GLaD: {PAPER_REPEATS})"] = None
    for run in (runs[run_id] for row in rows for run_id in row.run_ids if run_id in runs):
        name, ours, theirs = run.algorithm.name.upper(), run.algorithm.real_images, run.algorithm.original()
        if theirs is None:
            continue
        if run.steps < (steps := theirs.steps(run.images_per_class, run.facts.classes)):
            said[f"{wording.counted(run.steps, 'step')} of {name} (theirs: {wording.count(steps)})"] = None
        if ours is not None and theirs.real_images is not None and ours < theirs.real_images:
            batch = wording.counted(ours, "real image")
            said[f"{batch} per class and step of {name} (theirs: {theirs.real_images})"] = None
    if any(row.conditions.test_images is not None for row in rows):
        said["a part of the test images"] = None
    if any(c.row.conditions.schedule != "step" and not c.published.paper_protocol for c in compared):
        said["a cosine schedule of the learning rate (the original algorithms: a tenth after half the epochs)"] = None
    return tuple(said)


@functools.cache
def _stated_ipcs(source: str) -> frozenset[int | None]:
    """The images per class that a source states anywhere."""
    return frozenset(of.ipc for of in published_numbers() if of.source == source and of.ipc is not None)


def _ours(number: Published, row: Row, runs: Sequence[Run | None]) -> list[tuple[str, Score]]:
    """The networks and scores of a row that are of the same thing as a published number, as far as that is stated."""
    name = algorithm_kind(row.algorithm).printed_as or row.algorithm
    if number.algorithm != name or not number.may_have(row.ipc):
        return []
    # Nothing in print here was trained with soft labels.
    if row.conditions.labels != "hard":
        return []
    if number.whitening not in (None, row.conditions.whitening or "none"):
        return []
    if not row.is_baseline and not (_same_latents(number, row, runs) and _same_augmentation(number, row, runs)):
        return []
    backbones = {run.backbone.key if run else None for run in runs}
    networks = (_BACKBONE, MEAN_OF_UNSEEN) if number.network == NOT_STATED else (number.network,)
    scores = [(network, _score(row, network, backbones)) for network in networks]
    return [(network, score) for network, score in scores if score is not None]


def _score(row: Row, network: str, backbones: Set[str | None]) -> Score | None:
    """The score on a network, or the mean over the four unseen, of what the standard backbone distilled."""
    if network == MEAN_OF_UNSEEN:
        unseen = {key for key, score in row.scores.items() if not score.seen}
        return row.unseen if unseen == set(UNSEEN) and backbones == {_BACKBONE} else None
    if not row.is_baseline and backbones != {_BACKBONE}:
        return None
    return row.scores.get(network)


def _same_latents(number: Published, row: Row, runs: Sequence[Run | None]) -> bool:
    if any(run and run.formation != Formation(factor=run.algorithm.usual_formation) for run in runs):
        return False
    if row.space == "pixel":
        return number.parameterisation == "pixel"
    # The published runs learned no generator.
    priors = {run.generator.published_as for run in runs if run and run.generator and not run.learn_generator}
    same = bool(number.generator) and priors == {number.generator}
    return number.parameterisation == "latent" and same and number.layer in ("", row.space)


def _same_augmentation(number: Published, row: Row, runs: Sequence[Run | None]) -> bool:
    """Distilled with the augmentation of its algorithm and trained with all of DSA, or, where the note says so, without
    any.
    """
    plain = number.note == _WITHOUT_AUGMENTATION
    return row.conditions.augmentation == ("" if plain else DSA) and all(
        run is not None and run.augmentation == ("" if plain else run.algorithm.usual_augmentation) for run in runs
    )
