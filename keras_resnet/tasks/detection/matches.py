"""Which answers meet which objects by COCO's rules: hotcoco's evaluation, and samples of its images."""

from __future__ import annotations

import contextlib
import functools
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.data.truth import AREA, CLASS, FLAG, USUAL
from keras_resnet.tasks.detection.answers import Boxes

OVERLAPS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
_AT_ONCE = 4_000_000  # numbers of samples that are worked on
MOST = 100  # answers of an image that count
_KEYS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR")  # the first of COCO's twelve figures


@dataclass(frozen=True, eq=False)
class _OfClass:
    """Answers of one class, from the highest score.

    Attributes:
        images: position of the image of every answer, `(d,)`.
        scores: their scores, `(d,)`.
        right: whether they meet an object, by overlap, bool `(10, d)`.
        counts: whether they count at all, bool `(10, d)`.
        objects: number of objects that count, by image, `(N,)`.
    """

    images: np.ndarray
    scores: np.ndarray
    right: np.ndarray
    counts: np.ndarray
    objects: np.ndarray


@dataclass(frozen=True, eq=False)
class Matches:
    """What an evaluation by COCO's rules found.

    Attributes:
        figures: COCO's figures by name (`"AP"`, `"AP50"`, ...); None where there is no object they are of.
        precision: precision by overlap, recall and class, `(10, 101, classes)`; -1 where a class has no object.
        sorted_out: function that finds `by_class`, which takes longer than the figures.
    """

    figures: Mapping[str, float | None]
    precision: np.ndarray
    sorted_out: Callable[[], tuple[_OfClass, ...]]

    @functools.cached_property
    def by_class(self) -> tuple[_OfClass, ...]:
        """Answers of every class, for objects of all sizes."""
        return self.sorted_out()

    def of_class(self, number: int) -> tuple[float | None, float | None]:
        """AP of a class, and that at overlap 0.5; None where it has no object."""
        values = self.precision[..., number]
        if (values < 0).all():
            return None, None
        return float(values.mean()), float(values[0].mean())

    def found(self, number: int, threshold: float) -> tuple[int, int]:
        """Objects of a class that count, and how many of them answers from a score on meet at overlap 0.5."""
        own = self.by_class[number]
        return int(own.objects.sum()), int((own.right[0] & own.counts[0] & (own.scores >= threshold)).sum())

    def drawn(self, samples: np.ndarray) -> np.ndarray:
        """AP, and AP at overlap 0.5, over samples of the images: float64 `(draws, 2)`; nan where one has no object.

        Args:
            samples: positions of the images, drawn with replacement, `(draws, count)`.
        """
        images = len(self.by_class[0].objects) if self.by_class else 0
        times = np.array([np.bincount(each, minlength=images) for each in samples], np.float64)
        each = np.array([_resampled(own, times) for own in self.by_class])  # (classes, draws, 10), nan for none
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a sample without objects stays nan
            found = np.nanmean(each, axis=0)
        return np.stack([found.mean(axis=1), found[:, 0]], axis=1)


def _resampled(own: _OfClass, times: np.ndarray) -> np.ndarray:
    """AP of a class by overlap, `(draws, 10)`; nan where a sample has no object of it.

    Args:
        own: answers of the class.
        times: how often each image is in each sample, `(draws, N)`.
    """
    found = np.full((len(times), len(OVERLAPS)), np.nan)
    positives = times @ own.objects
    size = max(1, _AT_ONCE // max(1, own.right.size))
    for first in range(0, len(times), size):
        part = slice(first, first + size)
        weight = times[part, None, own.images] * own.counts
        right, answers = np.cumsum(weight * own.right, axis=2), np.cumsum(weight, axis=2)
        precision = right / np.maximum(answers, np.spacing(1))
        precision = np.maximum.accumulate(precision[..., ::-1], axis=2)[..., ::-1]
        for number, count in enumerate(positives[part]):
            for overlap in range(len(OVERLAPS)) if count else ():
                places = (right[number, overlap] / count).searchsorted(RECALLS)
                reached = places[places < len(own.scores)]
                found[first + number, overlap] = precision[number, overlap, reached].sum() / len(RECALLS)
    return found


def matched(
    found: Sequence[Boxes], true: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]], classes: int
) -> Matches:
    """Evaluates answers by COCO's rules.

    Args:
        found: answers of every image, in pixels of the whole picture.
        true: objects of every image, `(m, 7)` (`data.truth`); crowds and difficult ones are regions that count nothing.
        sizes: height and width of every image.
        classes: number of classes.
    """
    data, results = _read(true, sizes, classes, found)
    evaluation = _evaluated(data, results)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.summarize()
    values = [float(value) for value in evaluation.stats]
    figures = {name: value if value >= 0 else None for name, value in zip(_KEYS, values, strict=False)}
    precision = np.asarray(evaluation.eval["precision"])[:, :, :, 0, -1]

    def sorted_out() -> tuple[_OfClass, ...]:
        return _by_class(_evaluated(data, results, sizes=False), len(true), classes)

    return Matches(figures, precision, sorted_out)


