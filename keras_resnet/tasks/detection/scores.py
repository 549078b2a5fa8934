"""Figures of detections: COCO's average precision and recall by hotcoco, Pascal VOC's by NumPy; intervals of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.data.truth import FLAG, USUAL
from keras_resnet.tasks.detection import voc
from keras_resnet.tasks.detection.answers import Boxes
from keras_resnet.tasks.detection.matches import Matches, matched
from keras_resnet.tasks.detection.predictions import answers, input_size, moved_back
from keras_resnet.tasks.detection.settings import FRAME, TRUTH
from keras_resnet.tasks.facts import facts_of
from keras_resnet.tasks.results import Table, bootstrapped

Interval = tuple[float, float] | None


@dataclass(frozen=True)
class ClassScores:
    """Figures of one class.

    Attributes:
        ap: COCO's AP, mean over overlaps from 0.5 to 0.95; None where the class has no object.
        ap50: AP at overlap 0.5.
        objects: number of objects that count.
        found: share of them that the answers from the card's threshold on find, at overlap 0.5.
    """

    ap: float | None
    ap50: float | None
    objects: int
    found: float | None


@dataclass(frozen=True)
class Scores:
    """Figures over a split; None where there is no object that a figure is of.

    Attributes:
        ap: COCO's AP: the mean over classes and over overlaps 0.5, 0.55, ..., 0.95 of the mean precision at 101
            recalls, of at most 100 answers an image.
        ap_interval: its 95 % interval, over 1,000 samples of the images; None for a single one.
        ap50: the same at overlap 0.5 alone.
        ap50_interval: its interval over the same samples.
        ap75: at overlap 0.75.
        ap_small: of objects below 32 x 32 pixels of the whole picture.
        ap_medium: from there to below 96 x 96.
        ap_large: from there on.
        recall: COCO's AR: the mean over classes and overlaps of the largest recall.
        voc07: mean over classes of Pascal VOC's AP of 2007, at overlap 0.5: the mean precision at 11 recalls.
        voc: mean over classes of its AP from 2010 on: the area below the curve.
        classes: figures by class name.
        count: number of images.
        objects: number of objects that count; without crowds and difficult ones.
    """

    ap: float
    ap_interval: Interval
    ap50: float
    ap50_interval: Interval
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    recall: float | None
    voc07: float | None
    voc: float | None
    classes: dict[str, ClassScores]
    count: int
    objects: int

    @property
    def value(self) -> float:
        """The headline figure."""
        return self.ap

    def figures(self) -> dict[str, str]:
        """The figures by name, for one row of a table."""
        return {
            "AP": f"{self.ap:.2%}",
            "95 % interval": _between(self.ap_interval) or "-",
            "AP at 0.5": f"{self.ap50:.2%}",
            "its interval": _between(self.ap50_interval) or "-",
            "AP at 0.75": _text(self.ap75) or "-",
            "objects": f"{self.objects:,}",
        }

    def tables(self) -> Iterator[Table]:
        """Classes, then sizes and the other definitions."""
        rows = tuple(
            (name, each.objects, _text(each.ap), _text(each.ap50), _text(each.found))
            for name, each in self.classes.items()
        )
        yield Table("Classes", ("class", "objects", "AP", "AP at 0.5", "found"), rows)
        others = {
            "small": self.ap_small,
            "medium": self.ap_medium,
            "large": self.ap_large,
            "recall": self.recall,
            "VOC 2007": self.voc07,
            "VOC 2010": self.voc,
        }
        yield Table("Sizes and definitions", tuple(others), (tuple(map(_text, others.values())),))

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON types."""
        return asdict(self)


def _between(interval: Interval) -> str | None:
    return None if interval is None else f"{interval[0]:.2%} .. {interval[1]:.2%}"


def _text(value: float | None) -> str | None:
    return None if value is None else f"{value:.2%}"


def placed(
    found: Sequence[Boxes], truth: Mapping[str, np.ndarray], size: tuple[int, int], card: ModelCard
) -> Iterator[tuple[Boxes, np.ndarray, tuple[int, int]]]:
    """Answers and objects of every example in pixels of its whole picture, and that picture's height and width.

    Args:
        found: answers in pixels of the net's input.
        truth: `boxes` `(n, M, 7)` in these pixels, and `frame` `(n, 2)`; without it all stays in them.
        size: height and width of the input.
        card: card of the model.
    """
    frames = truth.get(FRAME)
    for number, (each, true) in enumerate(zip(found, np.asarray(truth[TRUTH]), strict=True)):
        height, width = size if frames is None else map(int, frames[number])
        keep = "stretch" if frames is None else card.keep
        kept = true[true[:, 2] > true[:, 0]].astype(np.float64)
        kept[:, :4] = moved_back(kept[:, :4], height, width, size, keep)
        boxes = moved_back(each.boxes, height, width, size, keep)
        yield Boxes(boxes=boxes, scores=each.scores, classes=each.classes), kept, (height, width)


