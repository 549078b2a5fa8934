"""Seeded splits: the same examples in the same part on every machine, stratified where the truth allows it."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from keras_resnet.data.dataset import Split

_SEED = 2015  # fixed for good: published accuracies refer to these parts
_PIXELS = 1 << 19  # of maps at once, each with a number for every class: larger ones leave the cache and are slower


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
    from sklearn.model_selection import train_test_split  # a second, which who divides nothing need not wait for

    rest = np.arange(count)
    taken = []
    for size in parts:
        own = None if strata is None else strata[rest]
        rest, part = train_test_split(rest, test_size=size, stratify=own, random_state=_SEED)
        taken.append(np.sort(part))
    return [np.sort(rest), *taken]


def grouped(groups: np.ndarray, strata: np.ndarray | None, *parts: int) -> list[np.ndarray]:
    """Divides `range(len(groups))` so that no group is in two parts.

    Args:
        groups: group of every example, `(N,)`; at least one more group than there are parts but the first.
        strata: integers `(N,)`, each of which every part gets in proportion, as far as the groups allow it; None for
            none.
        *parts: sizes of all parts but the first, as near as the groups allow.

    Returns:
        Sorted index arrays: the rest, then the parts in the order given.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    rest, taken = np.arange(len(groups)), []
    for size in parts:
        own = np.zeros(len(rest), int) if strata is None else strata[rest]
        folds = max(2, min(round(len(rest) / size), len(np.unique(groups[rest])), int(np.bincount(own).max())))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=_SEED)
            found = [pair for pair in splitter.split(rest, own, groups[rest]) if len(pair[1])]

        def strangeness(pair: tuple[np.ndarray, np.ndarray], own=own, size=size) -> tuple[int, int]:
            """Strata that would be gone from the rest, and how far the part's size is from the wanted one."""
            return len(np.unique(own)) - len(np.unique(own[pair[0]])), abs(len(pair[1]) - size)

        keep, part = min(found, key=strangeness)
        taken.append(rest[part])
        rest = rest[keep]
    return [rest, *taken]


def stratified(labels: np.ndarray, *parts: int) -> list[np.ndarray]:
    """Divides `range(len(labels))` so that every part has every class in proportion.

    Args:
        labels: class of every example, int `(N,)`.
        *parts: sizes of all parts but the first, which gets the rest.

    Returns:
        Sorted index arrays: the rest, then the parts in the order given.
    """
    return divided(len(labels), labels, *parts)


def at_once(split: Split, most: int) -> int:
    """Number of examples to answer at a time: fewer where every pixel, or many a place, has an answer.

    Args:
        split: split of any kind.
        most: number where an example has one answer.
    """
    if not len(split) or not ({"mask", "boxes"} & set(split.truth) or getattr(split, "maps", None)):
        return most
    shape = getattr(split, "shape", None) or split.fetch([0])[split.key].shape[1:]
    return max(1, min(most, _PIXELS // math.prod(shape[:-1])))
