"""How far two detectors say the same: whose objects the other one finds again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.data.truth import CLASS, FLAG
from keras_resnet.tasks.detection.answers import Boxes
from keras_resnet.tasks.detection.boxes import overlaps
from keras_resnet.tasks.detection.predictions import answers
from keras_resnet.tasks.detection.settings import TRUTH

LEAST = 0.05  # score of an object that counts; nets that answer from a higher one have no lower ones
SAME = 0.9  # intersection over union of boxes that are one object


def agreement(
    reference: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    card: ModelCard,
    truth: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Share of each image's objects that the other model finds again: of the same class, with nearly the same box.

    Args:
        reference: outputs of one model by name.
        outputs: outputs of the other; of another form or size too, as long as the card's form is that of both.
        card: card of the models.
        truth: not asked for.

    Returns:
        Float64, of the images where one of the models sees an object.
    """
    del truth
    theirs, ours = (answers(each, card, _least(card)) for each in (reference, outputs))
    return _shared(theirs, ours, SAME)


def shares(
    reference: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray], card: ModelCard
) -> dict[str, np.ndarray]:
    """Other shares for a report: of boxes that may differ more, and of what an app shows.

    Args:
        reference: outputs of one model by name.
        outputs: outputs of the other.
        card: card of the models.

    Returns:
        Shares as `agreement` gives them, by what they are called.
    """
    made = {}
    for what, threshold in (("all", _least(card)), ("shown", float(card.facts.get("threshold", LEAST)))):
        theirs, ours = (answers(each, card, threshold) for each in (reference, outputs))
        for same in (SAME, 0.75):
            if (what, same) != ("all", SAME):
                words = f"objects found again at IoU {same}" + (f" of score {threshold:g}" if what == "shown" else "")
                made[words] = _shared(theirs, ours, same)
    return made


def counted(truth: Mapping[str, np.ndarray]) -> int:
    """Number of objects of images that a score counts: no crowds, and nothing difficult.

    Args:
        truth: arrays by kind of truth.
    """
    rows = np.asarray(truth[TRUTH])
    return int(((rows[..., CLASS] >= 0) & (rows[..., FLAG] == 0)).sum())


def _least(card: ModelCard) -> float:
    return max(LEAST, float(card.facts.get("floor", LEAST)))


def _shared(theirs: list[Boxes], ours: list[Boxes], same: float) -> np.ndarray:
    """Share of the objects of both models that the other one has too, of each image with any."""
    both = zip(map(_with_area, theirs), map(_with_area, ours), strict=True)
    pairs = [(2 * _matched(a, b, same), len(a) + len(b)) for a, b in both]
    return np.array([both / count for both, count in pairs if count], np.float64)


def _with_area(found: Boxes) -> Boxes:
    """Objects without those whose box has no area, which overlaps nothing."""
    kept = (found.boxes[:, 2:] > found.boxes[:, :2]).all(axis=1)
    return Boxes(boxes=found.boxes[kept], scores=found.scores[kept], classes=found.classes[kept])


def _matched(theirs: Boxes, ours: Boxes, same: float) -> int:
    """Number of pairs: from the highest score each object takes the nearest box of its class that is left."""
    close = overlaps(theirs.boxes[:, None], ours.boxes[None])
    close = np.where(theirs.classes[:, None] == ours.classes[None], close, 0)
    count = 0
    for index in np.argsort(-theirs.scores, kind="stable"):
        if len(ours) and close[index].max() >= same:
            count += 1
            close[:, close[index].argmax()] = 0
    return count