class Scorer:
    """Adds up answers chunk by chunk; see `tasks.results.RedrawnScorer`."""

    def __init__(self, card: ModelCard) -> None:
        """Starts without examples."""
        self._card, self._facts = card, facts_of(card)
        self._found: list[Boxes] = []
        self._true: list[np.ndarray] = []
        self._sizes: list[tuple[int, int]] = []
        self._matches: Matches | None = None

    @property
    def examples(self) -> np.ndarray:
        """Empty: the score is no mean of values per example."""
        return np.empty(0)

    @property
    def count(self) -> int:
        """Number of examples so far."""
        return len(self._true)

    @property
    def objects(self) -> int:
        """Number of objects so far that count."""
        return int(sum((each[:, FLAG] == USUAL).sum() for each in self._true))

    def drawn(self, indices: np.ndarray) -> float:
        """The AP over a sample of the examples.

        Args:
            indices: positions of the examples, drawn with replacement.
        """
        if np.array_equal(indices, np.arange(self.count)):  # of all: without the answers of every image
            value = self.matches.figures["AP"]
            return float("nan") if value is None else value
        return float(self.matches.drawn(np.asarray(indices)[None])[0, 0])

    def drawn_often(self, samples: np.ndarray) -> np.ndarray:
        """The AP over several samples, float64 `(draws,)`; see `tasks.results.redrawn`."""
        return self.matches.drawn(samples)[:, 0]

    @property
    def matches(self) -> Matches:
        """Which answers meet an object, of all examples so far."""
        if self._matches is None:
            self._matches = matched(self._found, self._true, self._sizes, len(self._facts.names))
        return self._matches

    def update(self, outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> None:
        """Adds a chunk.

        Args:
            outputs: raw outputs, or those of a file's form.
            truth: `boxes` `(n, M, 7)` in pixels of the net's input, and `frame` `(n, 2)`, the pictures' own sizes;
                without it figures are in pixels of the input.
        """
        self._matches = None
        found, size = answers(outputs, self._card), input_size(outputs, self._facts)
        for boxes, true, whole in placed(found, truth, size, self._card):
            self._found.append(boxes)
            self._true.append(true)
            self._sizes.append(whole)

    def result(self) -> Scores:
        """The figures of all examples so far."""
        matches, names = self.matches, self._facts.names
        figures = matches.figures
        intervals: Sequence[Interval] = [None, None]
        if self.count > 1 and self.objects:
            intervals = bootstrapped(None, self.count, matches.drawn)
        each: dict[int, list[float | None]] = {2007: [], 2010: []}
        for number in range(len(names)):
            curve = voc.curve(self._found, self._true, number)
            for year, values in each.items():
                values.append(None if curve is None else voc.average_precision(*curve, year=year))
        return Scores(
            ap=figures["AP"] or 0.0,
            ap_interval=intervals[0],
            ap50=figures["AP50"] or 0.0,
            ap50_interval=intervals[1],
            ap75=figures["AP75"],
            ap_small=figures["APs"],
            ap_medium=figures["APm"],
            ap_large=figures["APl"],
            recall=figures["AR"],
            voc07=_mean(each[2007]),
            voc=_mean(each[2010]),
            classes=self._classes(matches),
            count=self.count,
            objects=self.objects,
        )

    def _classes(self, matches: Matches) -> dict[str, ClassScores]:
        found: dict[str, ClassScores] = {}
        for number, name in enumerate(self._facts.names):
            ap, ap50 = matches.of_class(number)
            objects, right = matches.found(number, self._facts.threshold)
            key = f"{name} ({number})" if name in found else name
            found[key] = ClassScores(ap, ap50, objects, right / objects if objects else None)
        return found


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def scorer(card: ModelCard) -> Scorer:
    """A new scorer.

    Args:
        card: card with the names of the classes, thresholds and geometry.
    """
    return Scorer(card)
