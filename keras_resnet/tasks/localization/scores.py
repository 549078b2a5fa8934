"""The ImageNet localization error: an answer is right if its class is, and its box overlaps such an object by half."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.data.truth import CLASS, FLAG, USUAL
from keras_resnet.tasks.detection.boxes import overlaps
from keras_resnet.tasks.facts import facts_of
from keras_resnet.tasks.localization.answers import corners, probabilities
from keras_resnet.tasks.localization.settings import TRUTH, Facts
from keras_resnet.tasks.results import Table, bootstrapped

_LEAST = 0.5  # overlap; below it a box is wrong


@dataclass(frozen=True)
class Scores:
    """Figures over the examples of a split that have an object.

    Attributes:
        localized: share with the right class and a box that overlaps an object of it by half: 1 - the error.
        interval: its 95 % interval, over 1,000 samples; None for a single one.
        class_error: share with a wrong class.
        box_error: share whose box overlaps no object of the true class by half, whatever class is answered.
        overlap: mean overlap with the nearest object of the true class.
        median_error: `box_error` of the examples' own median box for all: what a net must beat.
        count: number of examples.
        without: number of examples without an object, which count nothing.
    """

    localized: float
    interval: tuple[float, float] | None
    class_error: float
    box_error: float
    overlap: float
    median_error: float
    count: int
    without: int

    @property
    def value(self) -> float:
        """The headline figure."""
        return self.localized

    @property
    def error(self) -> float:
        """The ImageNet localization error."""
        return 1 - self.localized

    def figures(self) -> dict[str, str]:
        """The figures by name, for one row of a table."""
        low, high = self.interval or (self.localized, self.localized)
        return {
            "localization error": f"{self.error:.2%}",
            "95 % interval": f"{1 - high:.2%} .. {1 - low:.2%}",
            "class error": f"{self.class_error:.2%}",
            "box error": f"{self.box_error:.2%}",
            "mean overlap": f"{self.overlap:.2%}",
            "box error of the median box": f"{self.median_error:.2%}",
        }

    def tables(self) -> Iterator[Table]:
        """None."""
        yield from ()

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON types."""
        return {**asdict(self), "localization_error": self.error}


class Scorer:
    """Adds up answers chunk by chunk; see `tasks.results.RedrawnScorer`."""

    def __init__(self, card: ModelCard) -> None:
        """Starts without examples."""
        self._facts: Facts = facts_of(card)
        self._rows: list[tuple[bool, float]] = []  # right class, overlap
        self._true: list[np.ndarray] = []
        self._without = 0

    @property
    def examples(self) -> np.ndarray:
        """1 for every example so far that is right, else 0; those without an object are left out."""
        return np.array([float(right and overlap >= _LEAST) for right, overlap in self._rows])

    @property
    def count(self) -> int:
        """Number of examples so far that have an object."""
        return len(self._rows)

    def drawn(self, indices: np.ndarray) -> float:
        """The headline figure over a sample of the examples that count.

        Args:
            indices: positions among the examples that have an object.
        """
        return float(self.examples[np.asarray(indices)].mean()) if len(indices) else float("nan")

    def update(self, outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> None:
        """Adds a chunk.

        Args:
            outputs: `logits` and `box`.
            truth: `boxes` `(n, M, 7)` in pixels of the net's input.
        """
        answers, boxes = probabilities(outputs).argmax(axis=1), corners(outputs, self._facts.size)
        for label, box, rows in zip(answers, boxes, np.asarray(truth[TRUTH], np.float64), strict=True):
            usual = rows[(rows[:, 2] > rows[:, 0]) & (rows[:, FLAG] == USUAL)]
            if not len(usual):
                self._without += 1
                continue
            area = (usual[:, 2] - usual[:, 0]) * (usual[:, 3] - usual[:, 1])
            wanted = usual[area.argmax(), CLASS]
            known = usual[:, CLASS]
            right = bool((known == label).any())  # any object of the image may be meant, as its label is
            own = usual[known == (label if right else wanted), :4]
            self._rows.append((right, float(overlaps(box, own).max())))
            self._true.append(usual[area.argmax(), :4])

    def result(self) -> Scores:
        """The figures of all examples so far."""
        right = np.array([each for each, _ in self._rows], bool)
        overlap = np.array([each for _, each in self._rows])
        found = self.examples
        interval = bootstrapped(lambda rows: found[rows].mean(), len(found)) if len(found) > 1 else None
        true = np.array(self._true).reshape(-1, 4)
        median = overlaps(np.median(true, axis=0), true) if len(true) else np.zeros(0)
        return Scores(
            localized=_mean(found),
            interval=interval,
            class_error=1 - _mean(right),
            box_error=1 - _mean(overlap >= _LEAST),
            overlap=_mean(overlap),
            median_error=1 - _mean(median >= _LEAST),
            count=len(found),
            without=self._without,
        )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


def scorer(card: ModelCard) -> Scorer:
    """A new scorer.

    Args:
        card: card with the size of the net's input.
    """
    return Scorer(card)


def agreement(
    reference: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    card: ModelCard,
    truth: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Overlap of both boxes where both name the same class, else 0; float64 `(n,)`.

    Args:
        reference: outputs of one model.
        outputs: outputs of the other.
        card: card of both.
        truth: not used.
    """
    del truth
    size = facts_of(card).size
    same = probabilities(reference).argmax(axis=1) == probabilities(outputs).argmax(axis=1)
    return overlaps(corners(reference, size), corners(outputs, size)) * same
