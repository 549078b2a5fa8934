"""Non-maximum suppression, class by class: of boxes that overlap the one with the highest score stays.

All classes are compared at once. Pairs of a class that overlap are found first; then who stays is decided in rounds: a
box goes where one above it stays, and what follows from that changes in the next round, until nothing does. That is
what the usual loop gives (Zheng et al. 2020, arXiv:2005.03572), in a handful of rounds.
"""

from __future__ import annotations

import numpy as np

_BLOCK = 256  # boxes of a class that are compared with each other at once; their pairs fit into a processor's cache


def suppressed(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, *, overlap: float, most: int | None = None
) -> np.ndarray:
    """Chooses the boxes that stay.

    Args:
        boxes: `(n, 4)`, x1, y1, x2, y2.
        scores: `(n,)`.
        classes: `(n,)`, whole numbers; boxes of different classes do not meet.
        overlap: intersection over union above which the lower of two boxes goes.
        most: largest number of boxes that stay; None for any number.

    Returns:
        Indices of the boxes that stay, from the highest score; of equal scores the first one is the higher.
    """
    order = np.lexsort((-scores, classes))  # stable
    boxes, group = np.ascontiguousarray(boxes[order].T), classes[order]
    stays = np.zeros(len(order), bool)
    starts = np.flatnonzero(np.diff(group, prepend=group[:1] - 1)) if len(order) else np.zeros(0, int)
    sizes = np.diff(starts, append=len(order))
    long = sizes > _BLOCK
    short = np.repeat(~long, sizes)
    stays[short] = _of_short(boxes[:, short], sizes[~long], overlap)
    for start, size in zip(starts[long], sizes[long], strict=True):
        stays[start : start + size] = _of_long(boxes[:, start : start + size], overlap, most)
    kept = np.sort(order[stays])  # as they came, so that equal scores stay in that order
    return kept[np.argsort(-scores[kept], kind="stable")][:most]


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[2] - boxes[0]) * (boxes[3] - boxes[1])


def _meet(boxes: np.ndarray, others: np.ndarray, areas: np.ndarray, limit: float) -> np.ndarray:
    """Whether pairs overlap by more than the limit; `(4, ...)` each, and the sum of both areas."""
    shared = np.maximum(np.minimum(boxes[2], others[2]) - np.maximum(boxes[0], others[0]), 0)
    shared *= np.maximum(np.minimum(boxes[3], others[3]) - np.maximum(boxes[1], others[1]), 0)
    union = areas - shared
    return (shared > np.float32(limit) * union) & (union > 0)


def _of_short(boxes: np.ndarray, sizes: np.ndarray, limit: float) -> np.ndarray:
    """Who stays of several classes, which lie one behind the other, each from its highest score."""
    count = boxes.shape[1]
    ends = np.repeat(np.cumsum(sizes), sizes)
    later = ends - np.arange(count) - 1  # boxes of the class behind each
    high = np.repeat(np.arange(count), later)
    low = np.arange(len(high)) - np.repeat(np.cumsum(later) - later, later) + high + 1
    areas = _areas(boxes)
    meet = _meet(boxes[:, high], boxes[:, low], areas[high] + areas[low], limit)
    return _settled(high[meet], low[meet], np.ones(count, bool))


def _settled(high: np.ndarray, low: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Who stays where no box may lie below one that stays: rounds until nothing changes."""
    stays = candidates
    while True:
        gone = np.zeros(len(stays), bool)
        gone[low[stays[high]]] = True
        now = candidates & ~gone
        if np.array_equal(now, stays):
            return stays
        stays = now


def _of_long(boxes: np.ndarray, limit: float, most: int | None) -> np.ndarray:
    """Who stays of one class with many boxes: block after block, each against those that stay already."""
    count = boxes.shape[1]
    stays, areas, kept = np.zeros(count, bool), _areas(boxes), np.zeros(0, int)
    for start in range(0, count, _BLOCK):
        block = slice(start, min(start + _BLOCK, count))
        mine, own = boxes[:, block], areas[block]
        met = np.asarray(_meet(boxes[:, kept, None], mine[:, None], areas[kept, None] + own, limit).any(axis=0))
        high, low = np.nonzero(np.triu(_meet(mine[:, :, None], mine[:, None], own[:, None] + own, limit), 1))
        stays[block] = _settled(high, low, ~met)
        kept = np.flatnonzero(stays)
        if most is not None and len(kept) >= most:  # all that follow have lower scores
            break
    return stays
