"""Thresholds of tags: the probability from which on an example has a tag."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.tasks.interface import sole
from keras_resnet.tasks.multilabel.settings import OUTPUT, TRUTH, Facts

DEFAULT = 0.5
_LIMITS = (0.02, 0.98)
_LEAST = 5  # examples with a tag, and without it, below which its own threshold would be luck


def of(card: ModelCard, classes: int) -> np.ndarray:
    """Thresholds of a model, float64 `(classes,)`: one half where its card has none.

    Args:
        card: card of the model.
        classes: number of tags.
    """
    known = np.asarray(card.facts.get("thresholds") or (), np.float64)
    return known if known.shape == (classes,) else np.full(classes, DEFAULT)


def chosen(probabilities: np.ndarray, tags: np.ndarray) -> np.ndarray:
    """The threshold of every tag whose F1 is largest; tags of too few examples share one.

    Args:
        probabilities: `(N, classes)`, of examples that the model was not trained on.
        tags: their truth, `(N, classes)`.

    Returns:
        float64 `(classes,)`, each between the two probabilities that it divides.
    """
    together = _best(probabilities.ravel(), tags.ravel())
    counts = tags.sum(axis=0, dtype=int)
    enough = (counts >= _LEAST) & (len(tags) - counts >= _LEAST)
    pairs = zip(probabilities.T, tags.T, enough, strict=True)
    return np.array([_best(scores, truth) if good else together for scores, truth, good in pairs])


def _best(scores: np.ndarray, truth: np.ndarray) -> float:
    """The threshold of the largest F1, in the middle of the gap; one half where nothing has the tag."""
    if not truth.any():
        return DEFAULT
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order].astype(np.float64)
    right = np.cumsum(truth[order], dtype=np.float64)
    found = 2 * right / (np.arange(1, len(scores) + 1) + truth.sum())
    ends = np.append(ordered[:-1] != ordered[1:], True)  # equal scores are on one side
    last = int(np.where(ends, found, -1).argmax())
    below = ordered[last + 1] if last + 1 < len(ordered) else 0.0
    return float(np.clip((ordered[last] + below) / 2, *_LIMITS))


def settled(outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], facts: Facts) -> Facts:
    """The facts with thresholds that were chosen on validation examples.

    Args:
        outputs: `probabilities` `(N, classes)` of the trained model.
        truth: `tags` `(N, classes)`.
        facts: facts of the training set.
    """
    found = chosen(sole(outputs, OUTPUT), truth[TRUTH])
    return dataclasses.replace(facts, thresholds=tuple(round(float(each), 4) for each in found))
