"""Everything that a test split says about a model: intervals, classes, confusions, calibration, robustness, speed."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from keras_resnet import console
from keras_resnet.data import Split, batches, sampled
from keras_resnet.data.dataset import ArraySplit
from keras_resnet.errors import InputError
from keras_resnet.evaluation import calibration, corruptions
from keras_resnet.evaluation.answers import label
from keras_resnet.evaluation.ensembles import as_probabilities, combine, shares
from keras_resnet.evaluation.scores import Scores, outputs, score
from keras_resnet.evaluation.views import ONE, Views
from keras_resnet.runtime.interface import Runner

_Z = 1.959964  # of 95 % of a normal distribution
_WARM_UP = 64  # images


@dataclass(frozen=True)
class ClassFigures:
    """One class.

    Attributes:
        name: of the class.
        count: its images.
        accuracy: share of them that were recognised; None without images.
        interval: of 95 %.
        taken_for: name of the class that they were most often taken for by mistake; None without mistakes.
    """

    name: str
    count: int
    accuracy: float | None
    interval: tuple[float, float] | None
    taken_for: str | None


@dataclass(frozen=True)
class Assessment:
    """What was found.

    Attributes:
        scores: of all images.
        interval: of top-1, 95 % (Wilson).
        classes: one per class.
        confusion: images of class `row` that were called `column`.
        reliability: of the probabilities.
        temperature: that calibrates best on the validation images; None without any, or without an error.
        tempered: reliability with that temperature.
        images_per_second: of the engine, with decoding and preprocessing.
        robustness: top-1 by corruption, at the five strengths; empty if it was not asked for.
        members: of an ensemble: names and scores.
        views: of each image.
        logits: the model's outputs were no probabilities and went through a softmax.
    """

    scores: Scores
    interval: tuple[float, float]
    classes: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    reliability: calibration.Reliability
    temperature: float | None
    tempered: calibration.Reliability | None
    images_per_second: float
    robustness: dict[str, tuple[float, ...]] = field(default_factory=dict)
    members: tuple[tuple[str, Scores], ...] = ()
    views: Views = ONE
    logits: bool = False

    def to_json(self) -> dict[str, object]:
        """The figures as JSON types; `scores` at the top."""
        return {
            **self.scores.to_json(),
            "top1_interval": list(self.interval),
            "views": str(self.views),
            "average": self.views.average,
            "ece": self.reliability.ece,
            "reliability": self.reliability.to_json(),
            "temperature": self.temperature,
            "ece_with_temperature": self.tempered.ece if self.tempered else None,
            "images_per_second": self.images_per_second,
            "classes": [vars(each) for each in self.classes],
            "confusion": [list(row) for row in self.confusion],
            "robustness": {kind: list(values) for kind, values in self.robustness.items()},
            "members": [{"model": name, **scores.to_json()} for name, scores in self.members],
            "outputs_are_logits": self.logits,
        }


@dataclass(frozen=True)
class Member:
    """One model with the images that it takes.

    Attributes:
        name: for people.
        runner: gives probabilities or logits.
        test: images to judge on.
        validation: images to fit the temperature on; None for none.
    """

    name: str
    runner: Runner
    test: Split
    validation: Split | None = None


def assess(
    members: Sequence[Member],
    *,
    labels: Sequence[str] = (),
    views: Views = ONE,
    weights: Sequence[float] | None = None,
    corrupted: Sequence[str] = (),
    progress: bool = False,
) -> Assessment:
    """Judges a model, or several as an ensemble.

    Args:
        members: one model, or those of an ensemble; the same test images in the same order.
        labels: names of the classes.
        views: of each image; their answers are averaged, as are those of the members, by `views.average`.
        weights: of the members.
        corrupted: of `corruptions.CORRUPTIONS`, each in five strengths; one view then.
        progress: show bars on stderr.

    Returns:
        The figures.

    Raises:
        InputError: models that do not fit each other or the images.

    Example:
        >>> import keras_resnet
        >>> from keras_resnet.evaluation.assessment import Member, assess
        >>> digits = keras_resnet.load_dataset("digits")
        >>> runner = keras_resnet.open_runner("runs/mine/model.keras")  # doctest: +SKIP
        >>> assess([Member("mine", runner, digits.test, digits.validation)]).interval  # doctest: +SKIP
        (0.967, 0.995)
    """
    shares(len(members), weights)  # refused before any work
    truth = members[0].test.labels
    if any(not np.array_equal(member.test.labels, truth) for member in members):
        raise InputError("the members of an ensemble need the same test images")

    def answers(splits: Sequence[Split], seen: Views) -> list[np.ndarray]:
        found = [
            as_probabilities(outputs(member.runner, split, views=seen, progress=progress))[0]
            for member, split in zip(members, splits, strict=True)
        ]
        widths = {each.shape[1] for each in found}
        if len(widths) > 1:
            raise InputError(f"the members have {' and '.join(map(str, sorted(widths)))} classes: expected the same")
        return found

    # An engine's first call prepares it, and shows what it gives.
    first = [outputs(member.runner, sampled(member.test, _WARM_UP)) for member in members]
    logits = any(as_probabilities(values)[1] for values in first)
    begin = time.perf_counter()
    each = answers([member.test for member in members], views)
    seconds = time.perf_counter() - begin
    together = combine(each, weights, views.average)
    scores = score(together, truth)
    temperature, tempered = None, None
    if all(member.validation is not None and len(member.validation.labels) for member in members):
        fitted_on = combine(answers([member.validation for member in members], views), weights, views.average)
        temperature = calibration.fit_temperature(fitted_on, members[0].validation.labels)
        if temperature is not None:
            tempered = calibration.reliability(calibration.tempered(together, temperature), truth)

    def accuracy(kind: str, strength: int) -> float:
        found = answers([_corrupted(member.test, kind, strength) for member in members], ONE)
        return score(combine(found, weights, views.average), truth).top1

    robustness = {kind: tuple(accuracy(kind, s) for s in corruptions.STRENGTHS) for kind in corrupted}
    confusion = confusions(together, truth)
    return Assessment(
        scores=scores,
        interval=wilson(round(scores.top1 * scores.count), scores.count),
        classes=tuple(_class(confusion, i, labels) for i in range(len(confusion))),
        confusion=tuple(map(tuple, confusion.tolist())),
        reliability=calibration.reliability(together, truth),
        temperature=temperature,
        tempered=tempered,
        images_per_second=len(truth) / seconds,
        robustness=robustness,
        members=tuple((m.name, score(a, truth)) for m, a in zip(members, each, strict=True)) if members[1:] else (),
        views=views,
        logits=logits,
    )


def wilson(right: int, count: int) -> tuple[float, float]:
    """Interval of 95 % of a share (Wilson 1927): sound near 0 and 1 and for few images too.

    Args:
        right: how many.
        count: of how many, from 1.

    Example:
        >>> [round(limit, 3) for limit in wilson(9, 10)]
        [0.596, 0.982]
    """
    share, z2 = right / count, _Z * _Z
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count)) / (1 + z2 / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def confusions(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Images of class `row` that were called `column`: int `(classes, classes)`.

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


def _corrupted(split: Split, kind: str, strength: int) -> ArraySplit:
    """A split in memory; a model's own test images of one size fit there."""
    parts, first = [], 0
    for pixels, _ in batches(split, 256):
        parts.append(corruptions.corrupt(pixels.numpy(), kind, strength, first=first))
        first += len(parts[-1])
    return ArraySplit(np.concatenate(parts), split.labels)


