"""One answer of several for the same pixels: of an image and its other views, or of the members of an ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from keras_resnet.errors import InputError, unknown_name
from keras_resnet.tasks.classification.ensembles import AVERAGES, check_weights, shares
from keras_resnet.tasks.interface import sole
from keras_resnet.tasks.segmentation.settings import OUTPUT

__all__ = ["check_weights", "merge", "mirrored", "scores_of", "to_probabilities"]

_LEAST_SUM = 0.95  # of probabilities in eight bits
_TINY = 1e-12


def mirrored(outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Scores for mirror images, mirrored back: the last axis of places is turned round.

    Args:
        outputs: `logits` or other scores `(n, ..., W, classes)`.
    """
    return {OUTPUT: scores_of(outputs)[..., ::-1, :]}


def merge(
    answers: Sequence[Mapping[str, np.ndarray]],
    weights: Sequence[float] | None = None,
    average: str = "probabilities",
) -> dict[str, np.ndarray]:
    """The mean of several answers.

    Args:
        answers: outputs by name, `logits` or probabilities `(n, ..., classes)`; a single one stays what it is.
        weights: one weight per answer; by default all alike.
        average: `"probabilities"`, the mean of these, or `"logits"`, whose largest class is that of the geometric mean.

    Returns:
        `logits`: probabilities or mean logits, float32 `(n, ..., classes)`, whose largest class is the answer.

    Raises:
        InputError: answers of different shapes, or that are classes already.
    """
    if average not in AVERAGES:
        raise unknown_name("average", average, AVERAGES)
    portions = shares(len(answers), weights)
    if len(answers) == 1:
        return dict(answers[0])
    found = [scores_of(each) for each in answers]
    if len({each.shape for each in found}) > 1:
        raise InputError(f"expected answers of one shape, received {', '.join(str(each.shape) for each in found)}")
    to = to_probabilities if average == "probabilities" else _logits
    total: np.ndarray = np.zeros(found[0].shape, np.float32)
    for portion, each in zip(portions, found, strict=True):  # one at a time: scores of pixels are large
        total += np.float32(portion) * to(each)
    if average == "logits" and total.shape[-1] == 1:
        total = 1 / (1 + np.exp(-total))
    return {OUTPUT: total}


def scores_of(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The scores of every class, float32 `(n, ..., classes)`.

    Args:
        outputs: `logits`, or the only output of a foreign file.

    Raises:
        InputError: the file gives classes.
    """
    found = np.asarray(sole(outputs, OUTPUT))
    if found.ndim < 4:
        raise InputError(
            f"the model gives classes {found.shape[1:]}, but not how sure it is: expected scores of each class"
        )
    return found.astype(np.float32, copy=False)


def _are_probabilities(scores: np.ndarray) -> bool:
    """Whether a file has normalised its scores already; the one score of one class always is a probability."""
    if scores.shape[-1] == 1:
        return True
    if scores.min(initial=0) < 0 or scores.max(initial=0) > 1.001:
        return False
    sums = scores.sum(axis=-1)
    return bool(sums.min(initial=1) >= _LEAST_SUM and sums.max(initial=1) <= 2 - _LEAST_SUM)


def to_probabilities(scores: np.ndarray) -> np.ndarray:
    """Probabilities of logits, or of what is normalised already.

    Args:
        scores: float32 `(n, ..., classes)`.
    """
    if _are_probabilities(scores):
        return scores
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _logits(scores: np.ndarray) -> np.ndarray:
    if not _are_probabilities(scores):
        return scores
    log = np.log(np.maximum(scores, _TINY))
    return log - np.log(np.maximum(1 - scores, _TINY)) if scores.shape[-1] == 1 else log
