"""Published numbers, and the results that may stand beside them.

A result is set beside a number (`published_numbers.py`) only if it is of the same thing: dataset, resolution, images
per class, algorithm, augmentation, whitening, latents and their generator, pieces that a stored image is decoded to,
networks of the standard width and depth, regime of labels. Such a comparison still says under which budget ours was
made.

What print leaves unsaid may be what ours has in its place, and the comparison says so. Images per class may be any
number that the source states elsewhere (GLaD: 1 and 10), the layer any, the network the one that distilled or the mean
of the unseen ones, and the numbers of MTT and TESLA on CIFAR may be of whitened images. Where several results fit they
all stand there, for print does not tell which was meant.
"""

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from glad_ray.paper import UNSEEN
from glad_ray.report import wording
from glad_ray.report.published.numbers import MEAN_OF_UNSEEN, NOT_STATED, Published, published_numbers
from glad_ray.report.published.protocols import DATM, DC, GLAD, IDC, NCFM, RDED
from glad_ray.report.tables.accuracy import Row, Score, Section
from glad_ray.spec import DSA, Network, Run, Schedule, Selection
from glad_ray.spec.algorithms import algorithm_kind
from glad_ray.spec.images.augmentation import is_sequential

_BACKBONE = Network().key
_TWO_DEVIATIONS = 2.0
_SCHEDULE = ">"
"""between the layers of a space that changes within a run"""
_PROTOCOLS = {"rded": RDED, "ncfm": NCFM, "idc": IDC, "datm": DATM}
"""by the algorithm that print is of; of others GLaD's, or the original DC's where there is no augmentation"""
_SCHEDULES: Mapping[str, tuple[Schedule, str]] = {
    "rded": ("slow-cosine", "a cosine that ends at one half"),
    "ncfm": ("halving", "a half after every fifth of the epochs"),
    "idc": ("fifths", "a fifth after two thirds and five sixths of the epochs"),
}
_ORIGINALS: tuple[Schedule, str] = ("step", "a tenth after half the epochs")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One of our numbers beside the published one."""

    published: Published
    selection: Selection
    row: Row
    network: str
    """what ours was tested on: a network's key, or `mean of 4 unseen`"""
    ours: Score
    formation: str
    """pieces along a side that a stored image of ours is decoded to"""

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
        if self.published.augmentation is None:
            said["augmentation"] = wording.augmentation(self.row.conditions.augmentation)
        if self.published.regime is None:
            said["kind of labels"] = wording.REGIMES[self.row.conditions.regime]
        if self.published.formation is None:
            said["multi-formation"] = self.formation
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
                of_row = [runs.get(run_id) for run_id in row.run_ids]
                formation = " or ".join(sorted({str(run.formation.factor) for run in of_row if run}))
                found += [
                    Comparison(
                        published=number,
                        selection=table.selection,
                        row=row,
                        network=network,
                        ours=ours,
                        formation=formation,
                    )
                    for network, ours in _ours(number, row, of_row)
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
    of_rows = {comparison.row.run_ids: comparison.published.algorithm for comparison in compared}
    for row in rows:
        least = _PROTOCOLS.get(of_rows[row.run_ids], GLAD if row.conditions.augmentation else DC).epochs
        if row.ipc is not None and row.conditions.epochs < least:
            epochs = wording.counted(row.conditions.epochs, "evaluation epoch")
            said[f"{epochs} (theirs: {wording.count(least)})"] = None
    for trainings in sorted({row.trainings for row in rows if row.trainings < (GLAD.repeats or 0)}):
        said[f"{wording.counted(trainings, 'training')} (GLaD: {GLAD.repeats})"] = None
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
    if any(of == "rded" for of in of_rows.values()):
        said["an observer and a teacher without batch norm (RDED: with it)"] = None
    for one in compared:
        usual, words = _SCHEDULES.get(one.published.algorithm, _ORIGINALS)
        schedule = one.row.conditions.schedule
        if schedule != usual and not one.published.paper_protocol:
            whose = "theirs" if one.published.algorithm in _SCHEDULES else "the original algorithms"
            said[f"a {schedule} schedule of the learning rate ({whose}: {words})"] = None
    return tuple(said)


def _ours(number: Published, row: Row, runs: Sequence[Run | None]) -> list[tuple[str, Score]]:
    """The networks and scores of a row that are of the same thing as a published number, as far as that is stated."""
    name = algorithm_kind(row.algorithm).printed_as or row.algorithm
    if number.algorithm != name or not number.may_have(row.ipc):
        return []
    if number.regime not in (None, row.conditions.regime):
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
    if any(run and number.formation not in (None, run.formation.factor) for run in runs):
        return False
    if row.space == "pixel":
        return number.of_pixels
    if (_SCHEDULE in row.space) != number.of_schedule:
        return False
    # The published runs learned no generator.
    priors = {run.generator.published_as for run in runs if run and run.generator and not run.learn_generator}
    same = bool(number.generator) and priors == {number.generator}
    return number.parameterisation == "latent" and same and number.layer in ("", row.space)


def _same_augmentation(number: Published, row: Row, runs: Sequence[Run | None]) -> bool:
    """Distilled with the augmentation of its algorithm and trained with all of DSA, or with a sequential one where that
    is the algorithm's; or, where print says so, without any; either where print does not say.
    """
    if any(run is None for run in runs):
        return False
    usual = {run.algorithm.usual_augmentation for run in runs if run}
    used, trained = {run.augmentation for run in runs if run}, row.conditions.augmentation
    with_it = used == usual and (trained == DSA or (is_sequential(trained) and all(map(is_sequential, usual))))
    without = used == {""} and trained == ""
    return {DSA: with_it, "": without, None: with_it or without}[number.augmentation]
