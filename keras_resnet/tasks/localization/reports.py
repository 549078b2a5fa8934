"""What a page shows of localizations beyond their scores: figures by class, the worst images.

Answers are seen once, chunk by chunk; of the worst images their boxes are kept, and no pixels.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.data.truth import CLASS, FLAG, USUAL
from keras_resnet.tasks.detection.painting import fitted, marked, readable
from keras_resnet.tasks.facts import facts_of
from keras_resnet.tasks.localization.answers import Located, decode
from keras_resnet.tasks.localization.scores import Scorer, Scores
from keras_resnet.tasks.localization.settings import TRUTH, Facts
from keras_resnet.tasks.results import Table

_SHOWN = 8
_RIGHT, _FALSE, _ASIDE = (0, 158, 115), (214, 39, 40), (128, 128, 128)


@dataclass(frozen=True)
class ClassFigures:
    """Figures of the examples whose largest object is of one class.

    Attributes:
        count: number of examples.
        localized: share with the right class and a box that overlaps such an object by half.
        class_error: share with a wrong class.
        overlap: mean overlap of the box with the nearest object of the class that was answered, else of the true one.
    """

    count: int
    localized: float
    class_error: float
    overlap: float


@dataclass(frozen=True)
class Detailed:
    """Scores with what only a report shows; see `tasks.results.Summary`.

    Attributes:
        scores: figures of all examples.
        classes: figures by class name, of classes with examples.
    """

    scores: Scores
    classes: dict[str, ClassFigures]

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types."""
        return {**self.scores.to_json(), "classes": {name: vars(each) for name, each in self.classes.items()}}

    def figures(self) -> dict[str, str]:
        """The figures of the scores."""
        return self.scores.figures()

    def tables(self) -> Iterator[Table]:
        """Those of the scores, and figures by class."""
        yield from self.scores.tables()
        rows = tuple(
            (name, each.count, f"{each.localized:.2%}", f"{each.class_error:.2%}", f"{each.overlap:.2%}")
            for name, each in self.classes.items()
        )
        yield Table("Classes", ("class", "images", "localized", "class error", "mean overlap"), rows)

    def notes(self) -> Iterator[str]:
        """No notes."""
        yield from ()

    def warnings(self) -> Iterator[str]:
        """No warnings."""
        yield from ()


@dataclass(frozen=True, eq=False)
class _Kept:
    """A bad image's answer and objects, in pixels of the net's input."""

    value: tuple[bool, float, int]  # right class, overlap, position: the worst one is the smallest
    words: str
    answer: Located
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
        self._figures: dict[int, list[tuple[float, float, float]]] = {}
        self._worst: list[_Kept] = []
        self._seen = 0

    def update(self, outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> None:
        """Adds a chunk of examples, which a scorer has taken.

        Args:
            outputs: `logits` and `box`.
            truth: `boxes` `(n, M, 7)` in pixels of the net's input.
        """
        for number, answer in enumerate(decode(outputs, self._card, limit=1)):
            own = slice(number, number + 1)
            scorer = Scorer(self._card)
            scorer.update({name: values[own] for name, values in outputs.items()}, {TRUTH: truth[TRUTH][own]})
            if scorer.count:
                self._add(scorer.result(), answer, np.asarray(truth[TRUTH][number], np.float64))
            self._seen += 1

    def _add(self, found: Scores, answer: Located, rows: np.ndarray) -> None:
        rows = rows[rows[:, 2] > rows[:, 0]]
        area = np.where(rows[:, FLAG] == USUAL, (rows[:, 2] - rows[:, 0]) * (rows[:, 3] - rows[:, 1]), -1)
        true = int(rows[area.argmax(), CLASS])
        self._figures.setdefault(true, []).append((found.localized, found.class_error, found.overlap))
        if found.localized:
            return
        called = next(iter(answer.scores))
        what = f"{self._name(true)} called {called}" if found.class_error else f"{called} is right"
        value = (not found.class_error, found.overlap, self._seen)
        kept = _Kept(value, f"{what}; overlap {found.overlap:.1%}", answer, rows)
        (heapq.heappushpop if len(self._worst) == _SHOWN else heapq.heappush)(self._worst, kept)

    def _name(self, number: int) -> str:
        return self._facts.names[number] if number < len(self._facts.names) else str(number)

    def summary(self, scores: Scores) -> Detailed:
        """The scores with what was seen beside them.

        Args:
            scores: figures of the same examples.
        """
        classes: dict[str, ClassFigures] = {}
        for number, rows in sorted(self._figures.items()):
            name = self._name(number)
            means = map(float, np.mean(rows, axis=0))
            classes[f"{name} ({number})" if name in classes else name] = ClassFigures(len(rows), *means)
        return Detailed(scores, classes)

    def remarkable(self) -> dict[str, list[tuple[int, str]]]:
        """The examples that are wrong, those of another class first, then by overlap: positions with a few words."""
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
        seen, size = readable(pixels), kept.answer.size
        true = [_RIGHT if flag == USUAL else _ASIDE for flag in kept.rows[:, FLAG]]
        names = [self._name(int(number)) for number in kept.rows[:, CLASS]]
        answer = kept.answer.detections()
        words = [f"{answer.names[0]} {answer.scores[0]:.2f}"]
        return {
            "truth": marked(seen, fitted(kept.rows[:, :4], size, seen), true, names),
            "answer": marked(seen, fitted(answer.boxes, size, seen), [_FALSE], words),
        }

    def legend(self) -> list[tuple[str, tuple[int, ...]]]:
        """Names and colours, of 0 to 255, of what `over` may show."""
        return [("objects", _RIGHT), ("the answer, which is wrong", _FALSE), ("crowds and difficult objects", _ASIDE)]


def reporter(card: ModelCard) -> Reporter:
    """A new reporter.

    Args:
        card: card with names of the classes and the size of the input.
    """
    return Reporter(card)