def _read(
    true: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]], classes: int, found: Sequence[Boxes]
) -> tuple[Any, Any]:
    """Objects and answers as hotcoco has them."""
    from hotcoco import COCO

    data = COCO(_truth(true, sizes, classes))
    rows = [
        np.column_stack([np.full(len(each), n + 1), boxes, each.scores, each.classes + 1])
        for n, each in enumerate(found)
        for boxes in [np.column_stack([each.boxes[:, :2], each.boxes[:, 2:] - each.boxes[:, :2]]).astype(np.float64)]
    ]
    return data, data.load_res(np.concatenate(rows) if rows else np.zeros((0, 7)))


def _evaluated(data: Any, results: Any, *, sizes: bool = True) -> Any:
    from hotcoco import COCOeval

    evaluation = COCOeval(data, results, "bbox")
    if not sizes:  # each would be a quarter of the work
        evaluation.params.area_rng = [[0.0, 1e10]]
        evaluation.params.area_rng_lbl = ["all"]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        if sizes:
            evaluation.accumulate()
    return evaluation


def _truth(true: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]], classes: int) -> dict[str, Any]:
    images = [{"id": n + 1, "height": high, "width": wide} for n, (high, wide) in enumerate(sizes)]
    annotations: list[dict[str, Any]] = []
    for n, rows in enumerate(true):
        for row in rows.tolist():
            x1, y1, x2, y2 = row[:4]
            area = row[AREA] if row[AREA] > 0 else (x2 - x1) * (y2 - y1)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": n + 1,
                    "category_id": int(row[CLASS]) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": area,
                    "iscrowd": int(row[FLAG] != USUAL),
                }
            )
    categories = [{"id": n + 1, "name": str(n)} for n in range(classes)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _by_class(evaluation: Any, images: int, classes: int) -> tuple[_OfClass, ...]:
    """What the evaluation says of every image and class, for objects of all sizes."""
    parts: list[list[tuple[np.ndarray, ...]]] = [[] for _ in range(classes)]
    objects = np.zeros((classes, images))
    for each in evaluation.eval_imgs:
        if each is None or each["maxDet"] != MOST:
            continue
        number, image = each["category_id"] - 1, each["image_id"] - 1
        objects[number, image] = sum(not ignored for ignored in each["gtIgnore"])
        scores = np.array(each["dtScores"], np.float64)
        right = np.array(each["dtMatched"], bool).reshape(len(OVERLAPS), len(scores))
        counts = ~np.array(each["dtIgnore"], bool).reshape(len(OVERLAPS), len(scores))
        parts[number].append((np.full(len(scores), image), scores, right, counts))
    return tuple(_sorted(part, own) for part, own in zip(parts, objects, strict=True))


def _sorted(parts: Sequence[tuple[np.ndarray, ...]], objects: np.ndarray) -> _OfClass:
    if not parts:
        nothing = np.zeros((len(OVERLAPS), 0), bool)
        return _OfClass(np.zeros(0, int), np.zeros(0), nothing, nothing, objects)
    images, scores = (np.concatenate([part[n] for part in parts]) for n in (0, 1))
    right, counts = (np.concatenate([part[n] for part in parts], axis=1) for n in (2, 3))
    order = np.argsort(-scores, kind="mergesort")
    return _OfClass(images[order], scores[order], right[:, order], counts[:, order], objects)
