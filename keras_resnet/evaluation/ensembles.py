"""Averages of answers: of several views of an image, of several models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_resnet.errors import InputError, unknown_name

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
        average: of `AVERAGES`.

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


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits `(N, classes)`."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def as_probabilities(values: np.ndarray) -> tuple[np.ndarray, bool]:
    """Probabilities, whatever a model ends in.

    Args:
        values: its outputs `(N, classes)`.

    Returns:
        Probabilities, and whether the outputs had to go through a softmax for it.
    """
    sums = values.sum(axis=1)
    if values.min() >= 0 and values.max() <= 1.001 and sums.min() >= _LEAST_SUM and sums.max() <= 2 - _LEAST_SUM:
        return values, False
    return softmax(values.astype(np.float64)).astype(np.float32), True


def shares(count: int, weights: Sequence[float] | None) -> np.ndarray:
    """Weights that add up to 1.

    Args:
        count: of the answers.
        weights: as for `combine`.

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
