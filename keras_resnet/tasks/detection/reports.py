"""What a page shows of objects beyond their scores: curves, confusions, calibration of scores, the worst images.

Answers are seen once, chunk by chunk; of the worst images their boxes are kept, and no pixels.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.data.truth import AREA, CLASS, FLAG, USUAL
from keras_resnet.tasks.detection.answers import Boxes
from keras_resnet.tasks.detection.matches import Matches, matched
from keras_resnet.tasks.detection.painting import fitted, marked, readable
from keras_resnet.tasks.detection.pairs import confusion, pairs
from keras_resnet.tasks.detection.predictions import answers, input_size
from keras_resnet.tasks.detection.scores import Scores, placed
from keras_resnet.tasks.detection.settings import TRUTH, Facts
from keras_resnet.tasks.facts import facts_of
from keras_resnet.tasks.results import Table

BACKGROUND = "nothing"
SIZES = (("small", 0.0, 32.0**2), ("medium", 32.0**2, 96.0**2), ("large", 96.0**2, np.inf))  # COCO's, square pixels
_BINS = np.linspace(0, 1, 11)
_SHOWN = 8
_RIGHT, _FALSE, _MISSED, _ASIDE = (0, 158, 115), (214, 39, 40), (255, 165, 0), (128, 128, 128)


@dataclass(frozen=True)
class Bin:
    """Answers of about one score.

    Attributes:
        low: least score.
        high: largest score.
        count: number of answers.
        score: their mean score; None for no answer.
        right: share of them that meet an object of their class, at overlap 0.5.
    """

    low: float
    high: float
    count: int
    score: float | None
    right: float | None


@dataclass(frozen=True)
class Detailed:
    """Scores with what only a report shows; see `tasks.results.Summary`.

    Attributes:
        scores: figures of all examples.
        curves: by class name the precision at 101 recalls at overlap 0.5, and the same at 0.75; classes with objects.
        confusion: objects by true class (row) and answer (column) from the threshold on; behind the classes `nothing`:
            objects that were not found, and answers where there is nothing.
        calibration: answers by score.
        sizes: number of objects that count by size.
        threshold: the card's.
    """

    scores: Scores
    curves: dict[str, tuple[tuple[float, ...], tuple[float, ...]]]
    confusion: tuple[tuple[int, ...], ...]
    calibration: tuple[Bin, ...]
    sizes: dict[str, int]
    threshold: float

    @property
    def names(self) -> list[str]:
        """Names of the rows of `confusion`."""
        return [*self.scores.classes, BACKGROUND]

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types."""
        return {
            **self.scores.to_json(),
            "curves": {name: [list(each) for each in both] for name, both in self.curves.items()},
            "confusion": [list(row) for row in self.confusion],
            "calibration": [vars(each) for each in self.calibration],
            "sizes": self.sizes,
        }

    def figures(self) -> dict[str, str]:
        """The figures of the scores."""
        return self.scores.figures()

    def tables(self) -> Iterator[Table]:
        """Those of the scores."""
        yield from self.scores.tables()

    def notes(self) -> Iterator[str]:
        """No notes."""
        yield from ()

    def warnings(self) -> Iterator[str]:
        """No warnings."""
        yield from ()


@dataclass(frozen=True, eq=False)
class _Kept:
    """Boxes of a bad image, in pixels of the net's input."""

    value: tuple[float, int, int]  # F, minus mistakes, position: the worst one is the smallest
    words: str
    size: tuple[int, int]
    found: Boxes
    rows: np.ndarray

    def __lt__(self, other: _Kept) -> bool:
        """The best one goes first."""
        return self.value > other.value


