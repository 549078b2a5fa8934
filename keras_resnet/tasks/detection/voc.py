"""Pascal VOC's average precision, by its devkit's rules: whole pixels, overlap from a half on, difficult ones out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_resnet.data.truth import CLASS, FLAG, USUAL
from keras_resnet.tasks.detection.answers import Boxes

_LEAST = 0.5


def _overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union with a pixel added to every side: VOC's boxes end in their last pixel."""
    first, last = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:4]) - 1
    shared = np.maximum(last - first + 1, 0).prod(axis=1)
    own, areas = (box[2:] - box[:2]).prod(), (others[:, 2:4] - others[:, :2]).prod(axis=1)
    return shared / np.maximum(own + areas - shared, 1e-9)


def curve(found: Sequence[Boxes], true: Sequence[np.ndarray], number: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Recall and precision of a class after every answer, from the highest score.

    An answer belongs to the object that it overlaps most; the first one from half on is right, later ones are wrong.
    Answers that belong to a difficult object, or to a crowd, do not count.

    Args:
        found: answers of every image, in pixels of the whole picture.
        true: objects of every image, `(m, 7)` (`data.truth`).
        number: number of the class.

    Returns:
        Both, float64 `(answers that count,)`; None where the class has no object that counts.
    """
    own = [rows[rows[:, CLASS] == number] for rows in true]
    positives = sum(int((rows[:, FLAG] == USUAL).sum()) for rows in own)
    if not positives:
        return None
    answers = [
        (-float(score), n, box)
        for n, each in enumerate(found)
        for box, score in zip(
            each.boxes[each.classes == number].astype(np.float64), each.scores[each.classes == number], strict=True
        )
    ]
    answers.sort(key=lambda answer: answer[0])
    taken = [np.zeros(len(rows), bool) for rows in own]
    right: list[bool] = []
    for _, n, box in answers:
        overlap = _overlaps(box, own[n]) if len(own[n]) else np.zeros(1)
        best = int(overlap.argmax())
        if overlap[best] < _LEAST:
            right.append(False)
        elif own[n][best, FLAG] == USUAL:
            right.append(not taken[n][best])
            taken[n][best] = True
    hits = np.cumsum(right, dtype=np.float64)
    return hits / positives, hits / np.arange(1, len(right) + 1)


def average_precision(recall: np.ndarray, precision: np.ndarray, *, year: int = 2010) -> float:
    """One figure of a curve.

    Args:
        recall: recall after every answer, ascending.
        precision: precision after every answer.
        year: 2007 for the mean of the largest precision from each of 11 recalls on, 0 to 1; 2010 for the area below the
            curve, made monotone.
    """
    if year == 2007:
        levels = [precision[recall >= level - 1e-12].max(initial=0.0) for level in np.linspace(0, 1, 11)]
        return float(np.mean(levels))
    recalls = np.concatenate([[0.0], recall, [1.0]])
    highest = np.maximum.accumulate(np.concatenate([[0.0], precision, [0.0]])[::-1])[::-1]
    return float((np.diff(recalls) * highest[1:]).sum())
