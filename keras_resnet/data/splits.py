"""Seeded splits: the same examples in the same part on every machine, stratified where the truth allows it."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import train_test_split

_SEED = 2015  # fixed for good: published accuracies refer to these parts


def divided(count: int, strata: np.ndarray | None, *parts: int) -> list[np.ndarray]:
    """Divides `range(count)`.

    Args:
        count: number of examples.
        strata: integers `(count,)`, each of which every part gets in proportion (`truth.strata`); None to draw the
            parts at random.
        *parts: sizes of all parts but the first, which gets the rest.

    Returns:
        Sorted index arrays: the rest, then the parts in the order given.
    """
    rest = np.arange(count)
    taken = []
    for size in parts:
        own = None if strata is None else strata[rest]
        rest, part = train_test_split(rest, test_size=size, stratify=own, random_state=_SEED)
        taken.append(np.sort(part))
    return [np.sort(rest), *taken]


def stratified(labels: np.ndarray, *parts: int) -> list[np.ndarray]:
    """Divides `range(len(labels))` so that every part has every class in proportion.

    Args:
        labels: class of every example, int `(N,)`.
        *parts: sizes of all parts but the first, which gets the rest.

    Returns:
        Sorted index arrays: the rest, then the parts in the order given.
    """
    return divided(len(labels), labels, *parts)
