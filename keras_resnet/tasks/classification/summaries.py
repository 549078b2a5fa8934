"""Everything that answers say about a classifier: intervals, classes, confusions, reliability."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.tasks.classification import reliability as reliability_lib
from keras_resnet.tasks.classification.ensembles import as_probabilities
from keras_resnet.tasks.classification.predictions import label
from keras_resnet.tasks.classification.reliability import Reliability
from keras_resnet.tasks.classification.scores import Scores, score
from keras_resnet.tasks.classification.settings import OUTPUT
from keras_resnet.tasks.interface import sole
from keras_resnet.tasks.results import Table

_Z = 1.959964  # of 95 % of a normal distribution

_UNEVEN = 1.5  # largest class by smallest, from which the balanced accuracy stands in the table


@dataclass(frozen=True)
class ClassFigures:
    """Figures of one class.

    Attributes:
        name: class name.
        count: number of its examples.
        accuracy: fraction of them that were recognised; None without examples.
        interval: 95 % interval of the accuracy (Wilson); None without examples.
        taken_for: name of the class that they were most often taken for by mistake; None without mistakes.
    """

    name: str
    count: int
    accuracy: float | None
    interval: tuple[float, float] | None
    taken_for: str | None


@dataclass(frozen=True)
class Summary:
    """What a test split says about a classifier.

    Attributes:
        scores: figures of all examples.
        interval: 95 % interval of top-1 (Wilson).
        classes: figures of every class.
        confusion: number of examples of class `row` that were called `column`.
        reliability: how far the probabilities can be believed.
        temperature: temperature that calibrates best on the validation examples; None without any, or without an error.
            Where they cannot be used, the mean of those that are cross-fitted (`reliability.cross_fitted`).
        tempered: reliability with that temperature, or with those.
        logits: whether the outputs were no probabilities and went through a softmax.
        cross_fit: why the temperature is cross-fitted on the test examples; empty where it is not.
    """

    scores: Scores
    interval: tuple[float, float]
    classes: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    reliability: Reliability
    temperature: float | None
    tempered: Reliability | None
    logits: bool = False
    cross_fit: str = ""

    @property
    def fitted(self) -> str | None:
        """What the temperature was fitted on, in words; None without one."""
        if self.temperature is None:
            return None
        if self.cross_fit:
            return f"cross-fitted on the test images in {reliability_lib.FOLDS} parts, as {self.cross_fit}"
        return "fitted on the validation images, which stayed out of the training"

    @property
    def balanced(self) -> float:
        """Balanced accuracy: mean over the classes of the fraction that was recognised; 0 without examples."""
        known = [each.accuracy for each in self.classes if each.accuracy is not None]
        return sum(known) / len(known) if known else 0.0

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types; `scores` at the top."""
        return {
            **self.scores.to_json(),
            "top1_interval": list(self.interval),
            "balanced_accuracy": self.balanced,
            "ece": self.reliability.ece,
            "reliability": self.reliability.to_json(),
            "temperature": self.temperature,
            "ece_with_temperature": self.tempered.ece if self.tempered else None,
            "temperature_fitted": self.fitted,
            "classes": [vars(each) for each in self.classes],
            "confusion": [list(row) for row in self.confusion],
            "outputs_are_logits": self.logits,
        }

    def figures(self) -> dict[str, str]:
        """The main figures by name, for one row of a table."""
        low, high = self.interval
        counts = [each.count for each in self.classes if each.count]
        uneven = bool(counts) and max(counts) > _UNEVEN * min(counts)
        return {
            "top-1": f"{self.scores.top1:.2%}",
            "95 % interval": f"{low:.2%} .. {high:.2%}",
            **({"balanced": f"{self.balanced:.2%}"} if uneven else {}),
            "top-5": f"{self.scores.top5:.2%}",
            "loss": f"{self.scores.loss:.4f}",
            "ECE": f"{self.reliability.ece:.2%}",
        }

    def tables(self) -> Iterator[Table]:
        """Tables beside the main figures; long ones are for people who ask for detail."""
        columns = ("class", "images", "top-1", "95 % interval", "most often taken for")
        yield Table("Classes", columns, tuple(map(_class_row, self.classes)), detail=True)

    def notes(self) -> Iterator[str]:
        """Sentences below the tables."""
        if self.tempered:
            yield (
                f"calibration: ECE {self.reliability.ece:.2%}, {self.tempered.ece:.2%} with temperature "
                f"{self.temperature:.2f}, {self.fitted}"
            )

    def warnings(self) -> Iterator[str]:
        """Sentences at the very end: what a reader should know before the figures are believed."""
        if self.logits:
            yield "note: the outputs are no probabilities; they went through a softmax"


