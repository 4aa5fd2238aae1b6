"""How networks were trained for an evaluation, as the rows of results tell it, and how evaluations are called."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from glad_ray.report import wording
from glad_ray.spec import REGIMES, Regime, regime_of

_SHORT_TRAITS, _ALL_TRAITS = 7, 12
_USUAL = ("cosine schedule", wording.OPTIMISERS["sgd"], "no mixing", "images as they are")
"""what a short trait says of GLaD's own evaluation"""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What the trainings of one line of a table have in common, and another evaluation may have otherwise."""

    labels: str
    """hard, own (soft ones of the set), teacher (soft ones given to it) or online (those of a teacher at every step)"""
    augmentation: str
    whitening: str | None
    """zca, or None: images were normalised"""
    epochs: int
    schedule: str
    test_images: int | None
    learning_rates: tuple[tuple[str, float], ...]
    """network and base rate, a pair for every rate in use"""
    optimiser: str = "sgd"
    mixing: str | None = None
    """how images of a mini-batch were mixed; None: not at all"""
    views: str | None = None
    """how each image was seen anew; None: as it is"""

    @property
    def regime(self) -> Regime:
        """How networks were taught."""
        return regime_of(self.labels)

    def otherwise_same(self, other: "Conditions", field: str) -> bool:
        """Whether another training differs in one field at most."""
        return replace(self, **{field: getattr(other, field)}) == other

    def comparable(self, other: "Conditions") -> bool:
        """Whether accuracies of one evaluation may be set against one another: same augmentation, whitening and regime
        of labels.
        """
        alike = (self.augmentation, self.whitening) == (other.augmentation, other.whitening)
        return alike and self.regime == other.regime


def conditions(rows: Sequence[Mapping[str, Any]]) -> Conditions:
    """The conditions of rows that were trained alike."""
    first = rows[0]
    return Conditions(
        labels=first["labels"],
        augmentation=first["augmentation"],
        whitening=first["whitening"],
        epochs=first["evaluation_epochs"],
        schedule=first["evaluation_schedule"],
        test_images=first["test_images"],
        learning_rates=tuple(sorted({(row["network"], row["evaluation_learning_rate"]) for row in rows})),
        optimiser=_optimiser(first),
        mixing=first.get("evaluation_mixing"),
        views=first.get("evaluation_views"),
    )


def _optimiser(row: Mapping[str, Any]) -> str:
    return row.get("evaluation_optimiser") or "sgd"


def evaluation_names(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """By evaluation id, what distinguishes an evaluation from the others: `soft labels, no augmentation`.

    Empty if there is one evaluation only. They are compared on the runs that all of them scored, if there are any; the
    whole dataset, whose labels and epochs are its own, does not count. What is as in GLaD's own evaluation (schedule,
    optimiser, images that are neither mixed nor seen anew), what chooses a step, networks, learning rates, test images
    and repeats are named only where the rest does not tell them apart, and the id where nothing does.
    """
    of: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        of.setdefault(row["evaluation_id"], []).append(row)
    if len(of) < 2:
        return dict.fromkeys(of, "")
    sets = {key: {row["run_id"] for row in rows if row["ipc"] is not None} for key, rows in of.items()}
    common = set.intersection(*sets.values())
    traits = {
        key: _traits([row for row in rows if row["run_id"] in (common or sets[key])] or rows)
        for key, rows in of.items()
    }
    told: dict[str, tuple[str, ...]] = dict.fromkeys(of, ())
    for number in range(_ALL_TRAITS):
        more = {key: (*said, traits[key][number]) for key, said in told.items()}
        differs = len({said[-1] for said in more.values()}) > 1
        splits = len(set(more.values())) > len(set(told.values()))
        if splits:
            told = more
        elif differs and number < _SHORT_TRAITS:
            told = {key: said if said[-1] not in _USUAL else said[:-1] for key, said in more.items()}
    alike = {said for said in told.values() if list(told.values()).count(said) > 1}
    return {key: ", ".join((*said, f"evaluation {key}") if said in alike else said) for key, said in told.items()}


def _traits(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Phrases, always as many and in the same order, the short ones first."""
    augmentations = {row["augmentation"] for row in rows}
    epochs = sorted({row["evaluation_epochs"] for row in rows}, reverse=True)
    rates = dict.fromkeys((row["network"], row["evaluation_learning_rate"]) for row in rows)
    networks = [wording.network_title(network) for network in dict.fromkeys(row["network"] for row in rows)]
    tested = sorted({row["test_images"] for row in rows}, key=lambda images: images or 0)
    return (
        _regime_name(rows),
        wording.augmentation(*augmentations) if len(augmentations) == 1 else "each run’s augmentation",
        " or ".join(map(wording.count, epochs)) + (" epoch" if epochs == [1] else " epochs"),
        " or ".join(sorted({row["evaluation_schedule"] for row in rows})) + " schedule",
        " or ".join(sorted({wording.OPTIMISERS[_optimiser(row)] for row in rows})),
        " or ".join(sorted({row.get("evaluation_mixing") or "no mixing" for row in rows})),
        " or ".join(sorted({row.get("evaluation_views") or "images as they are" for row in rows})),
        "a step chosen by looks" if any(row["selection"] == "looks" for row in rows) else "every kept step",
        "networks " + ", ".join(networks),
        "learning rates " + ", ".join(f"{wording.network_name(network)} {rate:g}" for network, rate in rates),
        " or ".join("all" if images is None else wording.count(images) for images in tested) + " test images",
        wording.counted(1 + max(row["repeat"] for row in rows), "repeat"),
    )


def regime_of_evaluation(rows: Iterable[Mapping[str, Any]]) -> Regime:
    """How networks were taught on the sets of rows under one evaluation; the whole dataset, whose labels stay hard,
    does not count beside others.
    """
    regimes = {regime_of(row["labels"]) for row in rows}
    return max(regimes, key=REGIMES.index)


def _regime_name(rows: Sequence[Mapping[str, Any]]) -> str:
    return wording.REGIMES[regime_of_evaluation(rows)]
