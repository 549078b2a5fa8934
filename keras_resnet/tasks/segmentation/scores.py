"""Figures of masks: intersection over union, Dice and pixel accuracy over all pixels that are not void."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.data.truth import VOID
from keras_resnet.errors import InputError
from keras_resnet.tasks.results import Table, bootstrapped
from keras_resnet.tasks.segmentation.forms import answer, classes_of
from keras_resnet.tasks.segmentation.settings import TRUTH


@dataclass(frozen=True)
class Scores:
    """Figures over a split.

    Attributes:
        miou: mean over the classes of intersection over union, of all pixels together; classes that neither the truth
            nor the answers have are left out.
        miou_interval: its 95 % interval, over 1,000 samples of the examples; None for a single one.
        dice: mean over the same classes of Dice's coefficient.
        accuracy: share of the pixels with the right class.
        iou: intersection over union by class name; None where there is no such class.
        iou_intervals: their 95 % intervals over the same samples; None where there is none.
        count: number of examples.
        valid: share of the pixels that are not void.
    """

    miou: float
    miou_interval: tuple[float, float] | None
    dice: float
    accuracy: float
    iou: dict[str, float | None]
    iou_intervals: dict[str, tuple[float, float] | None]
    count: int
    valid: float

    @property
    def value(self) -> float:
        """The headline figure."""
        return self.miou

    def figures(self) -> dict[str, str]:
        """The figures by name, for one row of a table."""
        low, high = self.miou_interval or (self.miou, self.miou)
        return {
            "mean IoU": f"{self.miou:.2%}",
            "95 % interval": f"{low:.2%} .. {high:.2%}",
            "Dice": f"{self.dice:.2%}",
            "pixel accuracy": f"{self.accuracy:.2%}",
        }

    def tables(self) -> Iterator[Table]:
        """Every class with its figure."""
        rows = tuple(
            (name, None if value is None else f"{value:.2%}", _between(self.iou_intervals[name]))
            for name, value in self.iou.items()
        )
        yield Table("Classes", ("class", "IoU", "95 % interval"), rows)

    def to_json(self) -> dict[str, object]:
        """The fields as JSON types."""
        return asdict(self)


def _between(interval: tuple[float, float] | None) -> str | None:
    return None if interval is None else f"{interval[0]:.2%} .. {interval[1]:.2%}"


def names_of(card: ModelCard) -> tuple[str, ...]:
    """The names of the classes on a card; none where it has none.

    Args:
        card: card of a model, ours or a foreign one.
    """
    return tuple(map(str, card.facts.get("names") or card.labels or ()))


def class_names(names: Sequence[str], count: int) -> list[str]:
    """A name for every class, each another one: where a card's are missing or alike, with the class's number.

    Args:
        names: names on a card.
        count: number of classes.
    """
    found: list[str] = []
    for number in range(count):
        name = str(names[number]) if number < len(names) else str(number)
        found.append(f"{name} ({number})" if name in found else name)
    return found


def counts(found: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Pixels by example and class: right ones, found ones, true ones, int64 `(n, 3, classes)`; void is left out.

    Args:
        found: classes `(n, H, W)`.
        truth: classes `(n, H, W)`; 255 is void.
        classes: number of classes.
    """
    made = np.zeros((len(found), 3, classes), np.int64)
    for row, answers, known in zip(made, found, truth, strict=True):
        valid = known != VOID
        answers, known = answers[valid], known[valid]
        for place, values in enumerate((answers[answers == known], answers, known)):
            row[place] = np.bincount(values, minlength=classes)[:classes]
    return made


def ious(pixels: np.ndarray) -> np.ndarray:
    """Intersection over union of every class, float64 `(classes,)`; nan where nobody has it.

    Args:
        pixels: sums of `counts`, `(3, classes)`.
    """
    both, found, true = pixels.astype(np.float64)
    union = found + true - both
    return np.where(union > 0, both / np.maximum(union, 1), np.nan)


def mean_iou(pixels: np.ndarray) -> float:
    """The mean of `ious` that are there; 0 for none."""
    found = ious(pixels)
    return float(found[~np.isnan(found)].mean()) if (~np.isnan(found)).any() else 0.0


