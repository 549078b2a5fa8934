"""Which answers of one image meet which objects, one overlap for all: for confusions, and for what is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_resnet.data.truth import CLASS, FLAG, USUAL
from keras_resnet.tasks.detection.answers import Boxes
from keras_resnet.tasks.detection.boxes import overlaps

OVERLAP = 0.5  # from which on an answer meets an object


@dataclass(frozen=True, eq=False)
class Pairs:
    """What met.

    Attributes:
        objects: place of the object that every answer meets, int64 `(n,)`; -1 for none.
        aside: answers that count neither for nor against, bool `(n,)`: half of them lies in a crowd or a difficult
            object.
        usual: objects that count, bool `(m,)`.
    """

    objects: np.ndarray
    aside: np.ndarray
    usual: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """Answers that meet an object, bool `(n,)`."""
        return self.objects >= 0

    @property
    def wrong(self) -> np.ndarray:
        """Answers that meet none and count, bool `(n,)`."""
        return ~self.right & ~self.aside

    @property
    def missed(self) -> np.ndarray:
        """Objects that count and that no answer meets, bool `(m,)`."""
        found = np.zeros(len(self.usual), bool)
        found[self.objects[self.right]] = True
        return self.usual & ~found


def pairs(found: Boxes, rows: np.ndarray, *, by_class: bool = True) -> Pairs:
    """Pairs answers with objects: from the highest score, each with the one that it overlaps most of those left.

    Args:
        found: answers, from the highest score.
        rows: objects, `(m, 7)` (`data.truth`).
        by_class: whether both must be of one class.
    """
    usual = rows[:, FLAG] == USUAL
    met = overlaps(found.boxes[:, None].astype(np.float64), rows[None, :, :4])  # (n, m)
    same = found.classes[:, None] == rows[None, :, CLASS] if by_class else np.ones(met.shape, bool)
    objects, free = np.full(len(found), -1), usual.copy()
    for number in range(len(found)):
        able = np.where(free & same[number], met[number], -1.0)
        if len(able) and able.max() >= OVERLAP:
            objects[number] = able.argmax()
            free[objects[number]] = False
    aside = ((_inside(found.boxes, rows) >= OVERLAP) & same & ~usual).any(axis=1)
    return Pairs(objects, aside & (objects < 0), usual)


def _inside(boxes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Share of every answer that lies in every object, `(n, m)`."""
    one, other = boxes[:, None].astype(np.float64), rows[None, :, :4]
    shared = np.maximum(np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2]), 0)
    area = np.maximum((one[..., 2] - one[..., 0]) * (one[..., 3] - one[..., 1]), 1e-9)
    return shared.prod(axis=-1) / area


def confusion(found: Boxes, rows: np.ndarray, classes: int) -> np.ndarray:
    """Objects by class (row) and what they were called (column), int64 `(classes + 1, classes + 1)`.

    The last column has objects that were not found, the last row answers where there is nothing.

    Args:
        found: answers that count, from the highest score.
        rows: objects, `(m, 7)`.
        classes: number of classes.
    """
    met, counts = pairs(found, rows, by_class=False), np.zeros((classes + 1, classes + 1), np.int64)
    true = rows[:, CLASS].astype(np.int64)
    np.add.at(counts, (true[met.objects[met.right]], found.classes[met.right]), 1)
    np.add.at(counts, (true[met.missed], classes), 1)
    np.add.at(counts, (classes, found.classes[met.wrong]), 1)
    return counts
