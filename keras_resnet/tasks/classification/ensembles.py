"""Averages of answers: of several views of an image, of several models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from keras_resnet.errors import InputError, unknown_name
from keras_resnet.tasks.classification.settings import OUTPUT
from keras_resnet.tasks.interface import sole

# "probabilities": their mean. "logits": softmax of the mean logits, which is the normalised geometric mean of the
# probabilities, as a softmax forgets what is added to all its logits: so it works for files that end in a softmax.
AVERAGES = ("probabilities", "logits")
_TINY = 1e-12
_LEAST_SUM = 0.95  # eight bits per probability make sums of ten classes 0.98 and more


def combine(
    answers: Sequence[np.ndarray], weights: Sequence[float] | None = None, average: str = "probabilities"
) -> np.ndarray:
    """Averages probabilities.

    Args:
        answers: float `(N, classes)` each.
        weights: one per answer, at least 0; by default all alike. Only their proportions matter.
        average: row of `AVERAGES`.

    Returns:
        float32 `(N, classes)`.

    Raises:
        InputError: shapes, weights or the name do not fit.

    Example:
        >>> import numpy as np
        >>> combine([np.array([[0.9, 0.1]]), np.array([[0.4, 0.6]])], weights=[3, 1]).round(3).tolist()
        [[0.7749999761581421, 0.22499999403953552]]
    """
    if average not in AVERAGES:
        raise unknown_name("average", average, AVERAGES)
    shapes = {answer.shape for answer in answers}
    if len(shapes) != 1:
        raise InputError(f"expected answers of one shape, received {', '.join(map(str, sorted(shapes)))}")
    portions = shares(len(answers), weights)
    if len(answers) == 1:
        return np.asarray(answers[0], np.float32)
    stack = np.stack(answers).astype(np.float64)  # (answers, N, classes)
    if average == "probabilities":
        return np.tensordot(portions, stack, 1).astype(np.float32)
    logits = np.tensordot(portions, np.log(np.maximum(stack, _TINY)), 1)
    return softmax(logits).astype(np.float32)


def merge(
    answers: Sequence[Mapping[str, np.ndarray]],
    weights: Sequence[float] | None = None,
    average: str = "probabilities",
) -> dict[str, np.ndarray]:
    """One answer of several, of views of an image or of several models; logits become probabilities first.

    Args:
        answers: outputs by name, each with `probabilities` `(N, classes)`.
        weights: one weight per answer; by default all alike.
        average: row of `AVERAGES`.

    Returns:
        `probabilities`, float32 `(N, classes)`.

    Raises:
        InputError: see `combine`; also answers of different numbers of classes.
    """
    found = [as_probabilities(sole(each, OUTPUT))[0] for each in answers]
    widths = {each.shape[1] for each in found}
    if len(widths) > 1:
        raise InputError(f"the members have {' and '.join(map(str, sorted(widths)))} classes: expected the same")
    return {OUTPUT: combine(found, weights, average)}


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits `(N, classes)`."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def as_probabilities(values: np.ndarray) -> tuple[np.ndarray, bool]:
    """Probabilities, whatever a model ends in.

    Args:
        values: outputs of the model `(N, classes)`.

    Returns:
        Probabilities, and whether the outputs had to go through a softmax for it.
    """
    if values.shape[1] == 1:  # one probability, or the logit, of the second of two classes
        second = values if values.min() >= 0 and values.max() <= 1.001 else 1 / (1 + np.exp(-values.astype(np.float64)))
        return np.concatenate([1 - second, second], axis=1).astype(np.float32), second is not values
    sums = values.sum(axis=1)
    if values.min() >= 0 and values.max() <= 1.001 and sums.min() >= _LEAST_SUM and sums.max() <= 2 - _LEAST_SUM:
        return values, False
    return softmax(values.astype(np.float64)).astype(np.float32), True


def check_weights(count: int, weights: Sequence[float] | None) -> None:
    """Refuses weights of an ensemble before any work.

    Args:
        count: number of members.
        weights: one weight per member; None for all alike.

    Raises:
        InputError: see `shares`.
    """
    shares(count, weights)


def shares(count: int, weights: Sequence[float] | None) -> np.ndarray:
    """Weights that add up to 1.

    Args:
        count: number of the answers.
        weights: one weight per answer; None for all alike.

    Raises:
        InputError: another number of them, or they are no weights.
    """
    if weights is None:
        return np.full(count, 1 / count)
    values = np.asarray(weights, np.float64)
    if len(values) != count:
        raise InputError(f"expected {count} weights, one per model, received {len(values)}")
    if not np.isfinite(values).all() or values.min() < 0 or values.sum() == 0:
        raise InputError(f"weights {', '.join(map(str, weights))}: expected numbers from 0, not all of them 0")
    return values / values.sum()