def mean_top1(robustness: dict[str, tuple[float, ...]]) -> float:
    """Mean over corruptions and strengths.

    Args:
        robustness: of an `Assessment`; not empty.
    """
    return float(np.mean([value for values in robustness.values() for value in values]))


def show(assessment: Assessment, title: str, *, per_class: bool = False) -> None:
    """Prints the tables.

    Args:
        assessment: to show.
        title: of the first one.
        per_class: a table of the classes too.
    """
    scores, (low, high) = assessment.scores, assessment.interval
    columns = ("top-1", "95 % interval", "top-5", "loss", "ECE", "images", "images/s")
    row = (
        f"{scores.top1:.2%}",
        f"{low:.2%} .. {high:.2%}",
        f"{scores.top5:.2%}",
        f"{scores.loss:.4f}",
        f"{assessment.reliability.ece:.2%}",
        scores.count,
        f"{assessment.images_per_second:,.0f}",
    )
    if assessment.members:
        rows = [(name, f"{each.top1:.2%}", f"{each.top5:.2%}", f"{each.loss:.4f}") for name, each in assessment.members]
        rows.append(("together", row[0], row[2], row[3]))
        console.print_table("Members", ("model", "top-1", "top-5", "loss"), rows)
    console.print_table(title, columns, [row])
    if per_class:
        rows = [
            (
                each.name,
                each.count,
                None if each.accuracy is None else f"{each.accuracy:.2%}",
                None if each.interval is None else f"{each.interval[0]:.1%} .. {each.interval[1]:.1%}",
                each.taken_for,
            )
            for each in assessment.classes
        ]
        console.print_table("Classes", ("class", "images", "top-1", "95 % interval", "most often taken for"), rows)
    if assessment.tempered:
        print(
            f"calibration: ECE {assessment.reliability.ece:.2%}, {assessment.tempered.ece:.2%} with temperature "
            f"{assessment.temperature:.2f}, fitted on validation images (too low if the model was trained on them)"
        )
    if assessment.robustness:
        rows = [(kind, *(f"{value:.2%}" for value in values)) for kind, values in assessment.robustness.items()]
        header = ("corruption", *(f"strength {s}" for s in corruptions.STRENGTHS))
        console.print_table(f"Top-1 on corrupted images, mean {mean_top1(assessment.robustness):.2%}", header, rows)
    if assessment.logits:
        print("note: the outputs are no probabilities; they went through a softmax")
