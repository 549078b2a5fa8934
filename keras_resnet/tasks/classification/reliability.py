"""How far a model's probabilities can be believed: reliability, expected calibration error, temperature."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from keras_resnet.tasks.classification.ensembles import softmax

BINS = 15  # as in Guo et al. 2017
FOLDS = 5
_TINY = 1e-12
_LIMITS = (-4.0, 4.0)  # of the temperature's natural logarithm


@dataclass(frozen=True)
class Reliability:
    """Answers sorted by their confidence into bins of equal width, (0, 1/n], ..., ((n-1)/n, 1].

    Attributes:
        counts: images per bin.
        confidence: mean probability of the answer; 0 in an empty bin.
        accuracy: share of right answers; 0 in an empty bin.
        ece: expected calibration error, as a fraction: the mean distance of the two, weighted by the counts
            (Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv:1706.04599).
    """

    counts: tuple[int, ...]
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    ece: float

    def to_json(self) -> dict[str, object]:
        """The fields as JSON types."""
        return asdict(self)


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> Reliability:
    """Compares confidence and accuracy.

    Args:
        probabilities: `(N, classes)`.
        labels: `(N,)`.
        bins: number of bins of equal width.

    Example:
        >>> import numpy as np
        >>> reliability(np.array([[0.8, 0.2], [0.8, 0.2]]), np.array([0, 1]), bins=10).ece
        0.30000000000000004
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    where = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(where, minlength=bins)
    some = np.maximum(counts, 1)
    sure = np.bincount(where, confidence, bins) / some
    accurate = np.bincount(where, right, bins) / some
    ece = float((counts * np.abs(sure - accurate)).sum() / len(labels))
    return Reliability(tuple(counts.tolist()), tuple(sure.tolist()), tuple(accurate.tolist()), ece)


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax of the logits divided by a temperature; above 1 it makes answers less sure, the order stays.

    Args:
        probabilities: `(N, classes)`.
        temperature: above 0.
    """
    return softmax(np.log(np.maximum(probabilities, _TINY).astype(np.float64)) / temperature)


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float | None:
    """The temperature with the least cross-entropy, from 0.02 to 55.

    Args:
        probabilities: `(N, classes)` of images that the model was not trained on, other ones than it is judged on; for
            lack of such, `cross_fitted`.
        labels: `(N,)`.

    Returns:
        None where every answer is right: the lower the temperature, the less the cross-entropy, without end.
    """
    from scipy.optimize import minimize_scalar

    if (probabilities.argmax(axis=1) == labels).all():
        return None
    positions = np.arange(len(labels))

    def loss(logarithm: float) -> float:
        right = tempered(probabilities, np.exp(logarithm))[positions, labels]
        return float(-np.log(np.maximum(right, _TINY)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=_LIMITS, method="bounded").x))


def cross_fitted(probabilities: np.ndarray, labels: np.ndarray, count: int = FOLDS) -> tuple[float, np.ndarray] | None:
    """Temperatures fitted on the very examples that a model is judged on, and none of them on an example of its own.

    The examples are divided into parts, seeded, every class alike. Each part gets the temperature of the others.

    Args:
        probabilities: `(N, classes)` of images that the model was not trained on.
        labels: `(N,)`.
        count: number of parts.

    Returns:
        The mean temperature and the probabilities with them, `(N, classes)`; None where `fit_temperature` finds none.
    """
    part = folds(labels, count)
    found = np.empty(probabilities.shape, np.float64)
    values = []
    for number in np.unique(part):
        own = part == number
        value = fit_temperature(probabilities[~own], labels[~own])
        if value is None:
            return None
        values.append(value)
        found[own] = tempered(probabilities[own], value)
    return float(np.mean(values)), found


def folds(labels: np.ndarray, count: int) -> np.ndarray:
    """The part of every example, 0 to `count` - 1: seeded, of equal sizes, every class divided alike: int `(N,)`.

    Args:
        labels: `(N,)`.
        count: number of parts.
    """
    order = np.lexsort((np.random.default_rng(0).random(len(labels)), labels))
    part = np.empty(len(labels), int)
    part[order] = np.arange(len(labels)) % count
    return part