def _class_row(each: ClassFigures) -> tuple[object, ...]:
    return (
        each.name,
        each.count,
        None if each.accuracy is None else f"{each.accuracy:.2%}",
        None if each.interval is None else f"{each.interval[0]:.1%} .. {each.interval[1]:.1%}",
        each.taken_for,
    )


def summary(
    outputs: Mapping[str, np.ndarray],
    truth: Mapping[str, np.ndarray],
    *,
    labels: Sequence[str] = (),
    fitted_on: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]] | None = None,
    logits: bool = False,
    cross_fit: str = "",
    card: ModelCard | None = None,
) -> Summary:
    """Judges answers.

    Args:
        outputs: `probabilities` `(N, classes)`.
        truth: `label`, int `(N,)`.
        labels: class names.
        fitted_on: outputs and truth of the validation examples, which the temperature is fitted on; None for none.
        logits: whether the model gave logits.
        cross_fit: why the temperature is fitted on the examples themselves, in parts; empty where it is not.
        card: not used.
    """
    del card
    probabilities, known = sole(outputs, OUTPUT), truth["label"]
    scores = score(probabilities, known)
    found: tuple[float, np.ndarray] | None = None
    if cross_fit:
        found = reliability_lib.cross_fitted(probabilities, known)
    elif fitted_on is not None:
        best = reliability_lib.fit_temperature(sole(fitted_on[0], OUTPUT), fitted_on[1]["label"])
        found = None if best is None else (best, reliability_lib.tempered(probabilities, best))
    confusion = confusions(probabilities, known)
    return Summary(
        scores=scores,
        interval=wilson(round(scores.top1 * scores.count), scores.count),
        classes=tuple(_class(confusion, i, labels) for i in range(len(confusion))),
        confusion=tuple(map(tuple, confusion.tolist())),
        reliability=reliability_lib.reliability(probabilities, known),
        temperature=found[0] if found else None,
        tempered=reliability_lib.reliability(found[1], known) if found else None,
        logits=logits,
        cross_fit=cross_fit,
    )


def gives_logits(outputs: Mapping[str, np.ndarray]) -> bool:
    """Whether outputs are no probabilities.

    Args:
        outputs: `probabilities` `(N, classes)`, or the only output of a foreign file.
    """
    return as_probabilities(sole(outputs, OUTPUT))[1]


def wilson(right: int, count: int) -> tuple[float, float]:
    """Interval of 95 % of a fraction (Wilson 1927): sound near 0 and 1 and for few examples too.

    Args:
        right: number of right answers.
        count: number of answers, from 1.

    Example:
        >>> [round(limit, 3) for limit in wilson(9, 10)]
        [0.596, 0.982]
    """
    share, z2 = right / count, _Z * _Z
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count)) / (1 + z2 / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def confusions(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Number of examples of class `row` that were called `column`: int `(classes, classes)`.

    Args:
        probabilities: `(N, classes)`.
        labels: `(N,)`.
    """
    classes = probabilities.shape[1]
    called = probabilities.argmax(axis=1)
    return np.bincount(labels * classes + called, minlength=classes * classes).reshape(classes, classes)


def _class(confusion: np.ndarray, index: int, labels: Sequence[str]) -> ClassFigures:
    row = confusion[index]
    count, right = int(row.sum()), int(row[index])
    wrong = row.copy()
    wrong[index] = 0
    return ClassFigures(
        label(labels, index),
        count,
        right / count if count else None,
        wilson(right, count) if count else None,
        label(labels, int(wrong.argmax())) if wrong.any() else None,
    )