class Reporter:
    """Sees answers chunk by chunk; see `tasks.results.Reporter`."""

    def __init__(self, card: ModelCard) -> None:
        """Starts without examples."""
        self._card = card
        self._facts: Facts = facts_of(card)
        self._found: list[Boxes] = []
        self._true: list[np.ndarray] = []
        self._sizes: list[tuple[int, int]] = []
        self._confusion = np.zeros((len(self._facts.names) + 1,) * 2, np.int64)
        self._worst: list[_Kept] = []

    def update(self, outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> None:
        """Adds a chunk of examples, which a scorer has taken.

        Args:
            outputs: raw outputs, or those of a file's form.
            truth: `boxes` `(n, M, 7)` in pixels of the net's input, and `frame`.
        """
        found, size = answers(outputs, self._card), input_size(outputs, self._facts)
        seen = np.asarray(truth[TRUTH], np.float64)
        whole = placed(found, truth, size, self._card)
        for each, rows, (boxes, true, frame) in zip(found, seen, whole, strict=True):
            shown = _above(boxes, self._facts.threshold)
            self._confusion += confusion(shown, true, len(self._facts.names))
            self._keep(shown, true, _above(each, self._facts.threshold), rows[rows[:, 2] > rows[:, 0]], size)
            self._found.append(boxes)
            self._true.append(true)
            self._sizes.append(frame)

    def _keep(self, shown: Boxes, true: np.ndarray, own: Boxes, rows: np.ndarray, size: tuple[int, int]) -> None:
        met = pairs(shown, true)
        right, wrong, missed = int(met.right.sum()), int(met.wrong.sum()), int(met.missed.sum())
        if not wrong + missed:
            return
        value = (2 * right / (2 * right + wrong + missed), -wrong - missed, len(self._true))
        words = f"{right} of {right + missed} found" if right + missed else "nothing is there"
        kept = _Kept(value, words + (f", {wrong} false" if wrong else ""), size, own, rows)
        (heapq.heappushpop if len(self._worst) == _SHOWN else heapq.heappush)(self._worst, kept)

    def summary(self, scores: Scores) -> Detailed:
        """The scores with what was seen beside them.

        Args:
            scores: figures of the same examples.
        """
        found = matched(self._found, self._true, self._sizes, len(self._facts.names))
        curves = {
            name: (_curve(found.precision[0, :, number]), _curve(found.precision[5, :, number]))
            for number, name in enumerate(scores.classes)
            if (found.precision[..., number] >= 0).any()
        }
        areas = np.concatenate([_areas(rows) for rows in self._true]) if self._true else np.zeros(0)
        return Detailed(
            scores=scores,
            curves=curves,
            confusion=tuple(tuple(map(int, row)) for row in self._confusion),
            calibration=_calibration(found),
            sizes={name: int(((areas >= low) & (areas < high)).sum()) for name, low, high in SIZES},
            threshold=self._facts.threshold,
        )

    def remarkable(self) -> dict[str, list[tuple[int, str]]]:
        """The examples with the smallest share of right answers: positions with a few words, the worst first."""
        return {"The worst images": [(each.value[2], each.words) for each in sorted(self._worst, reverse=True)]}

    def beside(self, index: int) -> dict[str, np.ndarray]:
        """None: boxes are drawn over the example (`over`)."""
        del index
        return {}

    def over(self, index: int, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Truth and answer drawn over an example that is remarkable, uint8 `(h, w, 3)` each.

        Args:
            index: position of the example.
            pixels: what the net saw, uint8 `(H, W, 1 or 3)`.
        """
        (kept,) = (each for each in self._worst if each.value[2] == index)
        seen, names = readable(pixels), self._facts.names
        met = pairs(kept.found, kept.rows)
        rows, boxes = (fitted(each[:, :4], kept.size, seen) for each in (kept.rows, kept.found.boxes))
        called = [_name(names, number) for number in kept.rows[:, CLASS]]
        truth = [
            _MISSED if gone else _RIGHT if counts else _ASIDE
            for gone, counts in zip(met.missed, met.usual, strict=True)
        ]
        words = [
            f"{_name(names, number)} {score:.2f}"
            for number, score in zip(kept.found.classes, kept.found.scores, strict=True)
        ]
        own = [
            _RIGHT if right else _ASIDE if aside else _FALSE for right, aside in zip(met.right, met.aside, strict=True)
        ]
        gone = np.flatnonzero(met.missed)
        answered = marked(
            seen,
            np.concatenate([boxes, rows[gone]]),
            [*own, *(_MISSED for _ in gone)],
            [*words, *(f"{called[place]} missed" for place in gone)],
        )
        return {"truth": marked(seen, rows, truth, called), "answer": answered}

    def legend(self) -> list[tuple[str, tuple[int, ...]]]:
        """Names and colours, of 0 to 255, of what `over` may show."""
        return [
            ("right, and what was found", _RIGHT),
            ("false", _FALSE),
            ("missed", _MISSED),
            ("neither: crowds and difficult objects, and answers in them", _ASIDE),
        ]


def _name(names: Sequence[str], number: float) -> str:
    return names[int(number)] if int(number) < len(names) else str(int(number))


def _above(found: Boxes, threshold: float) -> Boxes:
    kept = found.scores >= threshold - 1e-7  # as `decode` has it
    return Boxes(boxes=found.boxes[kept], scores=found.scores[kept], classes=found.classes[kept])


def _areas(rows: np.ndarray) -> np.ndarray:
    """Areas of the objects that count."""
    rows = rows[rows[:, FLAG] == USUAL]
    own = (rows[:, 2] - rows[:, 0]) * (rows[:, 3] - rows[:, 1])
    return np.where(rows[:, AREA] > 0, rows[:, AREA], own)


def _curve(precision: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in np.maximum(precision, 0))


def _calibration(found: Matches) -> tuple[Bin, ...]:
    """Answers that count by score, those of all classes together."""
    counts = [own.counts[0] for own in found.by_class]
    scores = np.concatenate([own.scores[kept] for own, kept in zip(found.by_class, counts, strict=True)])
    right = np.concatenate([own.right[0][kept] for own, kept in zip(found.by_class, counts, strict=True)])
    place = np.clip(np.digitize(scores, _BINS) - 1, 0, len(_BINS) - 2)
    bins = []
    for number, (low, high) in enumerate(zip(_BINS[:-1], _BINS[1:], strict=True)):
        own = place == number
        means = (float(scores[own].mean()), float(right[own].mean())) if own.any() else (None, None)
        bins.append(Bin(round(float(low), 1), round(float(high), 1), int(own.sum()), *means))
    return tuple(bins)


def reporter(card: ModelCard) -> Reporter:
    """A new reporter.

    Args:
        card: card with names of the classes, threshold and geometry.
    """
    return Reporter(card)
