"""Seeded, stratified splits: the same images in the same part on every machine."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import train_test_split

_SEED = 2015  # fixed for good: published accuracies refer to these parts


def stratified(labels: np.ndarray, *parts: int) -> list[np.ndarray]:
    """Divides `range(len(labels))` so that every part has every class in proportion.

    Args:
        labels: `(N,)`.
        *parts: sizes of all parts but the first, which gets the rest.

    Returns:
        Sorted index arrays: the rest, then the parts in the order given.
    """
    rest = np.arange(len(labels))
    taken = []
    for size in parts:
        rest, part = train_test_split(rest, test_size=size, stratify=labels[rest], random_state=_SEED)
        taken.append(np.sort(part))
    return [np.sort(rest), *taken]