class Scorer:
    """Adds up answers chunk by chunk; see `tasks.results.RedrawnScorer`."""

    def __init__(self, card: ModelCard) -> None:
        """Starts without examples."""
        self._card = card
        self._names = names_of(card)
        self._counts: list[np.ndarray] = []
        self._pixels = 0

    @property
    def examples(self) -> np.ndarray:
        """Empty: the score is no mean of values per example."""
        return np.empty(0)

    @property
    def count(self) -> int:
        """Number of examples so far."""
        return sum(map(len, self._counts))

    def drawn(self, indices: np.ndarray) -> float:
        """The mean IoU over a sample of the examples.

        Args:
            indices: int64 `(count,)`, drawn with replacement.
        """
        if len(self._counts) > 1:
            self._counts = [np.concatenate(self._counts)]
        return mean_iou(self._counts[0][indices].sum(axis=0))

    def update(self, outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> None:
        """Adds a chunk of examples.

        Args:
            outputs: scores `(n, H, W, classes)` or classes `(n, H, W)`, as the form of the card has them.
            truth: `mask`, uint8 `(n, H, W)`; 255 is void.

        Raises:
            InputError: maps of another size, or more classes in the truth than the model has.
        """
        scores, known = answer(outputs, self._card), np.asarray(truth[TRUTH])
        found = classes_of(scores)
        check_classes(found)
        classes = max(2, scores.shape[-1]) if scores.ndim == 4 else max(len(self._names), int(found.max(initial=0)) + 1)
        if found.shape != known.shape:
            raise InputError(
                f"the model's maps are {found.shape[1:]}, the masks {known.shape[1:]}: expected the same size"
            )
        largest = int(np.where(known == VOID, 0, known).max(initial=0))
        if largest >= classes:
            raise InputError(
                f"the masks have the class {largest}, the model {classes} classes: they do not belong together"
            )
        self._counts.append(counts(found, known, classes))
        self._pixels += known.size

    def result(self) -> Scores:
        """The figures of all examples so far."""
        all_counts = np.concatenate(self._counts)
        pixels = all_counts.sum(axis=0)
        both, found, true = pixels.astype(np.float64)
        each = ious(pixels)
        there = ~np.isnan(each)
        dices = 2 * both / np.maximum(found + true, 1)
        names = class_names(self._names, len(each))
        intervals = self._intervals(all_counts, there)
        return Scores(
            miou=mean_iou(pixels),
            miou_interval=intervals[0],
            dice=float(dices[there].mean()) if there.any() else 0.0,
            accuracy=float(both.sum() / max(true.sum(), 1)),
            iou={name: None if np.isnan(value) else float(value) for name, value in zip(names, each, strict=True)},
            iou_intervals=dict(zip(names, intervals[1:], strict=True)),
            count=self.count,
            valid=float(true.sum() / max(self._pixels, 1)),
        )

    def _intervals(self, all_counts: np.ndarray, there: np.ndarray) -> list[tuple[float, float] | None]:
        """Intervals of the mean and of every class; None where there is no such class, or one example alone."""
        if self.count < 2:
            return [None] * (1 + len(there))

        def drawn(rows: np.ndarray) -> np.ndarray:
            pixels = all_counts[rows].sum(axis=0)
            return np.array([mean_iou(pixels), *ious(pixels)[there]])

        mean, *each = bootstrapped(drawn, self.count)
        known = iter(each)
        return [mean, *(next(known) if yes else None for yes in there)]


def check_classes(found: np.ndarray) -> None:
    """Refuses answers that are no classes of a mask, as the file of a stranger may give.

    Args:
        found: classes of pixels, integers.

    Raises:
        InputError: a class below 0 or from 255 on.
    """
    if found.min(initial=0) < 0 or found.max(initial=0) >= VOID:
        wrong = found.min() if found.min(initial=0) < 0 else found.max()
        raise InputError(f"the model has the class {wrong}: expected at most {VOID} classes, 0 to {VOID - 1}")


def scorer(card: ModelCard) -> Scorer:
    """A new scorer.

    Args:
        card: card with the names of the classes.
    """
    return Scorer(card)


def agreement(
    reference: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    card: ModelCard,
    truth: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Share of the pixels for which both models name the same class, float64; pixels that are void do not count.

    Args:
        reference: outputs of one model.
        outputs: outputs of the other.
        card: card of both, which says the form of their outputs.
        truth: `mask` `(n, H, W)` with 255 where void; None where nothing is known.

    Returns:
        A share for every example that has a pixel which counts.
    """
    one, other = (classes_of(answer(each, card)) for each in (reference, outputs))
    counts = np.asarray(truth[TRUTH]) != VOID if truth else np.ones(one.shape, bool)
    same, of_all = ((each & counts).reshape(len(one), -1).sum(axis=1) for each in (one == other, counts))
    return same[of_all > 0] / of_all[of_all > 0]
